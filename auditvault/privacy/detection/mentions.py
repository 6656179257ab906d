"""Which of what was found in a content names a person, and as which kind of identifier.

Rules kept: docs/spec/mentions.md. A kind that the tenant has is normalised as the tenant says; of the others names are
caseless, and numbers compact.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from auditvault.core.identifiers import MAX_IDENTIFIER, caseless, compact
from auditvault.privacy.detection.findings import Entity
from auditvault.vault.kinds import Identifier, KindRules

NAME: Final = "name"
"""Kind of full names."""

# Beside e-mail addresses, telephone numbers and names: what is one person's alone, under its own name in small letters.
_IDS: Final = frozenset(
    {
        Entity.IBAN, Entity.US_SSN, Entity.UK_NINO, Entity.UK_NHS, Entity.DE_TAX_ID, Entity.FR_NIR,
        Entity.IT_FISCAL_CODE, Entity.ES_NIF, Entity.NL_BSN, Entity.BE_NRN, Entity.PL_PESEL, Entity.BR_CPF,
        Entity.CH_AHV, Entity.IN_AADHAAR, Entity.CA_SIN,
    }
)  # fmt: skip


def mentioned(values: Iterable[tuple[str, str]], rules: KindRules) -> set[Identifier]:
    """Identifiers that these values are, by kind of finding and as they stand; to be called outside a transaction.

    A name of one word names too many to be one.
    """
    found: set[Identifier] = set()
    for entity, as_sent in values:
        value = " ".join(as_sent.encode("utf-8", "replace").decode().split())
        if not 0 < len(value) <= MAX_IDENTIFIER:
            continue
        if entity == Entity.EMAIL:
            # Many applications name their users by their addresses.
            found |= {_named("email", value, rules), _named("user", value, rules)}
        elif entity == Entity.PHONE:
            found.add(_named("phone", value, rules))
        elif entity == Entity.PERSON and " " in value:
            found.add(_named(NAME, value, rules))
        elif entity in _IDS:
            found.add(_named(entity.lower(), value, rules))
    return found


def _named(kind: str, value: str, rules: KindRules) -> Identifier:
    known = rules.name(kind, value)
    if known is not None:
        return known
    return Identifier(kind, caseless(value) if kind == NAME else compact(value))
