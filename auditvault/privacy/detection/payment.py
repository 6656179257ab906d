"""Payment cards and bank accounts, each with its checksum.

Presidio's own recogniser of cards knows no Mastercard of the 2-series (2221 to 2720), no Maestro, no card of 19 digits.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from auditvault.privacy.detection.checksums import iso_7064_97, luhn
from auditvault.privacy.detection.findings import Entity
from auditvault.privacy.detection.spans import CHECKED, LIKELY, Context, Span, bare

_CARD: Final = re.compile(r"(?<![\w.+-])\d(?:[ \u00a0-]?\d){11,18}(?![\w-]|\.\d)")
_CARD_WORDS: Final = Context(
    expression=(
        r"(?:card|credit|debit|charge|payment|visa|master|amex|maestro|pan\b|karte|kredit|carte|bancaire|tarjeta|carta"
        r"|cart[aã]o)"
    )
)

_LEAST_BARE: Final = 15


class _Range(NamedTuple):
    """Numbers that begin within `first` to `last`, and how many digits they have."""

    first: str
    last: str
    lengths: frozenset[int]


def _range(first: str, last: str, *lengths: int) -> _Range:
    return _Range(first, last, frozenset(lengths))


# ISO/IEC 7812 issuer identification numbers, as the brands publish them.
_BRANDS: Final = (
    _range("4", "4", 13, 16, 19),  # Visa
    _range("51", "55", 16),  # Mastercard
    _range("2221", "2720", 16),  # Mastercard, 2-series
    _range("34", "34", 15),  # American Express
    _range("37", "37", 15),
    _range("6011", "6011", 16, 17, 18, 19),  # Discover
    _range("644", "659", 16, 17, 18, 19),
    _range("300", "305", 14, 16, 17, 18, 19),  # Diners Club
    _range("3095", "3095", 14, 16, 17, 18, 19),
    _range("36", "36", 14, 15, 16, 17, 18, 19),
    _range("38", "39", 14, 16, 17, 18, 19),
    _range("3528", "3589", 16, 17, 18, 19),  # JCB
    _range("1800", "1800", 15),
    _range("2131", "2131", 15),
    _range("62", "62", 16, 17, 18, 19),  # UnionPay
    _range("81", "82", 16, 17, 18, 19),  # UnionPay, RuPay
    _range("2200", "2204", 16, 17, 18, 19),  # Mir
    _range("0604", "0604", 12, 13, 14, 15, 16),  # Maestro of old
    _range("50", "50", *range(12, 20)),  # Maestro, RuPay
    _range("56", "58", *range(12, 20)),
    _range("60", "60", *range(12, 20)),
    _range("63", "63", *range(12, 20)),
    _range("67", "67", *range(12, 20)),
)
# Countries' lengths: the registry of ISO 13616.
_IBAN_LENGTHS: Final = {
    country: length
    for length, countries in (
        (15, "NO"),
        (16, "BE"),
        (18, "DK FI FK FO GL NL SD"),
        (19, "MK SI"),
        (20, "AT BA EE KZ LT LU MN XK"),
        (21, "CH HR LI LV"),
        (22, "BG BH CR DE GB GE IE ME RS VA"),
        (23, "AE GI IL IQ OM SO TL"),
        (24, "AD CZ ES MD PK RO SA SE SK TN VG"),
        (25, "LY PT ST"),
        (26, "IS TR"),
        (27, "BI DJ FR GR IT MC MR SM"),
        (28, "AL AZ BY CY DO GT HN HU LB NI PL SV"),
        (29, "BR EG PS QA UA"),
        (30, "JO KW MU YE"),
        (31, "MT SC"),
        (32, "LC"),
        (33, "RU"),
    )
    for country in countries.split()
}
_IBAN: Final = re.compile(r"(?<![^\W_])[A-Za-z]{2}\d{2}(?:[ \u00a0-]?[A-Za-z0-9]){11,30}")


def find_cards(text: str) -> Iterator[Span]:
    """Numbers of every brand. A bare run of digits scores less, and a short one takes a word that says what it is."""
    for found in _CARD.finditer(text):
        digits = bare(found[0])
        if not (_is_of_a_brand(digits) and luhn(digits)):
            continue
        is_sure = len(found[0]) > len(digits) or _CARD_WORDS.is_before(text, found.start())
        if is_sure or len(digits) >= _LEAST_BARE:
            yield Span(found.start(), found.end(), Entity.CARD, CHECKED if is_sure else LIKELY)


def find_accounts(text: str) -> Iterator[Span]:
    """IBANs, cut to their country's length: what follows one may look like more of it."""
    for found in _IBAN.finditer(text):
        length = _IBAN_LENGTHS.get(found[0][:2].upper())
        end = _end_of(found[0], length) if length else None
        if end is None or text[found.start() + end : found.start() + end + 1].isalnum():
            continue
        if iso_7064_97(bare(found[0][:end])):
            yield Span(found.start(), found.start() + end, Entity.IBAN, CHECKED)


def _is_of_a_brand(digits: str) -> bool:
    if len(set(digits)) == 1:
        return False
    return any(
        len(digits) in brand.lengths and brand.first <= digits[: len(brand.first)] <= brand.last
        for brand in _BRANDS
    )


def _end_of(text: str, length: int) -> int | None:
    """Where the first `length` letters and digits end."""
    seen = 0
    for index, letter in enumerate(text):
        seen += letter.isalnum()
        if seen == length:
            return index + 1
    return None
