"""Key wrapping: one 32-byte key encrypted under another, bound to what it is for.

Rules kept: docs/spec/envelope.md sections 1 and 3. A wrap commits to its wrapping key, and the
commitment is compared before anything is decrypted; its nonce is made here and never chosen by a
caller; its associated data comes from `wrap_context` alone. Which keys exist, where they are
stored, when they rotate, and counting wraps towards the limit of 2^32 under one key are left to the
vault.
"""

from __future__ import annotations

import hmac
import os
import re
from datetime import datetime
from typing import ClassVar, Literal, Protocol, TypeAlias
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from auditvault.core.errors import AuditvaultError
from auditvault.core.tlog.mac import hmac_sha512

SECRET_SIZE = 32
"""Bytes of every key, wrapping or wrapped."""

ID_SIZE = 16
"""Bytes of an id: a UUID's."""

COMMITMENT_SIZE = 32
NONCE_SIZE = 12
TAG_SIZE = 16

WRAP_SUITE = 1
"""HKDF-SHA-512 and AES-256-GCM; the only suite."""

WRAP_SIZE = 2 + COMMITMENT_SIZE + NONCE_SIZE + SECRET_SIZE + TAG_SIZE
"""Bytes of every wrap: 94."""

MAX_WRAPS_PER_KEY = 2**32
"""How many wraps one key may make in its life (NIST SP 800-38D section 8.3)."""

MAX_VERSION = 2**31 - 1
"""Largest version or epoch: it fits PostgreSQL's integer."""

Id: TypeAlias = UUID | bytes
"""A UUID or its 16 bytes; hot paths hand in bytes."""

Purpose: TypeAlias = Literal[
    "region-kek", "tenant-kek", "tag-secret", "subject-dek", "object-cek", "backup-file"
]
"""What a wrap is for; never reuse a name for something else."""

_WRAP_VERSION = 1
_WRAP_HEADER = bytes((_WRAP_VERSION, WRAP_SUITE))
_WRAP_LABEL = b"auditvault/wrap/1" + bytes((WRAP_SUITE,))
_NONCE_AT = len(_WRAP_HEADER) + COMMITMENT_SIZE
_CIPHERTEXT_AT = _NONCE_AT + NONCE_SIZE
_LENGTH_SIZE = 8
_REGION = re.compile(r"[a-z0-9-]{1,32}")
_DATA_CLASS = re.compile(r"[a-z0-9_.-]{1,64}")

_ABSENT: dict[str, frozenset[str]] = {
    "region-kek": frozenset({"tenant_id", "data_class", "wrapping_key_id", "subject_id"}),
    "tenant-kek": frozenset({"data_class", "subject_id"}),
    "tag-secret": frozenset({"data_class", "subject_id"}),
    "subject-dek": frozenset(),
    "object-cek": frozenset(),
    "backup-file": frozenset({"tenant_id", "subject_id"}),
}


class CryptoContextError(AuditvaultError):
    """A field of associated data is missing, superfluous or outside its alphabet."""

    code: ClassVar[str] = "crypto_context_invalid"


class WrapError(AuditvaultError):
    """Some bytes are not a wrap, or a value cannot be wrapped."""

    code: ClassVar[str] = "wrap_malformed"


class WrapTruncatedError(WrapError):
    """Shorter than a wrap is."""

    code: ClassVar[str] = "wrap_truncated"


class WrapVersionError(WrapError):
    """A version of the format that this code does not know."""

    code: ClassVar[str] = "wrap_version_unknown"


class WrapSuiteError(WrapError):
    """A suite that this code does not know."""

    code: ClassVar[str] = "wrap_suite_unknown"


class WrapKeyMismatchError(WrapError):
    """The wrap commits to another wrapping key; nothing was decrypted."""

    code: ClassVar[str] = "wrap_key_mismatch"


class WrapNotAuthenticError(WrapError):
    """The wrapping key is right, but the wrap was changed or belongs somewhere else."""

    code: ClassVar[str] = "wrap_not_authentic"


class KeyProviderError(AuditvaultError):
    """A key provider cannot do what it was asked; providers raise subclasses."""

    code: ClassVar[str] = "key_provider_failed"


class KeyProviderUnavailableError(KeyProviderError):
    """The provider does not answer, or refuses us for now: trying again later may work."""

    code: ClassVar[str] = "key_provider_unavailable"


