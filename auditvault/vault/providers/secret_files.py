"""Files with what opens a key provider: a PIN, a token, an AppRole's secret.

The rules are those of root key files (docs/spec/keys.md section 3): a regular file of this user or root that nobody
else can read. A projected service account token is the platform's and is taken as it lies. A file is read each time
it is needed: others renew it.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from auditvault.vault.providers.errors import KeyProviderSecretError

_MOST_READ = 16 * 1024
_GOOD_MODES = (0o600, 0o400)
_ROOT_UID = 0


def read_secret(path: Path, *, of_platform: bool = False) -> str:
    """The text in the file without white space around it; raises KeyProviderSecretError, which names the file."""
    try:
        # Not blocking, because opening a pipe would wait for a writer before it could be refused.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise _unusable(path, f"cannot be read: {error.strerror}") from error
    try:
        _check(path, os.fstat(descriptor), of_platform=of_platform)
        content = os.read(descriptor, _MOST_READ)
    except OSError as error:
        raise _unusable(path, f"cannot be read: {error.strerror}") from error
    finally:
        os.close(descriptor)
    return _text(path, content)


def _check(path: Path, status: os.stat_result, *, of_platform: bool) -> None:
    """Judge the opened file, not the path, which could be exchanged in between."""
    if not stat.S_ISREG(status.st_mode):
        raise _unusable(path, "is not a regular file")
    if of_platform:
        return
    if status.st_uid not in (_ROOT_UID, os.geteuid()):
        raise _unusable(path, f"belongs to user {status.st_uid}, not to this one or to root")
    mode = stat.S_IMODE(status.st_mode)
    if mode not in _GOOD_MODES:
        raise _unusable(path, f"has mode {mode:04o}; it must be 0600")


def _text(path: Path, content: bytes) -> str:
    try:
        found = content.decode("ascii").strip()
    except UnicodeDecodeError:
        raise _unusable(path, "is not ASCII text") from None  # the cause would repeat the content
    if not found or len(content) == _MOST_READ or not found.isprintable():
        raise _unusable(path, "must hold one line")
    return found


def _unusable(path: Path, why: str) -> KeyProviderSecretError:
    return KeyProviderSecretError(f"The file {path} of the key provider {why}.")
