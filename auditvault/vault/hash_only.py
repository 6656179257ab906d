"""A content of which the hash alone is kept: what is sealed in its place (docs/spec/payload-policy.md section 3).

The tag and the commitment are those of the content itself, so lookups and proofs work as ever. The hash is sealed under
the subject's key and dies with it: nothing that outlives an erasure can confirm a guess.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

_PREFIX = b"auditvault/hash-only/1\n"
_DIGEST_SIZE, _LENGTH_SIZE = 32, 8
_SIZE = len(_PREFIX) + _DIGEST_SIZE + _LENGTH_SIZE


class HashOnly(NamedTuple):
    """What is known of a content that was not kept."""

    digest: bytes
    size_bytes: int


def to_statement(digest: bytes, size_bytes: int) -> bytes:
    """The bytes that are sealed in the content's place."""
    return _PREFIX + digest + size_bytes.to_bytes(_LENGTH_SIZE)


def read_statement(content: bytes) -> HashOnly | None:
    """What an opened content says, if it may stand in another's place: the object's tag decides, see `stated_by`."""
    if len(content) != _SIZE or not content.startswith(_PREFIX):
        return None
    rest = content[len(_PREFIX) :]
    return HashOnly(rest[:_DIGEST_SIZE], int.from_bytes(rest[_DIGEST_SIZE:]))


def stated_by(content: bytes, tag: bytes, tag_of: Callable[[bytes], bytes]) -> HashOnly | None:
    """The content that an opened one stands in for, or None where it is the content itself.

    The object's tag tells the two apart: who sends these very bytes as a content has them tagged by their own hash.
    """
    stated = read_statement(content)
    return stated if stated is not None and tag_of(stated.digest) == tag else None
