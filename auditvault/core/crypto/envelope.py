"""The payload envelope: one content of one subject, sealed under a key of its own.

Rules kept: docs/spec/envelope.md section 2. An envelope commits to its key, and the commitment is
compared before anything is decrypted; key, salt, opening and nonces are made here and never chosen
by a caller; a content moved to another row, subject, tenant or region does not open. Contents too
large to hold are left to `frames`; finding the DEK, asking whether the subject may be read, and
storing to the vault.
"""

from __future__ import annotations

import hmac
import os
from dataclasses import dataclass, field
from typing import ClassVar

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from auditvault.core.crypto.keywrap import (
    COMMITMENT_SIZE,
    ID_SIZE,
    NONCE_SIZE,
    SECRET_SIZE,
    TAG_SIZE,
    Id,
    WrapKey,
    data_class_bytes,
    derive_key_and_commitment,
    id_bytes,
    length_prefixed,
    region_bytes,
    version_bytes,
    wrap_context_head,
)
from auditvault.core.errors import AuditvaultError

OPENING_SIZE = 32
"""Bytes of the opening that is sealed before the content."""

SALT_SIZE = 32

SUITE = 1
"""HKDF-SHA-512 and AES-256-GCM; the only suite."""

MAX_CONTENT_SIZE = 32 * 2**20
"""Bytes of the largest content."""

_VERSION = 1
_MAGIC = b"AV"
_HEADER = _MAGIC + bytes((_VERSION, SUITE))
_COMMITMENT_AT = len(_HEADER) + SALT_SIZE
_CIPHERTEXT_AT = _COMMITMENT_AT + COMMITMENT_SIZE

ENVELOPE_OVERHEAD = _CIPHERTEXT_AT + TAG_SIZE
"""Bytes that an envelope is longer than its plaintext: 84."""

_MAX_PLAINTEXT_SIZE = OPENING_SIZE + MAX_CONTENT_SIZE
LABEL = b"auditvault/envelope/1" + bytes((SUITE,))
"""Label of this kind of envelope, in keys, commitments and associated data."""

_LABEL_END = len(length_prefixed(LABEL))
_FIXED_NONCE = b"\x01" * NONCE_SIZE  # a key serves one envelope: section 2
_RANDOM_SIZE = SECRET_SIZE + SALT_SIZE + OPENING_SIZE + NONCE_SIZE

# Lengths of the fixed-size fields, ready for the hot path.
_ID_LENGTH = ID_SIZE.to_bytes(8, "big")
_COMMITMENT_LENGTH = COMMITMENT_SIZE.to_bytes(8, "big")
_FIRST_VERSION = length_prefixed(version_bytes(1))


class EnvelopeError(AuditvaultError):
    """Some bytes are not an envelope, or a value cannot be sealed."""

    code: ClassVar[str] = "envelope_malformed"


class EnvelopeTruncatedError(EnvelopeError):
    """Shorter than the shortest envelope."""

    code: ClassVar[str] = "envelope_truncated"


class EnvelopeVersionError(EnvelopeError):
    """A version of the format that this code does not know."""

    code: ClassVar[str] = "envelope_version_unknown"


class EnvelopeSuiteError(EnvelopeError):
    """A suite that this code does not know."""

    code: ClassVar[str] = "envelope_suite_unknown"


class EnvelopeKeyMismatchError(EnvelopeError):
    """The envelope commits to another key; nothing was decrypted."""

    code: ClassVar[str] = "envelope_key_mismatch"


class EnvelopeNotAuthenticError(EnvelopeError):
    """The key is right, but the envelope was changed or belongs somewhere else."""

    code: ClassVar[str] = "envelope_not_authentic"


