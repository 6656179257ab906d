"""Telephone numbers in one form: E.164, with the extension where there is one.

Rules kept: docs/spec/subjects.md section 2.4. Part of the rules whose version is `core.identifiers.NORMALISATION`;
here and not in the core, because which digits are a country's stands in the tables of `phonenumbers`.
"""

from __future__ import annotations

from unicodedata import normalize

import phonenumbers

from auditvault.core.identifiers import exact, without_invisible

REGIONS = frozenset(phonenumbers.SUPPORTED_REGIONS)
"""ISO 3166 codes of the countries whose national numbers are understood."""

_SEPARATORS = frozenset(" -./()~\u2010\u2011\u2012\u2013\u2014\u2212")
_DIALLED = frozenset("0123456789+*#")


def phone(value: str, region: str | None) -> str:
    """A number as `+4930123456` or `+4930123456;ext=7`.

    `region` is the country of numbers without a country's code, as ISO 3166. What is no possible number is a text of
    its own: its digits without what separates them, or as `exact` where it holds anything else, or where what was read
    reads otherwise a second time (of some texts each reading takes a leading zero away). Never fails.
    """
    text = normalize("NFKC", without_invisible(value)).strip() or value
    read = _read(text, region)
    return read if _read(read, region) == read else exact(text)


def _read(text: str, region: str | None) -> str:
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return _unparsed(text)
    if not phonenumbers.is_possible_number(number):
        return _unparsed(text)
    written = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return f"{written};ext={number.extension}" if number.extension else written


def _unparsed(text: str) -> str:
    """Grouped one way or another, the same digits are the same."""
    kept = "".join(letter for letter in text if letter not in _SEPARATORS)
    return kept if kept and _DIALLED.issuperset(kept) else exact(text)
