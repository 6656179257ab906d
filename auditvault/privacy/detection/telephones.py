"""Telephone numbers: candidates by their form, judged by the numbering plans in `phonenumbers`.

Presidio's recogniser runs that library's matcher over every text once for each country, which is most of the time that
patterns take, and knows eight countries. Here only what has the form of a number is judged, and only as valid.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

import phonenumbers

from auditvault.privacy.detection.findings import Entity
from auditvault.privacy.detection.spans import FORMED, LIKELY, NAMED, Context, Span

REGIONS: Final = (
    "US",
    "GB",
    "DE",
    "FR",
    "ES",
    "IT",
    "NL",
    "BE",
    "AT",
    "CH",
    "PL",
    "PT",
    "IE",
    "BR",
    "IN",
    "AU",
)
"""Countries whose numbers are known without their country's code."""

_LEAST_DIGITS: Final = 7
_MOST_DIGITS: Final = 15
_LEAST_PLAIN: Final = 9
_CANDIDATE: Final = re.compile(
    r"(?<![\w.@/=#+-])(?<!\d[,:])(?:\+ ?|00)?\(?\d(?:[ \u00a0\u2009.()/\-\u2010-\u2013]{0,3}\d){6,16}"
    r"(?: ?(?:x|ext\.?|extension|Durchwahl|poste) ?\d{1,6})?(?![\w@]|[.,:/-]\d)",
    re.IGNORECASE,
)
_EXTENSION: Final = re.compile(r" ?(?:x|ext|durch|poste)", re.IGNORECASE)
_NO_NUMBER: Final = re.compile(
    r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}(?:\D|$)|\d{1,2}[-/.]\d{1,2}[-/.]\d{4}(?:\D|$)|(?:\d{1,3}\.){3}\d{1,3}$"
    r"|\d{4}[- ]\d{4}[- ]\d{4}$|\d{1,3}(?:[.,]\d{3})+$|\d{3}[- ]\d{2}[- ]\d{4}$|\d+\.\d+$"
)
_THOUSANDS: Final = re.compile(r"\d{1,3}(?: \d{3})+")
_NOT_WORDS: Final = Context(
    expression=(
        r"(?:order|invoice|ticket|ref\b|reference|serial|sku|ean|isbn|uuid|batch|tracking|part|version|amount|total|price|id)"
        r"(?: ?(?:no|nr|number|id|code)\.?)?[ :#=]{0,3}$"
    )
)
_WORDS: Final = Context(
    expression=(
        r"(?:phone|tel\b|tel[.:éeè]|telef|call|mobile?|cell|fax|whatsapp|text me|sms|reach|ring|dial|number is"
        r"|contact"
        r"|handy|anruf|ruf|erreich|nummer|portable|joindre|appel|móvil|llam|cellulare|chiam|gsm|celular)"
    )
)


def find_telephones(text: str, regions: Sequence[str] = REGIONS) -> Iterator[Span]:
    """Numbers that are valid somewhere: with their country's code, or written as in one of the countries."""
    for found in _CANDIDATE.finditer(text):
        number = _EXTENSION.split(found[0])[0]
        digits = sum(letter.isdigit() for letter in number)
        if not _LEAST_DIGITS <= digits <= _MOST_DIGITS or _NO_NUMBER.match(number):
            continue
        score = _score(text, found.start(), number, regions)
        if score:
            start = found.start() + (found[0][0] == "(" and ")" not in found[0])
            yield Span(start, found.end(), Entity.PHONE, score)


def _score(text: str, start: int, number: str, regions: Sequence[str]) -> float:
    if number[0] == "+" or number[:2] == "00":
        international = "+" + number.lstrip("+").removeprefix("00") if number[0] != "+" else number
        if _is_valid(international.replace("(0)", ""), None):
            return FORMED
        return (
            NAMED if number[0] == "+" and _WORDS.is_around(text, start, start + len(number)) else 0
        )
    is_named = _WORDS.is_around(text, start, start + len(number))
    if not is_named and (_NOT_WORDS.is_before(text, start) or _THOUSANDS.fullmatch(number)):
        return 0
    is_plain = number.isdigit()
    if is_plain and not is_named:
        # A bare run of digits is an order's number as often: only where it is as long as whole numbers are, and
        # begins as people write them.
        return 0
    if any(_is_valid(number, region) for region in regions if _is_written_as_in(number, region)):
        return NAMED if is_named else LIKELY
    # An invented number, or one of a country that is not known: a word before it says what it is.
    return LIKELY if is_named and sum(letter.isdigit() for letter in number) >= _LEAST_PLAIN else 0


def _is_written_as_in(number: str, region: str) -> bool:
    """Most countries write a zero first; where they do not, a number has its full length."""
    digits = "".join(letter for letter in number if letter.isdigit())
    if region in {"US", "ES", "PT", "PL", "IN", "BR", "IT"}:
        return len(digits) >= _LEAST_PLAIN
    return digits[0] == "0" or (region == "AU" and digits[:2] == "13")


def _is_valid(number: str, region: str | None) -> bool:
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(number, region))
    except phonenumbers.NumberParseException:
        return False
