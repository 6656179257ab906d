"""Entries one after the other, each behind its length: the entry bundle of C2SP tlog-tiles.

Rules kept: docs/spec/checkpoint.md section 4. What an entry says is left to `entry`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from auditvault.core.errors import AuditvaultError
from auditvault.core.tlog.entry import MAX_ENTRY_SIZE

LENGTH_SIZE = 2
"""Bytes of an entry's length, big-endian."""


class EntryBundleError(AuditvaultError):
    """Bytes are not the entries they are said to be."""

    code: ClassVar[str] = "entry_bundle_malformed"


def max_bundle_size(count: int) -> int:
    """Return how many bytes a bundle of `count` entries can have."""
    return count * (LENGTH_SIZE + MAX_ENTRY_SIZE)


def render_entries(entries: Sequence[bytes]) -> bytes:
    """Return the bundle of these entries; raises EntryBundleError for one that is too long."""
    if any(len(entry) > MAX_ENTRY_SIZE for entry in entries):
        raise EntryBundleError("longer than an entry can be")
    return b"".join(len(entry).to_bytes(LENGTH_SIZE, "big") + entry for entry in entries)


def parse_entries(data: bytes, count: int) -> list[bytes]:
    """Return the `count` entries of a bundle that has no more and no fewer; EntryBundleError."""
    entries: list[bytes] = []
    at = 0
    while at < len(data):
        start = at + LENGTH_SIZE
        at = start + int.from_bytes(data[at:start], "big")
        if at > len(data) or start > len(data):
            raise EntryBundleError("a bundle ends inside an entry")
        if len(entries) == count:
            raise EntryBundleError("a bundle has more entries than it should")
        entries.append(data[start:at])
    if len(entries) != count:
        raise EntryBundleError("a bundle has fewer entries than it should")
    return entries
