"""The framed envelope: one large content of one subject, sealed and opened in frames of 64 KiB.

Rules kept: docs/spec/envelope.md section 7. Keys, commitment and associated data are those of
`envelope`, under a label of their own; a frame's number and whether it is the last stand in its
nonce (STREAM), so a frame that is missing, repeated, moved, added or from another envelope does not
open. No nonce is chosen by a caller, and memory is bounded by a frame and a chunk. Storing heads
and frames is left to the vault.

**Frames opened before the last are authentic, and not yet the whole.** A content is whole only when
its iterator has ended without an error. Whoever acts on a part must be able to take it back.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from auditvault.core.crypto.envelope import (
    OPENING_SIZE,
    SALT_SIZE,
    SUITE,
    ContextPrefix,
    EnvelopeError,
    EnvelopeKeyMismatchError,
    EnvelopeNotAuthenticError,
    EnvelopeSuiteError,
    EnvelopeTruncatedError,
    EnvelopeVersionError,
    ObjectContext,
    cek_context,
    context_tail,
)
from auditvault.core.crypto.keywrap import (
    COMMITMENT_SIZE,
    NONCE_SIZE,
    SECRET_SIZE,
    TAG_SIZE,
    Id,
    WrapKey,
    derive_key_and_commitment,
    length_prefixed,
)

FRAME_SIZE = 2**16
"""Bytes of plaintext in every frame but the last."""

SEALED_FRAME_SIZE = FRAME_SIZE + TAG_SIZE
"""Bytes of every sealed frame but the last."""

MAX_FRAMES = 2**20
"""Most frames of one envelope."""

MAX_FRAMED_CONTENT_SIZE = MAX_FRAMES * FRAME_SIZE - OPENING_SIZE
"""Bytes of the largest framed content: 64 GiB, less the opening."""

_MAGIC = b"AF"
_VERSION = 1
_HEADER = _MAGIC + bytes((_VERSION, SUITE))
_COMMITMENT_AT = len(_HEADER) + SALT_SIZE

FRAMED_HEAD_SIZE = _COMMITMENT_AT + COMMITMENT_SIZE
"""Bytes before the first frame: 68."""

_LABEL = b"auditvault/framed/1" + bytes((SUITE,))
_NONCE_START = bytes(7)
_FINAL = (b"\0", b"\1")
_RANDOM_SIZE = SECRET_SIZE + SALT_SIZE + OPENING_SIZE + NONCE_SIZE
_TOO_LONG = "a framed content is at most 64 GiB"


@dataclass(slots=True)
class FramedObject:
    """What sealing returns: two columns of the object's row, the opening, and the frames to come."""

    wrapped_cek: bytes
    """The CEK under the DEK, 94 bytes."""
    head: bytes
    """Salt and commitment, 68 bytes."""
    opening: bytes = field(repr=False)
    """32 random bytes, for the content's commitment; in clear nowhere but here."""
    frames: Iterator[bytes] = field(repr=False)
    """The sealed frames, made from the content while they are read; to be read once, to the end."""


@dataclass(slots=True)
class FramedContent:
    """What opening returns. The content is whole only when `chunks` has ended without an error."""

    opening: bytes = field(repr=False)
    """32 random bytes."""
    chunks: Iterator[bytes] = field(repr=False)
    """The content, a frame at a time; raises EnvelopeError where the rest is not what was sealed."""


def is_framed(stored: bytes) -> bool:
    """Whether stored bytes begin as a framed envelope does; says nothing about the rest."""
    return stored.startswith(_MAGIC)


def seal_framed_object(
    *,
    dek: WrapKey,
    prefix: ContextPrefix,
    subject_id: Id,
    object_id: Id,
    content: Iterable[bytes],
    version: int = 1,
    opening: bytes | None = None,
    _randomness: bytes | None = None,
) -> FramedObject:
    """Seal `content`, chunks of any size, under a new CEK, and the CEK under `dek`.

    Nothing of the content is read before `frames` is. Reading them raises EnvelopeError for a
    content over MAX_FRAMED_CONTENT_SIZE, and whatever `content` raises; what was sealed until then
    does not open as a whole. Raises CryptoContextError for an id or version that is none.
    `opening` is that of a content which is sealed anew, so that its commitment still holds; None
    makes one. `_randomness` is for vectors only.
    """
    random = os.urandom(_RANDOM_SIZE) if _randomness is None else _randomness
    cek, salt, made, nonce = random[:32], random[32:64], random[64:96], random[96:]
    opening = made if opening is None else opening
    if len(opening) != OPENING_SIZE:
        raise EnvelopeError("an opening is 32 bytes")
    tail = context_tail(subject_id, object_id, version)
    head, frames = _seal(cek, salt, prefix.head_under(_LABEL) + tail, opening, content)
    wrapped_cek = dek.wrap(cek, cek_context(dek, prefix, tail), _nonce=nonce)
    return FramedObject(wrapped_cek, head, opening, frames)


def open_framed_object(
    *,
    dek: WrapKey,
    prefix: ContextPrefix,
    subject_id: Id,
    object_id: Id,
    wrapped_cek: bytes,
    head: bytes,
    sealed: Iterable[bytes],
    version: int = 1,
) -> FramedContent:
    """Open what `seal_framed_object` made with the same values; reads `sealed` up to its first frame.

    `sealed` is the bytes of the frames, cut anywhere. Raises a WrapError when the CEK does not
    unwrap, an EnvelopeError when head or first frame do not open, CryptoContextError for an id or
    version that is none. Later frames are opened, and refused, while the content is read.
    """
    tail = context_tail(subject_id, object_id, version)
    cek = dek.unwrap(wrapped_cek, cek_context(dek, prefix, tail))
    return _open(cek, prefix.head_under(_LABEL) + tail, head, sealed)


