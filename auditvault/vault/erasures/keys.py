"""The key that signs a region's erasure ledger, and the public keys that are trusted for it.

The private key is a PEM file that keeps the rules of root keys (docs/spec/keys.md section 3). The public keys are named
by a setting of their own: neither the ledger nor a database says which to trust.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from django.conf import settings

from auditvault.core.errors import AuditvaultError
from auditvault.core.tlog.erasure_ledger import VerifiersFor
from auditvault.core.tlog.log_key import LogKey, log_verifiers

_MOST_READ = 4096
_GOOD_MODES = (0o600, 0o400)


class ErasureKeyError(AuditvaultError):
    """The private key cannot be used; the message names the file and never its content."""

    code = "erasure_key_unusable"


class ErasureTrustError(AuditvaultError):
    """The file of public keys cannot be read, or holds none."""

    code = "erasure_trust_unusable"


def signing_key(path: Path | None = None) -> Ed25519PrivateKey:
    """The key in the file that the settings name; raises ErasureKeyError."""
    path = path or Path(settings.ERASURE_KEY_FILE)
    if not str(path) or path == Path():
        raise ErasureKeyError(
            "AUDITVAULT_ERASURE_KEY_FILE must name the key of the erasure ledger."
        )
    try:
        key = load_pem_private_key(_read_private(path), password=None)
    except (ValueError, TypeError) as error:
        raise ErasureKeyError(f"{path} holds no private key in PEM.") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ErasureKeyError(f"{path} does not hold an Ed25519 key.")
    return key


def trusted_keys() -> VerifiersFor:
    """What verifies records with the keys in the file that the settings name; raises ErasureTrustError."""
    keys = _public_keys(settings.ERASURE_VKEYS_FILE)
    return lambda name: log_verifiers(name, keys)


def _public_keys(path: str) -> Sequence[LogKey]:
    if not path:
        raise ErasureTrustError(
            "AUDITVAULT_ERASURE_VKEYS_FILE must name the public keys of the erasure ledger."
        )
    try:
        lines = Path(path).read_text().splitlines()
        keys = [LogKey.from_vkey(line.strip())[1] for line in lines if line.strip()]
    except (OSError, ValueError, AuditvaultError) as error:
        raise ErasureTrustError(
            f"{path} cannot be read, or holds something that is no vkey."
        ) from error
    if not keys:
        raise ErasureTrustError(f"{path} holds no vkey.")
    return keys


def _read_private(path: Path) -> bytes:
    """Judge the opened file, not the path, which could be exchanged in between."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise ErasureKeyError(f"{path} cannot be read: {error.strerror}.") from error
    with open(descriptor, "rb") as file:  # noqa: PTH123  # a descriptor has no path
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise ErasureKeyError(f"{path} is not a regular file.")
        if (
            status.st_uid not in {0, os.geteuid()}
            or stat.S_IMODE(status.st_mode) not in _GOOD_MODES
        ):
            raise ErasureKeyError(f"{path} must be this user's or root's, and of mode 0600.")
        return file.read(_MOST_READ)