@dataclass(frozen=True, kw_only=True, slots=True)
class ContextPrefix:
    """What the objects of one region, tenant and data class are bound to in common.

    Make one and keep it: sealing then only appends the ids. Raises CryptoContextError for a value
    outside its alphabet and EnvelopeSuiteError for an unknown suite.
    """

    region: str
    """Name of the region, 1 to 32 characters of `a-z 0-9 -`."""
    tenant_id: Id
    """The tenant."""
    data_class: str
    """Data class, 1 to 64 characters of `a-z 0-9 _ . -`."""
    suite: int = SUITE
    """Which algorithms; 1."""
    envelope_head: bytes = field(init=False, repr=False, compare=False)
    """Associated data of an envelope, up to and with the data class."""
    wrap_head: bytes = field(init=False, repr=False, compare=False)
    """Associated data of a CEK's wrap, up to and with the data class."""

    def __post_init__(self) -> None:
        if self.suite != SUITE:
            raise EnvelopeSuiteError("not a known suite")
        envelope_head = (
            length_prefixed(LABEL)
            + length_prefixed(region_bytes(self.region))
            + length_prefixed(id_bytes(self.tenant_id))
            + length_prefixed(data_class_bytes(self.data_class))
        )
        wrap_head = wrap_context_head("object-cek", self.region, self.tenant_id, self.data_class)
        object.__setattr__(self, "envelope_head", envelope_head)
        object.__setattr__(self, "wrap_head", wrap_head)

    def head_under(self, label: bytes) -> bytes:
        """Return `envelope_head` with the label of another kind of envelope."""
        return length_prefixed(label) + self.envelope_head[_LABEL_END:]


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectContext:
    """Everything that one envelope is bound to; the DEK's id is bound by the CEK's wrap instead."""

    region: str
    """Name of the region."""
    tenant_id: Id
    """The tenant."""
    subject_id: Id
    """Whose content it is."""
    object_id: Id
    """The object."""
    version: int
    """The object's version, from 1."""
    data_class: str
    """Data class of the content."""

    def associated_data(self, label: bytes = LABEL) -> bytes:
        """Return the associated data, but for the commitment; raises CryptoContextError."""
        prefix = ContextPrefix(
            region=self.region, tenant_id=self.tenant_id, data_class=self.data_class
        )
        tail = context_tail(self.subject_id, self.object_id, self.version)
        return prefix.head_under(label) + tail


@dataclass(slots=True)  # made in a hot loop: freezing costs half a microsecond
class SealedContent:
    """What an envelope holds: the opening of the content's commitment, and the content."""

    opening: bytes = field(repr=False)
    """32 random bytes."""
    content: bytes = field(repr=False)
    """0 to MAX_CONTENT_SIZE bytes, as they were sent."""

    def pack(self) -> bytes:
        """Return opening || content; raises EnvelopeError when a size is out of range."""
        if len(self.opening) != OPENING_SIZE:
            raise EnvelopeError("an opening is 32 bytes")
        if len(self.content) > MAX_CONTENT_SIZE:
            raise EnvelopeError("a content is at most 32 MiB")
        return self.opening + self.content

    @classmethod
    def unpack(cls, plaintext: bytes) -> SealedContent:
        """Read what `pack` wrote; raises EnvelopeError when it cannot have written it."""
        if not OPENING_SIZE <= len(plaintext) <= _MAX_PLAINTEXT_SIZE:
            raise EnvelopeError("not an opening and a content")
        return cls(plaintext[:OPENING_SIZE], plaintext[OPENING_SIZE:])


@dataclass(slots=True)  # made in a hot loop
class SealedObject:
    """What sealing returns: two columns of the object's row, and the opening for the header."""

    wrapped_cek: bytes
    """The CEK under the DEK, 94 bytes."""
    envelope: bytes
    """The sealed opening and content."""
    opening: bytes = field(repr=False)
    """32 random bytes, for the content's commitment; in clear nowhere but here."""


def seal_object(
    *,
    dek: WrapKey,
    prefix: ContextPrefix,
    subject_id: Id,
    object_id: Id,
    content: bytes,
    version: int = 1,
    _randomness: bytes | None = None,
) -> SealedObject:
    """Seal `content` under a new CEK, and the CEK under `dek`, the key of this subject and class.

    CEK, salt, opening and nonce come from one read of the system's generator. `content` is 0 to
    MAX_CONTENT_SIZE bytes. Raises EnvelopeError when it is longer and CryptoContextError for an id
    or version that is none. `_randomness` is for vectors only.
    """
    random = os.urandom(_RANDOM_SIZE) if _randomness is None else _randomness
    cek, salt, opening, nonce = random[:32], random[32:64], random[64:96], random[96:]
    tail = context_tail(subject_id, object_id, version)
    if len(content) > MAX_CONTENT_SIZE:
        raise EnvelopeError("a content is at most 32 MiB")
    associated_data = prefix.envelope_head + tail
    envelope = _seal(cek, salt, associated_data, opening + content)
    wrapped_cek = dek.wrap(cek, cek_context(dek, prefix, tail), _nonce=nonce)
    return SealedObject(wrapped_cek, envelope, opening)


def open_object(
    *,
    dek: WrapKey,
    prefix: ContextPrefix,
    subject_id: Id,
    object_id: Id,
    wrapped_cek: bytes,
    envelope: bytes,
    version: int = 1,
) -> SealedContent:
    """Return the opening and content of an object that `seal_object` made with the same values.

    Raises a WrapError when the CEK does not unwrap, an EnvelopeError when the envelope does not
    open, CryptoContextError for an id or version that is none; which subclass says what is wrong.
    """
    tail = context_tail(subject_id, object_id, version)
    cek = dek.unwrap(wrapped_cek, cek_context(dek, prefix, tail))
    return SealedContent.unpack(_open(cek, prefix.envelope_head + tail, envelope))


