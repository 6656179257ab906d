"""The headers of a part of a bundle: each with its opening, or the reason why it is not there.

Rules kept: docs/spec/bundle.md section 5. Whether a header is the one that its entry commits to is
left to `bundle`.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from auditvault.core.tlog.bundle_manifest import BundleError
from auditvault.core.tlog.canonical import CanonicalFormError, canonical_bytes, parse_canonical
from auditvault.core.tlog.commitment import OPENING_SIZE
from auditvault.core.tlog.note import NoteError, decode_base64

_REASON = re.compile(r"[a-z_]{1,32}")
_OPENING = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Opened:
    """A header and what opens the entry's commitment to it."""

    header: bytes
    opening: bytes
    """32 bytes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Absent:
    """Why an entry's header is not in the bundle."""

    reason: str
    """1 to 32 characters of `a-z _`: `gone`, for one."""


def render_headers(items: Sequence[Opened | Absent]) -> bytes:
    """Return the member's content; raises BundleError for a value outside the rules."""
    return canonical_bytes([_rendered(item) for item in items])


def parse_headers(data: bytes, count: int) -> list[Opened | Absent]:
    """Read the `count` items of a part; raises BundleError."""
    try:
        items = parse_canonical(data)
    except CanonicalFormError as error:
        raise BundleError(f"headers are no list: {error.message}") from error
    if not isinstance(items, list) or len(items) != count:
        raise BundleError("a part has one header, or a reason, for each entry")
    return [_item(item) for item in items]


def _rendered(item: Opened | Absent) -> dict[str, str]:
    if isinstance(item, Absent):
        if not _REASON.fullmatch(item.reason):
            raise BundleError("a reason is 1 to 32 characters of a-z _")
        return {"absent": item.reason}
    if len(item.opening) != OPENING_SIZE:
        raise BundleError("an opening is 32 bytes")
    return {"header": base64.b64encode(item.header).decode(), "opening": item.opening.hex()}


def _item(item: Any) -> Opened | Absent:
    match item:
        case {"absent": str(reason), **rest} if not rest and _REASON.fullmatch(reason):
            return Absent(reason=reason)
        case {"header": str(header), "opening": str(opening), **rest} if (
            not rest and _OPENING.fullmatch(opening)
        ):
            return Opened(header=_decoded(header), opening=bytes.fromhex(opening))
    raise BundleError("an item is a header with its opening, or a reason")


def _decoded(text: str) -> bytes:
    try:
        return decode_base64(text)
    except NoteError as error:
        raise BundleError("a header is base64") from error
