"""Public keys that logs are signed with, of either algorithm, apart from any name.

Rules kept: docs/spec/checkpoint.md section 2. One key signs many logs, each under the log's own
name, so a key becomes a verifier only once it is asked about an origin. A key can be read, kept
and compared also where its algorithm is not to be had. Which keys to trust is left to the caller.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from auditvault.core.errors import AuditvaultError
from auditvault.core.tlog import mldsa
from auditvault.core.tlog.note import (
    PUBLIC_KEY_SIZE,
    LogVerifier,
    NoteError,
    NoteVerifier,
    join_vkey,
    key_id_of,
    split_vkey,
)

ED25519 = "ed25519"
ML_DSA_44 = "ml-dsa-44"

_BYTES = {ED25519: NoteVerifier.ALGORITHM, ML_DSA_44: mldsa.ALGORITHM}
_NAMES = {byte: name for name, byte in _BYTES.items()}
_SIZES = {ED25519: PUBLIC_KEY_SIZE, ML_DSA_44: mldsa.PUBLIC_KEY_SIZE}


class LogKeyError(AuditvaultError):
    """A log's public key is of an unknown algorithm, or not of its algorithm's size."""

    code: ClassVar[str] = "log_key_malformed"


@dataclass(frozen=True, kw_only=True, slots=True)
class LogKey:
    """A public key; making one with a value outside its rule raises LogKeyError."""

    algorithm: str
    """ED25519 or ML_DSA_44."""
    public_key: bytes
    """32 bytes, or 1,312."""

    def __post_init__(self) -> None:
        size = _SIZES.get(self.algorithm)
        if size is None:
            raise LogKeyError("a log's key is of type ed25519 or ml-dsa-44")
        if len(self.public_key) != size:
            raise LogKeyError(f"a public key of type {self.algorithm} is {size:,} bytes")

    @classmethod
    def from_vkey(cls, vkey: str) -> tuple[str, LogKey]:
        """Return the name and the key of a verifier key of type 0x01 or 0x06.

        Raises NoteError for another form or a key ID that is not the key's, LogKeyError.
        """
        name, key_id, material = split_vkey(vkey)
        algorithm = _NAMES.get(material[:1])
        if algorithm is None:
            raise LogKeyError("a verifier key of an unknown algorithm")
        key = cls(algorithm=algorithm, public_key=material[1:])
        if key.key_id(name).hex() != key_id:
            raise NoteError("a verifier key's hash is not the one of its name and key")
        return name, key

    @classmethod
    def from_base64(cls, algorithm: str, text: str) -> LogKey:
        """Read what `encoded` writes; raises LogKeyError."""
        try:
            public_key = base64.b64decode(text, validate=True)
        except ValueError as error:
            raise LogKeyError("a public key is base64") from error
        return cls(algorithm=algorithm, public_key=public_key)

    def encoded(self) -> str:
        """Return the public key in standard base64."""
        return base64.b64encode(self.public_key).decode()

    def key_id(self, name: str) -> bytes:
        """Return the key's ID under `name`, four bytes; raises NoteError for a bad name."""
        return key_id_of(name, _BYTES[self.algorithm], self.public_key)

    def vkey(self, name: str) -> str:
        """Return the verifier key under `name`; raises NoteError for a bad name."""
        return join_vkey(name, self.key_id(name), _BYTES[self.algorithm] + self.public_key)

    def verifier(self, name: str) -> LogVerifier | None:
        """Return the verifier under `name`; None where the algorithm is not to be had."""
        if self.algorithm == ED25519:
            return NoteVerifier(name, self.public_key)
        return mldsa.MlDsaVerifier(name, self.public_key) if mldsa.available() else None


def log_verifiers(name: str, keys: Iterable[LogKey]) -> list[LogVerifier]:
    """Return a verifier under `name` for each key, once, whose algorithm is to be had."""
    made = [key.verifier(name) for key in dict.fromkeys(keys)]
    return [verifier for verifier in made if verifier is not None]
