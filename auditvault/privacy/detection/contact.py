"""E-mail addresses, IP addresses, dates of birth.

E-mail addresses by their form alone. Presidio's recogniser asks `tldextract` about the domain, which fetches the list
of public suffixes from the network when it is first asked.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from typing import Final

from auditvault.privacy.detection.findings import Entity
from auditvault.privacy.detection.spans import CHECKED, FORMED, NAMED, Context, Span

_EMAIL: Final = re.compile(
    r"(?<![\w.+%/'-])[\w+%'-](?:[\w.+%'-]{0,62}[\w+%-])?@(?:[\w](?:[\w-]{0,61}\w)?\.){1,8}[^\W\d_]{2,24}(?![\w@]|-\w)"
)
_SPELT: Final = re.compile(
    r"(?<![\w.+%-])[\w.+%-]{1,64} ?[\[(] ?at ?[\])] ?[\w.-]{1,100} ?[\[(] ?dot ?[\])] ?[a-z]{2,12}\b",
    re.IGNORECASE,
)
_V4: Final = re.compile(r"(?<![\w.-])(?<![A-Za-z]/)(?:\d{1,3}\.){3}\d{1,3}(?![\w-]|\.\d)")
_V6: Final = re.compile(
    r"(?<![\w:.])(?:[0-9a-f]{1,4}|:)(?::[0-9a-f]{0,4}){2,7}(?:(?:\d{1,3}\.){3}\d{1,3})?(?![\w:])",
    re.IGNORECASE,
)
_VERSION_WORDS: Final = re.compile(
    r"(?:\br?v|version|release|build|rev|tag)[ :=.]{0,3}$", re.IGNORECASE
)
_VERSION_NEAR: Final = 16
_SHORTEST_V6: Final = 6
_BORN: Final = Context(
    expression=(
        r"(?:born|birth|dob\b|d\.o\.b|geb(?:oren|urts|\.)|née? le|naissance|nacid|nacimiento|nato|nascita"
        r"|geboorte)"
    )
)
_MONTHS: Final = (
    r"(?:jan|feb|fév|mar|mär|apr|avr|may|mai|jun|juin|jul|juil|aug|aoû|sep|oct|okt|nov|dec|dez|déc|ene|abr|ago|dic"
    r"|gen|mag|giu|lug|set|ott)[a-zéûä]{0,7}\.?"
)
_DATE: Final = re.compile(
    r"(?<![\w/.-])(?:\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.](?:\d{4}|\d{2})"
    rf"|\d{{1,2}}(?:st|nd|rd|th|er|\.)? (?:de )?{_MONTHS},? (?:de )?\d{{4}}|{_MONTHS} \d{{1,2}}(?:st|nd|rd"
    rf"|th)?,? \d{{4}})"
    r"(?![\w/-]|\.\d)",
    re.IGNORECASE,
)


def find_emails(text: str) -> Iterator[Span]:
    """Addresses with a name, an at sign and a domain; also spelt with `(at)` and `(dot)`."""
    if "@" in text:
        for found in _EMAIL.finditer(text):
            yield Span(found.start(), found.end(), Entity.EMAIL, FORMED)
    if "at" in text and "dot" in text:
        for found in _SPELT.finditer(text):
            yield Span(found.start(), found.end(), Entity.EMAIL, NAMED)


def find_ip_addresses(text: str) -> Iterator[Span]:
    """Addresses of both versions, but those that are nobody's: loopback, unspecified, versions of software."""
    if text.count(".") > 2:  # noqa: PLR2004  # an address has three
        for found in _V4.finditer(text):
            before = text[max(0, found.start() - _VERSION_NEAR) : found.start()]
            if _is_somebodys(found[0]) and not _VERSION_WORDS.search(before):
                yield Span(found.start(), found.end(), Entity.IP, FORMED)
    if text.count(":") > 1:
        for found in _V6.finditer(text):
            if len(found[0]) >= _SHORTEST_V6 and _is_somebodys(found[0]):
                yield Span(found.start(), found.end(), Entity.IP, CHECKED)


def find_birth_dates(text: str) -> Iterator[Span]:
    """Dates behind a word for birth; other dates are nobody's."""
    for found in _DATE.finditer(text):
        if _BORN.is_before(text, found.start()):
            yield Span(found.start(), found.end(), Entity.BIRTH_DATE, NAMED)


def _is_somebodys(address: str) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return not (parsed.is_loopback or parsed.is_unspecified or address == "255.255.255.255")