def seal_frames(
    *, cek: bytes, context: ObjectContext, content: Iterable[bytes]
) -> tuple[bytes, bytes, Iterator[bytes]]:
    """Return head, opening and frames of `content` under the 32-byte `cek`, with a new random salt.

    The lower half of `seal_framed_object`, for a CEK that is kept in another way.
    """
    _check_cek(cek)
    opening = os.urandom(OPENING_SIZE)
    salt = os.urandom(SALT_SIZE)
    head, frames = _seal(cek, salt, context.associated_data(_LABEL), opening, content)
    return head, opening, frames


def open_frames(
    *, cek: bytes, context: ObjectContext, head: bytes, sealed: Iterable[bytes]
) -> FramedContent:
    """Open what `seal_frames` made with the same key and context; errors as `open_framed_object`."""
    _check_cek(cek)
    return _open(cek, context.associated_data(_LABEL), head, sealed)


def _check_cek(cek: bytes) -> None:
    if len(cek) != SECRET_SIZE:
        raise EnvelopeError("a CEK is 32 bytes")


def _seal(
    cek: bytes, salt: bytes, associated_data: bytes, opening: bytes, content: Iterable[bytes]
) -> tuple[bytes, Iterator[bytes]]:
    key, commitment = derive_key_and_commitment(cek, salt, _LABEL)
    bound = _bound(associated_data, commitment)
    return _HEADER + salt + commitment, _sealed_frames(AESGCM(key), bound, opening, content)


def _sealed_frames(
    aead: AESGCM, bound: bytes, opening: bytes, content: Iterable[bytes]
) -> Iterator[bytes]:
    for number, is_final, plain in _numbered(_blocks(content, FRAME_SIZE, opening)):
        yield aead.encrypt(_nonce(number, is_final=is_final), plain, bound)


def _open(
    cek: bytes, associated_data: bytes, head: bytes, sealed: Iterable[bytes]
) -> FramedContent:
    _check_form(head)
    salt, stored = head[len(_HEADER) : _COMMITMENT_AT], head[_COMMITMENT_AT:]
    key, commitment = derive_key_and_commitment(cek, salt, _LABEL)
    if not hmac.compare_digest(stored, commitment):
        raise EnvelopeKeyMismatchError("sealed under another key")
    frames = _opened_frames(AESGCM(key), _bound(associated_data, commitment), sealed)
    first = next(frames, b"")
    if len(first) < OPENING_SIZE:
        raise EnvelopeTruncatedError("shorter than a framed envelope")
    return FramedContent(first[:OPENING_SIZE], _rest(first[OPENING_SIZE:], frames))


def _opened_frames(aead: AESGCM, bound: bytes, sealed: Iterable[bytes]) -> Iterator[bytes]:
    for number, is_final, frame in _numbered(_blocks(sealed, SEALED_FRAME_SIZE)):
        if len(frame) <= TAG_SIZE:
            raise EnvelopeTruncatedError("the last frame is cut off, or empty")
        try:
            yield aead.decrypt(_nonce(number, is_final=is_final), frame, bound)
        except InvalidTag as error:
            raise EnvelopeNotAuthenticError(
                "a frame was changed, is missing or at another place"
            ) from error


def _rest(first: bytes, frames: Iterator[bytes]) -> Iterator[bytes]:
    if first:
        yield first
    yield from frames


def _nonce(number: int, *, is_final: bool) -> bytes:
    return _NONCE_START + number.to_bytes(4, "big") + _FINAL[is_final]


def _bound(associated_data: bytes, commitment: bytes) -> bytes:
    return associated_data + length_prefixed(commitment)


def _numbered(blocks: Iterator[bytes]) -> Iterator[tuple[int, bool, bytes]]:
    """Number each block, and say of each whether it is the last: one is held back until that is known."""
    number, held = 0, next(blocks, None)
    if held is None:
        return
    for block in blocks:
        yield number, False, held
        number, held = number + 1, block
        if number >= MAX_FRAMES:
            raise EnvelopeError(_TOO_LONG)
    yield number, True, held


def _blocks(chunks: Iterable[bytes], size: int, first: bytes = b"") -> Iterator[bytes]:
    """Cut `first` and the chunks behind it into blocks of `size` bytes; the last is 1 to `size`."""
    held = bytearray(first)
    for chunk in chunks:
        at = 0
        if held:
            at = size - len(held)
            held += chunk[:at]
            if len(held) < size:
                continue
            yield bytes(held)
            held.clear()
        whole = at + (len(chunk) - at) // size * size
        for start in range(at, whole, size):
            yield chunk[start : start + size]
        held += chunk[whole:]
    if held:
        yield bytes(held)


def _check_form(head: bytes) -> None:
    if len(head) < FRAMED_HEAD_SIZE:
        raise EnvelopeTruncatedError("shorter than the head of a framed envelope")
    if not head.startswith(_MAGIC):
        raise EnvelopeError("not a framed envelope")
    if head[2] != _VERSION:
        raise EnvelopeVersionError("not a framed envelope of version 1")
    if head[3] != SUITE:
        raise EnvelopeSuiteError("not a framed envelope of a known suite")
    if len(head) > FRAMED_HEAD_SIZE:
        raise EnvelopeError("longer than the head of a framed envelope")
