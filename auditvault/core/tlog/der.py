"""Reading DER, as much of it as a time stamp needs, and nothing that has two readings.

Rules kept: X.690 section 10 (definite lengths in their shortest form) and docs/spec/timestamp.md
section 6. A small reader of its own, because the offline verifier stands on the standard library
and `cryptography` alone, whose own ASN.1 interface is declared unstable. Certificates are left to
`cryptography`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar

from auditvault.core.errors import AuditvaultError

BOOLEAN, INTEGER, OCTET_STRING, OBJECT_ID = 0x01, 0x02, 0x04, 0x06
GENERALIZED_TIME, SEQUENCE, SET = 0x18, 0x30, 0x31

_MAX_LENGTH_BYTES = 4
_LONG_FORM = 0x80
_HIGH_TAG = 0x1F
# X.690 section 11.7: seconds are there, a fraction has no zeros at its end, and the zone is Z.
_TIME = re.compile(r"([0-9]{14})(?:\.([0-9]{0,8}[1-9]))?Z")


class DerError(AuditvaultError):
    """Bytes are not what they should be in DER."""

    code: ClassVar[str] = "der_malformed"


def constructed(number: int) -> int:
    """Return the tag byte of a constructed element `[number]` of the context's own class."""
    return 0xA0 | number


def primitive(number: int) -> int:
    """Return the tag byte of a primitive element `[number]` of the context's own class."""
    return 0x80 | number


@dataclass(frozen=True, slots=True)
class Element:
    """One element: its tag byte, its bytes as they came, and what is in it."""

    tag: int
    raw: bytes
    """Tag and length included."""
    content: bytes

    def members(self) -> Reader:
        """Return a reader over what is in it."""
        return Reader(self.content)

    def integer(self) -> int:
        """Return the number of an INTEGER; DerError for a form that is not the shortest."""
        data = self.content
        if not data or (len(data) > 1 and data[:1] in {b"\x00", b"\xff"} and _is_padded(data)):
            raise DerError("an integer is not in its shortest form")
        return int.from_bytes(data, signed=True)

    def object_id(self) -> str:
        """Return an OBJECT IDENTIFIER in dots; DerError when it is cut short or padded."""
        if not self.content or self.content[-1] & 0x80:
            raise DerError("an object identifier is cut short")
        arcs: list[int] = []
        value, begun = 0, False
        for byte in self.content:
            if byte == 0x80 and not begun:  # noqa: PLR2004  # a leading zero group
                raise DerError("an object identifier is not in its shortest form")
            value, begun = value << 7 | byte & 0x7F, True
            if not byte & 0x80:
                arcs.append(value)
                value, begun = 0, False
        first = min(arcs[0] // 40, 2)
        return ".".join(map(str, (first, arcs[0] - 40 * first, *arcs[1:])))

    def time(self) -> datetime:
        """Return a GeneralizedTime, aware, cut to microseconds; DerError for any other form."""
        found = _TIME.fullmatch(self.content.decode("ascii", errors="replace"))
        if found is None:
            raise DerError("a time is not in its one form")
        try:
            seconds = datetime.strptime(found[1], "%Y%m%d%H%M%S").replace(tzinfo=UTC)
        except ValueError as error:
            raise DerError("a time is not one of the calendar") from error
        return seconds.replace(microsecond=int((found[2] or "0")[:6].ljust(6, "0")))


class Reader:
    """Takes elements one after the other; whatever is not expected raises DerError."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def is_at_end(self) -> bool:
        """Whether nothing is left."""
        return self._at == len(self._data)

    def take(self, tag: int) -> Element:
        """Return the next element, which has that tag byte."""
        element = self.take_any()
        if element.tag != tag:
            raise DerError("an element is of another kind than its place asks for")
        return element

    def take_if(self, tag: int) -> Element | None:
        """Return the next element if it has that tag byte, and stay before it otherwise."""
        if self.is_at_end or self._data[self._at] != tag:
            return None
        return self.take_any()

    def take_any(self) -> Element:
        """Return the next element, whatever it is."""
        data, start = self._data, self._at
        if start + 2 > len(data):
            raise DerError("an element is missing")
        tag, length, at = data[start], data[start + 1], start + 2
        if tag & _HIGH_TAG == _HIGH_TAG:
            raise DerError("a tag is longer than a byte")
        if length >= _LONG_FORM:
            length, at = self._long_length(length & ~_LONG_FORM, at)
        end = at + length
        if end > len(data):
            raise DerError("an element is cut short")
        self._at = end
        return Element(tag, data[start:end], data[at:end])

    def end(self) -> None:
        """Raise DerError unless everything was taken."""
        if not self.is_at_end:
            raise DerError("there is more than there should be")

    def _long_length(self, count: int, at: int) -> tuple[int, int]:
        if not 1 <= count <= _MAX_LENGTH_BYTES or at + count > len(self._data):
            raise DerError("a length is indefinite, cut short or too long")
        length = int.from_bytes(self._data[at : at + count])
        if length < _LONG_FORM or length.bit_length() <= 8 * (count - 1):
            raise DerError("a length is not in its shortest form")
        return length, at + count


def only(data: bytes, tag: int) -> Element:
    """Return the one element that `data` is."""
    reader = Reader(data)
    element = reader.take(tag)
    reader.end()
    return element


def _is_padded(data: bytes) -> bool:
    """Whether the first byte of an INTEGER only repeats the sign of the second."""
    return (data[0] == 0xFF) == bool(data[1] & 0x80)  # noqa: PLR2004
