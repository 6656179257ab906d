"""What an evidence bundle says it is: its range, its members and their hashes.

Rules kept: docs/spec/bundle.md sections 2 and 3. Reading a manifest checks its shape; whether the
members are what it says is left to `bundle`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

from auditvault.core.errors import AuditvaultError
from auditvault.core.tlog.canonical import (
    MAX_INTEGER,
    CanonicalFormError,
    canonical_bytes,
    parse_canonical,
)
from auditvault.core.tlog.origin import OriginError, check_origin
from auditvault.core.tlog.strict_json import StrictJsonError, check_keys
from auditvault.core.tlog.tiles import TILE_WIDTH

BUNDLE_VERSION = "auditvault/bundle/1"
MAX_ENTRIES = 2**20
"""Of one bundle."""

MANIFEST = "manifest.json"
CHECKPOINT = "bundle/checkpoint"
PROOF = "bundle/proof"
PREVIOUS = "bundle/previous"
CONSISTENCY = "bundle/consistency"
KEYS = "bundle/keys"
TIMESTAMPS = "bundle/timestamps/"
MAX_TIMESTAMPS = 16
"""Of one bundle."""
RESERVED = ("bundle/extra/",)
"""Folders whose members this version does not know, and does not refuse."""

Headers = Literal["included", "not_requested", "not_authorised", "not_stored"]
"""Whether headers are in the bundle, or why not."""

_KEYS = frozenset({"v", "log", "first", "end", "size", "headers", "members"})
_DIGEST = re.compile(r"[0-9a-f]{64}")
_STAMPED = re.compile(r"bundle/timestamps/([0-9]{19})/proof")


class BundleError(AuditvaultError):
    """A file, or what it is to be made of, is not a bundle."""

    code: ClassVar[str] = "bundle_malformed"


class BundleMismatchError(BundleError):
    """Two parts of a bundle say different things."""

    code: ClassVar[str] = "bundle_mismatch"


@dataclass(frozen=True, kw_only=True, slots=True)
class Scope:
    """Which entries a bundle is about; making one outside the rules raises BundleError."""

    log: str
    """Origin of the log."""
    first: int
    """Index of the first entry."""
    end: int
    """Index behind the last entry: first < end <= first + MAX_ENTRIES."""
    size: int
    """Size of the checkpoint's tree: end <= size <= 2^53 - 1."""
    headers: Headers

    def __post_init__(self) -> None:
        try:
            check_origin(self.log)
        except OriginError as error:
            raise BundleError(error.message) from error
        numbers = (self.first, self.end, self.size)
        if any(type(number) is not int for number in numbers):
            raise BundleError("indices and sizes are integers")
        if not 0 <= self.first < self.end <= self.size <= MAX_INTEGER:
            raise BundleError("a range is 0 <= first < end <= size")
        if self.end - self.first > MAX_ENTRIES:
            raise BundleError("a bundle has at most 1,048,576 entries")
        if self.headers not in get_args(Headers):
            raise BundleError("headers are included, or it is said why not")

    def parts(self) -> Iterator[range]:
        """Yield the indices of each part: it ends where a tile does, or with the range."""
        start = self.first
        while start < self.end:
            stop = min(self.end, start - start % TILE_WIDTH + TILE_WIDTH)
            yield range(start, stop)
            start = stop


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """What the manifest says of one member."""

    sha256: str
    """64 lower-case hex digits."""
    size: int
    """Bytes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """A manifest as read or to be written."""

    scope: Scope
    members: Mapping[str, Listed]
    """Every member but the manifest itself, by name."""

    def to_bytes(self) -> bytes:
        """Return the member's content."""
        return canonical_bytes(
            {
                "v": BUNDLE_VERSION,
                "log": self.scope.log,
                "first": self.scope.first,
                "end": self.scope.end,
                "size": self.scope.size,
                "headers": self.scope.headers,
                "members": {
                    name: {"sha256": listed.sha256, "size": listed.size}
                    for name, listed in self.members.items()
                },
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Manifest:
        """Read exactly what `to_bytes` writes; raises BundleError on anything else."""
        try:
            members = _object(parse_canonical(data))
            check_keys(members, required=_KEYS)
        except (CanonicalFormError, StrictJsonError) as error:
            raise BundleError(f"the manifest is none: {error.message}") from error
        if members["v"] != BUNDLE_VERSION:
            raise BundleError("not a bundle of version 1")
        scope = Scope(
            log=_text(members["log"]),
            first=members["first"],
            end=members["end"],
            size=members["size"],
            headers=members["headers"],
        )
        listed = {name: _listed(value) for name, value in _object(members["members"]).items()}
        return cls(scope=scope, members=listed)


def entries_name(start: int) -> str:
    """Return the name of the entries of the part that begins at index `start`."""
    return f"bundle/records/{start:019d}/entries"


def headers_name(start: int) -> str:
    """Return the name of the headers of that part."""
    return f"bundle/records/{start:019d}/headers"


def timestamp_name(size: int) -> str:
    """Return the name of the proof that the log's first `size` entries were stamped."""
    return f"{TIMESTAMPS}{size:019d}/proof"


def timestamp_consistency_name(size: int) -> str:
    """Return the name of the consistency proof from that size to the checkpoint's."""
    return f"{TIMESTAMPS}{size:019d}/consistency"


def timestamp_sizes(members: Iterable[str], scope: Scope) -> list[int]:
    """Return the sizes that time stamps are over, ascending; raises BundleError.

    A proof is there for each, and a consistency proof for each that is not the checkpoint's.
    """
    listed = {name for name in members if name.startswith(TIMESTAMPS)}
    sizes = sorted(int(found[1]) for found in map(_STAMPED.fullmatch, listed) if found)
    if len(sizes) > MAX_TIMESTAMPS or any(not 0 < size <= scope.size for size in sizes):
        raise BundleError("time stamps are few, and over sizes that the log had")
    needed = {timestamp_name(size) for size in sizes}
    needed |= {timestamp_consistency_name(size) for size in sizes if size != scope.size}
    if listed != needed:
        raise BundleError("a time stamp has a proof, and what leads from it to the checkpoint")
    return sizes


def _listed(value: Any) -> Listed:
    members = _object(value)
    try:
        check_keys(members, required={"sha256", "size"})
    except StrictJsonError as error:
        raise BundleError(f"the manifest lists a member: {error.message}") from error
    sha256, size = members["sha256"], members["size"]
    if not _DIGEST.fullmatch(_text(sha256)) or type(size) is not int or size < 0:
        raise BundleError("a member is listed with 64 hex digits and its size")
    return Listed(sha256=sha256, size=size)


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BundleError("a manifest and its members are objects")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise BundleError("an origin and a hash are strings")
    return value
