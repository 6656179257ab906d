"""Hiding commitments to headers and contents.

Rules kept: docs/spec/entry.md section 3. HMAC-SHA-256 under a fixed public constant over a random
opening and length-prefixed values, as in IETF KeyTrans ("Commitment"): it binds like a hash, and
says nothing about a guess to somebody without the opening. Making openings at random, storing
them beside what they open and destroying them with it is left to the callers.
"""

from __future__ import annotations

import hmac
import re
from functools import lru_cache
from hashlib import sha256
from typing import ClassVar

from auditvault.core.errors import AuditvaultError
from auditvault.core.tlog.mac import FixedKeyMac

OPENING_SIZE = 32
"""Bytes of an opening."""

COMMITMENT_SIZE = 32
"""Bytes of a commitment."""

_KC = sha256(b"auditvault/commitment/1").digest()
_LENGTH_SIZE = 8
_mac = FixedKeyMac(_KC).digest
_OPENING_SIZE_WRONG = "an opening is 32 bytes"
_LABEL = re.compile(r"[a-z_.]{1,64}")


class CommitmentError(AuditvaultError):
    """A commitment does not open, or cannot be made from these values."""

    code: ClassVar[str] = "commitment_malformed"


class CommitmentMismatchError(CommitmentError):
    """Opening and value are not the ones committed to."""

    code: ClassVar[str] = "commitment_mismatch"


def header_commitment(opening: bytes, entry_type: str, header_bytes: bytes) -> bytes:
    """Return HMAC-SHA-256(Kc, opening || lp(type) || lp(header)), 32 bytes.

    `opening` is 32 bytes, `entry_type` the type of the entry that carries the commitment. Raises
    CommitmentError for an opening of another size or a type outside the entry's alphabet.
    """
    if len(opening) != OPENING_SIZE:
        raise CommitmentError(_OPENING_SIZE_WRONG)
    return _mac(opening + _label(entry_type) + _prefixed(header_bytes))


def content_commitment(opening: bytes, role: str, content_sha256: bytes) -> bytes:
    """Return HMAC-SHA-256(Kc, opening || lp(role) || SHA-256(content)), 32 bytes.

    `opening` and `content_sha256` are 32 bytes each, `role` is 1 to 64 characters of `a-z _ .`.
    Raises CommitmentError otherwise.
    """
    if len(content_sha256) != COMMITMENT_SIZE:
        raise CommitmentError("a SHA-256 is 32 bytes")
    if len(opening) != OPENING_SIZE:
        raise CommitmentError(_OPENING_SIZE_WRONG)
    return _mac(opening + _label(role) + content_sha256)


def verify_header_commitment(
    commitment: bytes, *, opening: bytes, entry_type: str, header_bytes: bytes
) -> None:
    """Raise CommitmentMismatchError unless `commitment` opens to this header; constant time."""
    _compare(commitment, header_commitment(opening, entry_type, header_bytes))


def verify_content_commitment(
    commitment: bytes, *, opening: bytes, role: str, content_sha256: bytes
) -> None:
    """Raise CommitmentMismatchError unless `commitment` opens to this content; constant time."""
    _compare(commitment, content_commitment(opening, role, content_sha256))


def _compare(given: bytes, computed: bytes) -> None:
    if not hmac.compare_digest(given, computed):
        raise CommitmentMismatchError("the opening and the value do not give the commitment")


@lru_cache(maxsize=1024)
def _label(text: str) -> bytes:
    """The checked, length-prefixed label; few are in use, so each is checked once."""
    if not _LABEL.fullmatch(text):
        raise CommitmentError("a type or role is 1 to 64 characters of a-z _ .")
    return _prefixed(text.encode("ascii"))


def _prefixed(value: bytes) -> bytes:
    return len(value).to_bytes(_LENGTH_SIZE, "big") + value
