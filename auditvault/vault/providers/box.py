"""The box: what a key service gives back, around a wrap that does not depend on the service.

Rules kept: docs/spec/keys.md section 3. Which key opens the box, and what it is for, is decided by the inner wrap,
which commits to its key: a service that answers with another key, ignores its associated data or hands out ciphertext
that can be changed is found here. Speaking to the service is left to others.
"""

from __future__ import annotations

import hashlib
import hmac

from auditvault.core.crypto.keywrap import (
    ID_SIZE,
    SECRET_SIZE,
    WRAP_SIZE,
    WrapError,
    WrapKey,
    WrapKeyMismatchError,
    WrapTruncatedError,
    WrapVersionError,
    length_prefixed,
)

MAX_OUTER_SIZE = 4096
"""Most bytes of a service's ciphertext: all that is encrypted is 32 bytes."""

_VERSION = 1
_OUTER_AT = 3


def binding(label: bytes, key_ref: str, context: bytes) -> bytes:
    """What the service itself is asked to bind its ciphertext to: 32 bytes that say nothing."""
    return hashlib.sha256(_associated_data(label, key_ref, context)).digest()


def close_box(
    *, label: bytes, key_ref: str, context: bytes, inner_key: bytes, outer: bytes, secret: bytes
) -> bytes:
    """Return the box: `outer`, the service's ciphertext of `inner_key`, and the wrap of the 32-byte `secret` under it.

    Raises WrapError for a secret or a key of another size and for an `outer` that is empty or too long.
    """
    if not 1 <= len(outer) <= MAX_OUTER_SIZE:
        raise WrapError(f"a key service's ciphertext has 1 to {MAX_OUTER_SIZE} bytes")
    wrap = _wrap_key(key_ref, inner_key).wrap(secret, _associated_data(label, key_ref, context))
    return bytes((_VERSION,)) + len(outer).to_bytes(2, "big") + outer + wrap


def outer_of(box: bytes) -> bytes:
    """Return the service's ciphertext in a box.

    Raises WrapTruncatedError, WrapVersionError or WrapError where the lengths do not add up.
    """
    if len(box) < _OUTER_AT + 1 + WRAP_SIZE:
        raise WrapTruncatedError("shorter than a wrap of a key service")
    if box[0] != _VERSION:
        raise WrapVersionError("not a wrap of a key service of version 1")
    size = int.from_bytes(box[1:_OUTER_AT], "big")
    if not 1 <= size <= MAX_OUTER_SIZE or len(box) != _OUTER_AT + size + WRAP_SIZE:
        raise WrapError("the lengths in a wrap of a key service do not add up")
    return box[_OUTER_AT : _OUTER_AT + size]


def open_box(*, label: bytes, key_ref: str, context: bytes, inner_key: bytes, box: bytes) -> bytes:
    """Return the secret in a box whose lengths `outer_of` has checked.

    Raises WrapKeyMismatchError where `inner_key` is not the box's, another WrapError where the wrap was changed or is
    for something else.
    """
    if len(inner_key) != SECRET_SIZE:
        raise WrapKeyMismatchError("the key service answered with something else than a key")
    associated_data = _associated_data(label, key_ref, context)
    return _wrap_key(key_ref, inner_key).unwrap(box[-WRAP_SIZE:], associated_data)


def same_secret(one: bytes, other: bytes) -> bool:
    """Compare two secrets without saying where they differ."""
    return hmac.compare_digest(one, other)


def _wrap_key(key_ref: str, inner_key: bytes) -> WrapKey:
    return WrapKey(hashlib.sha256(key_ref.encode("ascii")).digest()[:ID_SIZE], inner_key)


def _associated_data(label: bytes, key_ref: str, context: bytes) -> bytes:
    return (
        length_prefixed(label) + length_prefixed(key_ref.encode("ascii")) + length_prefixed(context)
    )