def rewrap_cek(
    *,
    old_dek: WrapKey,
    new_dek: WrapKey,
    prefix: ContextPrefix,
    subject_id: Id,
    object_id: Id,
    wrapped_cek: bytes,
    version: int = 1,
) -> bytes:
    """Return the object's CEK wrapped under `new_dek`; the envelope stays as it is.

    Raises a WrapError when `wrapped_cek` does not open under `old_dek` for this very object.
    """
    tail = context_tail(subject_id, object_id, version)
    cek = old_dek.unwrap(wrapped_cek, cek_context(old_dek, prefix, tail))
    return new_dek.wrap(cek, cek_context(new_dek, prefix, tail))


def seal(*, cek: bytes, context: ObjectContext, plaintext: bytes) -> bytes:
    """Return the envelope of `plaintext` under the 32-byte `cek`, with a new random salt.

    The lower half of `seal_object`, for a CEK that is kept in another way. Raises EnvelopeError for
    a wrong size, CryptoContextError for a context that is none.
    """
    if len(cek) != SECRET_SIZE:
        raise EnvelopeError("a CEK is 32 bytes")
    if len(plaintext) > _MAX_PLAINTEXT_SIZE:
        raise EnvelopeError("a plaintext is at most 32 MiB and an opening")
    return _seal(cek, os.urandom(SALT_SIZE), context.associated_data(), plaintext)


def open_(*, cek: bytes, context: ObjectContext, envelope: bytes) -> bytes:
    """Return the plaintext of an envelope that `seal` made with the same key and context.

    Raises EnvelopeTruncatedError, EnvelopeError, EnvelopeVersionError or EnvelopeSuiteError for
    bytes that are not an envelope of this format, EnvelopeKeyMismatchError for another key, and
    EnvelopeNotAuthenticError for changed bytes or another context.
    """
    if len(cek) != SECRET_SIZE:
        raise EnvelopeError("a CEK is 32 bytes")
    return _open(cek, context.associated_data(), envelope)


def _seal(cek: bytes, salt: bytes, associated_data: bytes, plaintext: bytes) -> bytes:
    key, commitment = derive_key_and_commitment(cek, salt, LABEL)
    bound = associated_data + _COMMITMENT_LENGTH + commitment
    return b"".join(
        (_HEADER, salt, commitment, AESGCM(key).encrypt(_FIXED_NONCE, plaintext, bound))
    )


def _open(cek: bytes, associated_data: bytes, envelope: bytes) -> bytes:
    _check_form(envelope)
    salt, stored = envelope[len(_HEADER) : _COMMITMENT_AT], envelope[_COMMITMENT_AT:_CIPHERTEXT_AT]
    key, commitment = derive_key_and_commitment(cek, salt, LABEL)
    if not hmac.compare_digest(stored, commitment):
        raise EnvelopeKeyMismatchError("sealed under another key")
    bound = associated_data + _COMMITMENT_LENGTH + commitment
    try:
        return AESGCM(key).decrypt(_FIXED_NONCE, envelope[_CIPHERTEXT_AT:], bound)
    except InvalidTag as error:
        raise EnvelopeNotAuthenticError("changed, or bound to something else") from error


def _check_form(envelope: bytes) -> None:
    if len(envelope) < ENVELOPE_OVERHEAD:
        raise EnvelopeTruncatedError("shorter than an envelope")
    if not envelope.startswith(_MAGIC):
        raise EnvelopeError("not an envelope")
    if envelope[2] != _VERSION:
        raise EnvelopeVersionError("not an envelope of version 1")
    if envelope[3] != SUITE:
        raise EnvelopeSuiteError("not an envelope of a known suite")
    if len(envelope) > ENVELOPE_OVERHEAD + _MAX_PLAINTEXT_SIZE:
        raise EnvelopeError("longer than an envelope")


def context_tail(subject_id: Id, object_id: Id, version: int) -> bytes:
    """Return lp(subject) || lp(object) || lp(version), which envelopes and wrap share."""
    # Asked here and not in `id_bytes`: two calls an object fewer.
    if type(subject_id) is not bytes or len(subject_id) != ID_SIZE:
        subject_id = id_bytes(subject_id)
    if type(object_id) is not bytes or len(object_id) != ID_SIZE:
        object_id = id_bytes(object_id)
    last = _FIRST_VERSION if version == 1 else length_prefixed(version_bytes(version))
    return _ID_LENGTH + subject_id + _ID_LENGTH + object_id + last


def cek_context(dek: WrapKey, prefix: ContextPrefix, tail: bytes) -> bytes:
    """Return what `wrap_context` returns for the purpose `object-cek`."""
    return prefix.wrap_head + _ID_LENGTH + dek.key_id + tail
