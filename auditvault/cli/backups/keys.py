"""The files of a backup's keys: one that encrypts, one that signs, and the public keys that are believed.

The rules are those of a root key's file (docs/spec/keys.md section 3), judged on the opened file.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import ClassVar

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from auditvault.core.backup import BackupKey
from auditvault.core.errors import AuditvaultError

_KEY_TEXT = re.compile(rb"([0-9a-fA-F]{64})\n?")
_PEM_BLOCK = re.compile(rb"-----BEGIN PUBLIC KEY-----.*?-----END PUBLIC KEY-----\n?", re.DOTALL)
_GOOD_MODES = (0o600, 0o400)
_MOST_READ = 64 * 1024


class BackupKeyError(AuditvaultError):
    """A key of backups is missing, exposed, or none."""

    code: ClassVar[str] = "backup_key_unusable"


def read_backup_key(path: Path) -> BackupKey:
    """The key that encrypts, from 64 hexadecimal digits; raises BackupKeyError."""
    found = _KEY_TEXT.fullmatch(_read_private(path))
    if found is None:
        raise BackupKeyError(
            f"{path} does not hold 64 hexadecimal digits: openssl rand -hex 32 makes them"
        )
    return BackupKey(bytes.fromhex(found[1].decode("ascii")))


def read_signing_key(path: Path) -> Ed25519PrivateKey:
    """The key that signs manifests, PEM of PKCS#8; raises BackupKeyError."""
    try:
        key = serialization.load_pem_private_key(_read_private(path), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise BackupKeyError(f"{path} does not hold a private key in PEM") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise BackupKeyError(f"{path} does not hold an Ed25519 key")
    return key


def read_public_keys(path: Path) -> list[Ed25519PublicKey]:
    """The keys that are believed: one or more in PEM, one behind the other; raises BackupKeyError."""
    try:
        blocks = _PEM_BLOCK.findall(path.read_bytes()[:_MOST_READ])
        keys = [serialization.load_pem_public_key(block) for block in blocks]
    except OSError as error:
        raise BackupKeyError(f"cannot read the public keys {path}: {error.strerror}") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise BackupKeyError(f"{path} does not hold public keys in PEM") from error
    trusted = [key for key in keys if isinstance(key, Ed25519PublicKey)]
    if not trusted or len(trusted) != len(keys):
        raise BackupKeyError(f"{path} must hold Ed25519 public keys in PEM, and no others")
    return trusted


def _read_private(path: Path) -> bytes:
    try:
        # Not blocking, because opening a pipe would wait for a writer before it could be refused.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise BackupKeyError(f"cannot read the key file {path}: {error.strerror}") from error
    try:
        _check(path, os.fstat(descriptor))
        return os.read(descriptor, _MOST_READ)
    except OSError as error:
        raise BackupKeyError(f"cannot read the key file {path}: {error.strerror}") from error
    finally:
        os.close(descriptor)


def _check(path: Path, status: os.stat_result) -> None:
    """Judge the opened file, not the path, which could be exchanged in between."""
    if not stat.S_ISREG(status.st_mode):
        raise BackupKeyError(f"the key file {path} is not a regular file")
    if status.st_uid not in (0, os.geteuid()):
        raise BackupKeyError(f"the key file {path} must belong to this user or to root")
    mode = stat.S_IMODE(status.st_mode)
    if mode not in _GOOD_MODES:
        raise BackupKeyError(f"the key file {path} has mode {mode:04o}; it must be 0600")