class KeyRefUnknownError(KeyProviderError):
    """The reference names no key of this provider."""

    code: ClassVar[str] = "key_ref_unknown"


class RootKeyDestroyedError(KeyProviderError):
    """The key was destroyed, or waits to be and no longer works."""

    code: ClassVar[str] = "root_key_destroyed"


class WrapKey:
    """A key that wraps other keys.

    Holds the cipher and the commitment derived from the key, not the key. Cannot be pickled or
    printed, and may be shared by threads.
    """

    __slots__ = ("_aead", "_commitment", "_header", "key_id")

    def __init__(self, key_id: Id, key: bytes) -> None:
        """Take the wrapping key `key`, 32 random bytes, whose id is `key_id`.

        Raises WrapError for a key of another size, CryptoContextError for something else than an
        id.
        """
        derived, commitment = derive_key_and_commitment(_secret(key), b"", _WRAP_LABEL)
        self.key_id: bytes = id_bytes(key_id)
        self._aead = AESGCM(derived)
        self._commitment = commitment
        self._header = _WRAP_HEADER + commitment

    def wrap(self, secret: bytes, associated_data: bytes, *, _nonce: bytes | None = None) -> bytes:
        """Return the wrap, `WRAP_SIZE` bytes, of the 32-byte `secret`.

        `associated_data` is what `wrap_context` returns. Raises WrapError for a secret of another
        size. `_nonce` is for `envelope`, which cuts it from fresh random bytes, and for vectors.
        """
        if len(secret) != SECRET_SIZE:
            raise WrapError("a wrapped key is 32 bytes")
        nonce = os.urandom(NONCE_SIZE) if _nonce is None else _nonce
        return self._header + nonce + self._aead.encrypt(nonce, secret, associated_data)

    def unwrap(self, wrapped: bytes, associated_data: bytes) -> bytes:
        """Return the 32-byte secret in `wrapped`.

        Raises WrapTruncatedError, WrapError, WrapVersionError or WrapSuiteError for bytes that are
        not a wrap of this format, WrapKeyMismatchError for a wrap under another key, and
        WrapNotAuthenticError for one that was changed or made with other associated data.
        """
        _check_form(wrapped)
        if not hmac.compare_digest(wrapped[len(_WRAP_HEADER) : _NONCE_AT], self._commitment):
            raise WrapKeyMismatchError("wrapped under another key")
        nonce, ciphertext = wrapped[_NONCE_AT:_CIPHERTEXT_AT], wrapped[_CIPHERTEXT_AT:]
        try:
            return self._aead.decrypt(nonce, ciphertext, associated_data)
        except InvalidTag as error:
            raise WrapNotAuthenticError("changed, or bound to something else") from error


class KeyProvider(Protocol):
    """Holds root keys, one for each epoch, which never leave it, and wraps region KEKs under them.

    docs/spec/keys.md section 3. All methods raise a KeyProviderError when the provider cannot work, and
    may be called by several threads. A `key_ref` is 1 to 1024 printable ASCII characters and is stored
    beside what was wrapped under it.
    """

    def make_key(self, epoch: int) -> str:
        """Make the root key of `epoch`, 1 to `MAX_VERSION`, and return its reference.

        Where it exists already it is found and not made again: whoever crashed after the first call, and
        whoever was second of two, gets the same key.
        """
        ...

    def wrap(self, key_ref: str, secret: bytes, context: bytes) -> bytes:
        """Wrap the 32-byte `secret`, bound to `context`, what `wrap_context` returns."""
        ...

    def unwrap(self, key_ref: str, wrapped: bytes, context: bytes) -> bytes:
        """Return the 32-byte secret; raises WrapError when key, bytes or context are not right."""
        ...

    def destroy(self, key_ref: str) -> datetime | None:
        """Make everything wrapped under `key_ref` unreadable, for good.

        Returns when that will be past taking back; None where it is already. A key that is destroyed, or
        waits to be, is no error: the answer is the same again.
        """
        ...

    def health(self, key_ref: str) -> None:
        """Raise unless wrapping and unwrapping under `key_ref` work now."""
        ...


