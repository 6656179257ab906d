"""Strings that must be found nowhere in clear, and the search for them.

All canaries of a run begin with the same twenty random letters, so that one pass over the bytes looks
for all of them at once, whatever was cut off behind. Looked for are the letters in UTF-8 and UTF-16, in
hex, and in base64 at each of its three alignments, also inside gzip and zlib streams.
"""

from __future__ import annotations

import base64
import os
import random
import re
import stat
import string
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

_MARKER_LETTERS = 20
_AFTER_MARKER = re.compile(rb"n(\d{1,5})e")
_STREAMS = re.compile(rb"\x1f\x8b\x08|\x78[\x01\x5e\x9c\xda]", re.DOTALL)
_MAX_STREAM_BYTES = 4 * 2**20
_MAX_DEPTH = 2
_MAX_PLACES = 25
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS


@dataclass(slots=True)
class Canaries:
    """A run's canaries: each one knows the slot that it was put into."""

    marker: str = field(
        default_factory=lambda: "".join(random.choices(string.ascii_lowercase, k=_MARKER_LETTERS))
    )
    slots: list[str] = field(default_factory=list)

    def new(self, slot: str) -> str:
        """A canary for a slot: one lower-case word, which the checks of most header fields accept."""
        self.slots.append(slot)
        return f"{self.marker}n{len(self.slots) - 1}e"

    def address(self, slot: str) -> str:
        """The same as an e-mail address, which no header field may accept."""
        return f"{self.new(slot)}@example.com"

    def slot_at(self, data: bytes, offset: int) -> str:
        """The slot of a canary found in UTF-8 at `offset`; the number behind it may be cut off."""
        found = _AFTER_MARKER.match(data, offset + _MARKER_LETTERS)
        return self.slots[int(found[1])] if found else "?"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """Something found."""

    needle: str
    encoding: str
    place: str
    offset: int
    around: bytes


Patterns = Mapping[tuple[str, str], bytes]
"""(needle's name, encoding) -> bytes to look for."""


def text_patterns(name: str, text: str) -> dict[tuple[str, str], bytes]:
    """Every form of an ASCII text."""
    found = byte_patterns(name, text.encode())
    found[name, "utf-8, upper case"] = text.upper().encode()
    found[name, "utf-16le"] = text.encode("utf-16le")
    found[name, "utf-16be"] = text.encode("utf-16be")
    return found


def byte_patterns(name: str, data: bytes) -> dict[tuple[str, str], bytes]:
    """Bytes as they are, in hex, and in base64 wherever in a longer text they may stand."""
    found = {
        (name, "as is"): data,
        (name, "hex"): data.hex().encode(),
        (name, "hex, upper case"): data.hex().upper().encode(),
    }
    for before in range(3):
        # Only the characters that the bytes decide alone: those at the ends mix with neighbours.
        whole = base64.b64encode(bytes(before) + data + bytes(2))
        own = whole[-(-8 * before // 6) : 8 * (before + len(data)) // 6]
        found[name, f"base64 at {before}"] = own
        url_safe = own.replace(b"+", b"-").replace(b"/", b"_")
        if url_safe != own:
            found[name, f"base64url at {before}"] = url_safe
    return found


def search_bytes(data: bytes, patterns: Patterns, place: str, depth: int = 0) -> Iterator[Hit]:
    """Every pattern that occurs in the data, or in a compressed stream inside it.

    Of one pattern, the first places only: a leak shows in thousands.
    """
    for (needle, encoding), pattern in patterns.items():
        offset, found = data.find(pattern), 0
        while offset >= 0 and found < _MAX_PLACES:
            around = data[max(0, offset - 60) : offset + len(pattern) + 20]
            yield Hit(needle=needle, encoding=encoding, place=place, offset=offset, around=around)
            offset, found = data.find(pattern, offset + 1), found + 1
    if depth < _MAX_DEPTH:
        for start in (match.start() for match in _STREAMS.finditer(data)):
            inflated = _inflate(data, start)
            if inflated:
                yield from search_bytes(inflated, patterns, f"{place} inflated", depth + 1)


def search_tree(root: Path, patterns: Patterns) -> Iterator[Hit]:
    """The same over every file below a directory, and over the files' names."""
    for folder, _, names in os.walk(root):
        for name in names:
            path = Path(folder) / name
            yield from search_bytes(bytes(path), patterns, f"the name {path}")
            if stat.S_ISREG(path.lstat().st_mode):
                yield from search_bytes(path.read_bytes().rstrip(b"\0"), patterns, str(path))


def search_all(parts: Mapping[str, bytes], patterns: Patterns) -> Iterator[Hit]:
    """The same over bytes with names."""
    for name, data in parts.items():
        yield from search_bytes(data, patterns, name)


def needles(hits: Iterable[Hit]) -> set[str]:
    """The names of what was found."""
    return {hit.needle for hit in hits}


def _inflate(data: bytes, start: int) -> bytes:
    """What a compressed stream at `start` holds, as far as it can be read; nothing if it is none."""
    inflater = zlib.decompressobj(_GZIP_OR_ZLIB)
    try:
        return inflater.decompress(data[start : start + _MAX_STREAM_BYTES], _MAX_STREAM_BYTES)
    except zlib.error:
        return b""
