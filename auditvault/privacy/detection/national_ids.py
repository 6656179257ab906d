"""National identifiers, each by its form and its checksum.

Where the checksum is one digit and the form is bare digits, one number in ten or eleven would pass: those need a word
before them that says what they are, or the groups in which people write them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from auditvault.privacy.detection import checksums
from auditvault.privacy.detection.findings import Entity
from auditvault.privacy.detection.spans import CHECKED, FORMED, Context, Span, bare


def _form(expression: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w.-])(?:{expression})(?![\w-]|\.\d)", re.IGNORECASE)


class _Kind(NamedTuple):
    entity: Entity
    form: re.Pattern[str]
    holds: Callable[[str], bool]
    words: Context | None = None
    """One of them has to stand before it."""
    score: float = CHECKED


def _nino(number: str) -> bool:
    return number[:2] not in {"BG", "GB", "NK", "KN", "TN", "NT", "ZZ"}


_SSN_WORDS: Final = Context(expression=r"(?:ssn|ss#|social|itin|taxpayer|tax id|tin\b)")
_TAX_WORDS: Final = Context(expression=r"(?:steuer|idnr|id-nr|tin\b|tax|steueridentifikation)")
_NHS_WORDS: Final = Context(expression=r"(?:nhs|patient)")
_BSN_WORDS: Final = Context(expression=r"(?:bsn|sofi|burgerservice|citizen)")
_PESEL_WORDS: Final = Context(expression=r"pesel")
_CPF_WORDS: Final = Context(expression=r"(?:cpf|cadastro)")
_SIN_WORDS: Final = Context(expression=r"(?:sin\b|social insurance|assurance sociale|nas\b)")
_AADHAAR_WORDS: Final = Context(expression=r"(?:aadhaar|aadhar|uidai|uid\b)")
_AHV_WORDS: Final = Context(expression=r"(?:ahv|avs|sozialversicherung)")
_NRN_WORDS: Final = Context(
    expression=r"(?:rijksregister|registre national|national number|niss|insz|nrn)"
)

_KINDS: Final = (
    _Kind(Entity.US_SSN, _form(r"\d{3}([- ])\d{2}\1\d{4}"), checksums.american_ssn, None, FORMED),
    _Kind(Entity.US_SSN, _form(r"9\d{2}([- ])\d{2}\1\d{4}"), checksums.american_itin, None, FORMED),
    _Kind(Entity.US_SSN, _form(r"\d{9}"), checksums.american_ssn, _SSN_WORDS, FORMED),
    _Kind(
        Entity.UK_NINO,
        _form(r"[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z][ -]?\d{2}[ -]?\d{2}[ -]?\d{2}[ -]?[A-D]"),
        _nino, None, FORMED,
    ),
    _Kind(Entity.UK_NHS, _form(r"\d{3}[ -]?\d{3}[ -]?\d{4}"), checksums.british_nhs, _NHS_WORDS),
    _Kind(Entity.DE_TAX_ID, _form(r"\d{2} \d{3} \d{3} \d{3}"), checksums.german_tax_id),
    _Kind(Entity.DE_TAX_ID, _form(r"\d{11}"), checksums.german_tax_id, _TAX_WORDS),
    _Kind(
        Entity.FR_NIR,
        _form(r"[1278] ?\d{2} ?(?:0[1-9]|1[0-2]|[2-9]\d) ?(?:\d{2}|2[AB]) ?\d{3} ?\d{3}(?: ?\|? ?\d{2})"),
        checksums.french_nir,
    ),
    _Kind(
        Entity.IT_FISCAL_CODE,
        _form(r"[A-Z]{6}[0-9LMNP-V]{2}[ABCDEHLMPRST][0-9LMNP-V]{2}[A-Z][0-9LMNP-V]{3}[A-Z]"),
        checksums.italian_fiscal_code,
    ),
    _Kind(Entity.ES_NIF, _form(r"\d{8}[ -]?[A-HJ-NP-TV-Z]"), checksums.spanish_nif),
    _Kind(Entity.ES_NIF, _form(r"[XYZ][ -]?\d{7}[ -]?[A-HJ-NP-TV-Z]"), checksums.spanish_nif),
    _Kind(Entity.NL_BSN, _form(r"\d{4}[. ]?\d{2}[. ]?\d{3}"), checksums.dutch_bsn, _BSN_WORDS),
    _Kind(Entity.BE_NRN, _form(r"\d{2}\.\d{2}\.\d{2}-\d{3}\.\d{2}"), checksums.belgian_national_number),
    _Kind(Entity.BE_NRN, _form(r"\d{11}"), checksums.belgian_national_number, _NRN_WORDS),
    _Kind(Entity.PL_PESEL, _form(r"\d{11}"), checksums.polish_pesel, _PESEL_WORDS),
    _Kind(Entity.BR_CPF, _form(r"\d{3}\.\d{3}\.\d{3}-\d{2}"), checksums.brazilian_cpf),
    _Kind(Entity.BR_CPF, _form(r"\d{11}"), checksums.brazilian_cpf, _CPF_WORDS),
    _Kind(Entity.CH_AHV, _form(r"756\.\d{4}\.\d{4}\.\d{2}"), checksums.ean),
    _Kind(Entity.CH_AHV, _form(r"756\d{10}"), checksums.ean, _AHV_WORDS),
    _Kind(Entity.IN_AADHAAR, _form(r"[2-9]\d{3} \d{4} \d{4}"), checksums.verhoeff),
    _Kind(Entity.IN_AADHAAR, _form(r"[2-9]\d{3}-?\d{4}-?\d{4}"), checksums.verhoeff, _AADHAAR_WORDS),
    _Kind(Entity.CA_SIN, _form(r"\d{3}[ -]?\d{3}[ -]?\d{3}"), checksums.luhn, _SIN_WORDS),
)  # fmt: skip


def find_national_ids(text: str) -> Iterator[Span]:
    """Identifiers of fourteen countries."""
    for kind in _KINDS:
        for found in kind.form.finditer(text):
            if kind.words and not kind.words.is_before(text, found.start()):
                continue
            if kind.holds(bare(found[0])):
                yield Span(found.start(), found.end(), kind.entity, kind.score)
