"""What a detector says about a content: where something personal stands, what it is, and who says so.

A finding holds no text. Where it stands and what it is tell something of a person all the same (that somebody's prompt
holds a national id, and how long a name is), so findings are sealed like the content that they are about.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from auditvault.core.tlog.canonical import JsonValue


class Entity(StrEnum):
    """Kinds of personal data. Values are stored: a kind is added, none is renamed."""

    PERSON = "PERSON"
    EMAIL = "EMAIL_ADDRESS"
    PHONE = "PHONE_NUMBER"
    ADDRESS = "STREET_ADDRESS"
    CARD = "CREDIT_CARD"
    IBAN = "IBAN_CODE"
    IP = "IP_ADDRESS"
    BIRTH_DATE = "DATE_OF_BIRTH"
    SECRET = "SECRET"  # noqa: S105  # a kind, not one of them
    US_SSN = "US_SSN"
    UK_NINO = "UK_NINO"
    UK_NHS = "UK_NHS"
    DE_TAX_ID = "DE_TAX_ID"
    FR_NIR = "FR_NIR"
    IT_FISCAL_CODE = "IT_FISCAL_CODE"
    ES_NIF = "ES_NIF"
    NL_BSN = "NL_BSN"
    BE_NRN = "BE_NRN"
    PL_PESEL = "PL_PESEL"
    BR_CPF = "BR_CPF"
    CH_AHV = "CH_AHV"
    IN_AADHAAR = "IN_AADHAAR"
    CA_SIN = "CA_SIN"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Finding:
    """One place of a content where something personal stands."""

    path: str
    """JSON pointers (RFC 6901), joined by `#` where a string held JSON of its own; "" of a text."""
    is_key: bool = False
    """Whether it stands in the name of the member that `path` leads to, and not in its value."""
    start: int
    """First character, in code points of the string there, from 0. Of a number, of its digits as sent."""
    end: int
    """One after the last."""
    entity: str
    """A value of `Entity`, or the name that a tenant's own recogniser gives."""
    score: float
    """How sure the recogniser is: over 0, up to 1."""
    recogniser: str
    """Its name."""


def as_json(findings: Iterable[Finding]) -> list[JsonValue]:
    """For storage: sorted, without floats; scores are whole per mille."""
    return [
        {
            "path": one.path,
            "key": one.is_key,
            "start": one.start,
            "end": one.end,
            "entity": one.entity,
            "score": round(one.score * 1000),
            "by": one.recogniser,
        }
        for one in sorted(findings)
    ]


def from_json(stored: Sequence[dict[str, JsonValue]]) -> list[Finding]:
    """What `as_json` wrote. Raises KeyError or ValueError for anything else."""
    return [
        Finding(
            path=str(one["path"]),
            is_key=bool(one["key"]),
            start=int(str(one["start"])),
            end=int(str(one["end"])),
            entity=str(one["entity"]),
            score=int(str(one["score"])) / 1000,
            recogniser=str(one["by"]),
        )
        for one in stored
    ]