def wrap_context(
    *,
    purpose: Purpose,
    region: str,
    tenant_id: Id | None = None,
    subject_id: Id | None = None,
    key_or_object_id: Id,
    version: int,
    data_class: str | None = None,
    wrapping_key_id: Id | None = None,
) -> bytes:
    """Return the associated data of a wrap (docs/spec/envelope.md section 3).

    `key_or_object_id` names what is wrapped: a key, or the object that a CEK belongs to; `version`
    is its version or epoch, 1 to `MAX_VERSION`. Raises CryptoContextError when a field that the
    purpose requires is None, one that it excludes is not, or a value is outside its alphabet.
    """
    fields = {
        "tenant_id": tenant_id,
        "data_class": data_class,
        "wrapping_key_id": wrapping_key_id,
        "subject_id": subject_id,
    }
    absent = frozenset(name for name, value in fields.items() if value is None)
    if absent != _ABSENT.get(purpose):
        raise CryptoContextError(f"fields missing or superfluous for the purpose {purpose}")
    return (
        wrap_context_head(purpose, region, tenant_id, data_class)
        + length_prefixed(b"" if wrapping_key_id is None else id_bytes(wrapping_key_id))
        + length_prefixed(b"" if subject_id is None else id_bytes(subject_id))
        + length_prefixed(id_bytes(key_or_object_id))
        + length_prefixed(version_bytes(version))
    )


def wrap_context_head(
    purpose: Purpose, region: str, tenant_id: Id | None, data_class: str | None
) -> bytes:
    """Return the first part of a wrap's associated data, up to and with the data class."""
    return (
        length_prefixed(_WRAP_LABEL)
        + length_prefixed(purpose.encode("ascii"))
        + length_prefixed(region_bytes(region))
        + length_prefixed(b"" if tenant_id is None else id_bytes(tenant_id))
        + length_prefixed(b"" if data_class is None else data_class_bytes(data_class))
    )


def derive_key_and_commitment(secret: bytes, salt: bytes, info: bytes) -> tuple[bytes, bytes]:
    """Return the halves, 32 bytes each, of HKDF-SHA-512(secret, salt, info, 64 bytes).

    RFC 5869: 64 bytes are one SHA-512 block, so expanding is one HMAC. An empty salt stands for 64
    zeros, as HMAC pads it. A third of the time of an HKDF object.
    """
    output = hmac_sha512(hmac_sha512(salt, secret), info + b"\x01")
    return output[:32], output[32:]


def length_prefixed(value: bytes) -> bytes:
    """Return lp(value): its length as 8 bytes, big-endian, then itself."""
    return len(value).to_bytes(_LENGTH_SIZE, "big") + value


def id_bytes(value: Id) -> bytes:
    """Return the 16 bytes of an id; raises CryptoContextError for anything else."""
    if isinstance(value, bytes) and len(value) == ID_SIZE:
        return value
    if isinstance(value, UUID):
        return value.bytes
    raise CryptoContextError("an id is a UUID or 16 bytes")


def version_bytes(version: int) -> bytes:
    """Return a version or epoch as 8 bytes; raises CryptoContextError outside 1 to MAX_VERSION."""
    if type(version) is not int or not 1 <= version <= MAX_VERSION:
        raise CryptoContextError("a version is an integer from 1 to 2^31 - 1")
    return version.to_bytes(8, "big")


def region_bytes(region: str) -> bytes:
    """Return a region's name in ASCII; raises CryptoContextError outside its alphabet."""
    if not _REGION.fullmatch(region):
        raise CryptoContextError("a region is 1 to 32 characters of a-z 0-9 -")
    return region.encode("ascii")


def data_class_bytes(data_class: str) -> bytes:
    """Return a data class in ASCII; raises CryptoContextError outside its alphabet."""
    if not _DATA_CLASS.fullmatch(data_class):
        raise CryptoContextError("a data class is 1 to 64 characters of a-z 0-9 _ . -")
    return data_class.encode("ascii")


def _secret(key: bytes) -> bytes:
    if len(key) != SECRET_SIZE:
        raise WrapError("a wrapping key is 32 bytes")
    return key


def _check_form(wrapped: bytes) -> None:
    if len(wrapped) < WRAP_SIZE:
        raise WrapTruncatedError("shorter than a wrap")
    if wrapped[0] != _WRAP_VERSION:
        raise WrapVersionError("not a wrap of version 1")
    if wrapped[1] != WRAP_SUITE:
        raise WrapSuiteError("not a wrap of a known suite")
    if len(wrapped) != WRAP_SIZE:
        raise WrapError("longer than a wrap")
