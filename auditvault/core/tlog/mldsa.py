"""A log's ML-DSA-44 signature of its checkpoint (C2SP type 0x06), beside the Ed25519 one.

Rules kept: docs/spec/checkpoint.md section 2.1, c2sp.org/tlog-cosignature and FIPS 204. The key is
named by the log's origin, as the log's Ed25519 key is. What is signed is a structure and not the
text, so a text that is no checkpoint has no such signature. Signing is hedged: two signatures of
one message differ.

`cryptography` offers the algorithm from version 48, where its OpenSSL does. Elsewhere `available`
is False, and a verifier then treats the line as one of an unknown key.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, ClassVar

from cryptography.exceptions import UnsupportedAlgorithm

from auditvault.core.tlog.checkpoint import Checkpoint, CheckpointError
from auditvault.core.tlog.note import (
    LogVerifier,
    NoteError,
    NoteSignatureError,
    SignatureLine,
    key_id_of,
)

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA44PublicKey

try:
    from cryptography.hazmat.primitives.asymmetric import mldsa as _mldsa
except ImportError:  # an older `cryptography`
    _OFFERED = False
else:
    _OFFERED = True

ALGORITHM = b"\x06"
PUBLIC_KEY_SIZE = 1_312
SIGNATURE_SIZE = 2_420
MAX_TIMESTAMP = 2**63 - 1

_LABEL = b"subtree/v1\n\x00"
_TIMESTAMP_SIZE = 8
_MAX_NAME_SIZE = 255
"""Bytes of UTF-8 of a key's and a log's name: the structure gives a length one byte."""


class MlDsaUnavailableError(NoteError):
    """The installed `cryptography` has no ML-DSA-44."""

    code: ClassVar[str] = "mldsa_unavailable"


@cache
def available() -> bool:
    """Return whether the installed `cryptography` can sign and verify with ML-DSA-44."""
    if not _OFFERED:
        return False
    try:
        _mldsa.MLDSA44PrivateKey.from_seed_bytes(bytes(32))
    except UnsupportedAlgorithm:
        return False
    return True


def signed_message(name: str, checkpoint: Checkpoint, *, timestamp: int, start: int = 0) -> bytes:
    """Return the `cosigned_message` that the key `name` signs for `checkpoint`.

    `timestamp` is in POSIX seconds, 0 to 2^63 - 1. A checkpoint's tree starts at 0; the format
    knows subtrees too. Raises NoteError when a name is longer than 255 bytes.
    """
    return b"".join(
        (
            _LABEL,
            _opaque(name),
            timestamp.to_bytes(_TIMESTAMP_SIZE),
            _opaque(checkpoint.origin),
            start.to_bytes(8),
            checkpoint.size.to_bytes(8),
            checkpoint.root,
        )
    )


class MlDsaVerifier(LogVerifier):
    """A log's ML-DSA-44 public key, 1,312 bytes, under the log's name.

    Raises MlDsaUnavailableError where `available` is False.
    """

    __slots__ = ()

    ALGORITHM: ClassVar[bytes] = ALGORITHM

    def verify(self, text: str, signature: bytes) -> None:
        """Raise NoteSignatureError unless `signature` is this key's for the checkpoint `text`."""
        self.verified_time(text, signature)

    def verified_time(self, text: str, signature: bytes) -> int:
        """Return when, in POSIX seconds, this key signed `text`; 0 where it does not say.

        `signature` is the time and the ML-DSA-44 signature, 2,428 bytes. Raises NoteSignatureError.
        """
        timestamp = int.from_bytes(signature[:_TIMESTAMP_SIZE])
        if len(signature) != _TIMESTAMP_SIZE + SIGNATURE_SIZE or timestamp > MAX_TIMESTAMP:
            raise NoteSignatureError("an ML-DSA-44 signature of a known key is malformed")
        try:
            checkpoint = Checkpoint.parse(text)
        except CheckpointError as error:
            raise NoteSignatureError("an ML-DSA-44 signature is of a checkpoint") from error
        message = signed_message(self.name, checkpoint, timestamp=timestamp)
        self._check(message, signature[_TIMESTAMP_SIZE:])
        return timestamp

    def _load(self, public_key: bytes) -> MLDSA44PublicKey:
        if len(public_key) != PUBLIC_KEY_SIZE:
            raise NoteError("an ML-DSA-44 public key is 1,312 bytes")
        if not available():
            raise MlDsaUnavailableError("the installed cryptography has no ML-DSA-44")
        return _mldsa.MLDSA44PublicKey.from_public_bytes(public_key)


class MlDsaSigner:
    """One ML-DSA-44 key under one name, for signatures made at `timestamp` in POSIX seconds.

    Raises NoteError for a name that a key cannot have or a time outside 0 to 2^63 - 1.
    """

    __slots__ = ("_key_id", "_name", "_private_key", "_timestamp")

    def __init__(self, name: str, private_key: MLDSA44PrivateKey, *, timestamp: int) -> None:
        if type(timestamp) is not int or not 0 <= timestamp <= MAX_TIMESTAMP:
            raise NoteError("a signature's time is 0 to 2^63 - 1 seconds")
        public_key = private_key.public_key().public_bytes_raw()
        self._key_id = key_id_of(name, ALGORITHM, public_key)
        self._name = name
        self._private_key = private_key
        self._timestamp = timestamp

    def signature_line(self, text: str) -> str:
        """Return the line, newline included, that signs the checkpoint `text`; raises NoteError."""
        try:
            checkpoint = Checkpoint.parse(text)
        except CheckpointError as error:
            raise NoteError("an ML-DSA-44 signature is of a checkpoint") from error
        message = signed_message(self._name, checkpoint, timestamp=self._timestamp)
        blob = self._timestamp.to_bytes(_TIMESTAMP_SIZE) + self._private_key.sign(message)
        return SignatureLine(self._name, self._key_id, blob).render()


def _opaque(name: str) -> bytes:
    """`opaque <1..2^8-1>` of RFC 8446 section 3.4: a length of one byte, then the bytes."""
    data = name.encode()
    if not 1 <= len(data) <= _MAX_NAME_SIZE:
        raise NoteError("a name in an ML-DSA-44 signature is at most 255 bytes")
    return bytes([len(data)]) + data
