"""The key provider that reads its root key from a file.

Rules kept: docs/spec/keys.md section 3. The file holds 32 bytes in hex and is refused unless it is
a regular file of this user or root that nobody else can read; there is no default key. Making the
file and deciding when to replace it are left to the operator.
"""

from __future__ import annotations

import contextlib
import hmac
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from auditvault.core.crypto.keywrap import (
    ID_SIZE,
    SECRET_SIZE,
    KeyProviderError,
    WrapKey,
    length_prefixed,
)

_LABEL = b"auditvault/file-provider/1"
_KEY_TEXT = re.compile(rb"([0-9A-Fa-f]{64})\n?")
_MOST_READ = 2 * SECRET_SIZE + 2  # one byte more than a good file has
_GOOD_MODES = (0o600, 0o400)
_ROOT_UID = 0


class RootKeyError(KeyProviderError):
    """The root key cannot be used; the message names the file and never its content."""


class RootKeyMissingError(RootKeyError):
    """There is no such file."""

    code: ClassVar[str] = "root_key_missing"


class RootKeyUnreadableError(RootKeyError):
    """The file cannot be opened or read, or is not a regular file."""

    code: ClassVar[str] = "root_key_unreadable"


class RootKeyExposedError(RootKeyError):
    """The file belongs to somebody else, or others may read or write it."""

    code: ClassVar[str] = "root_key_exposed"


class RootKeyMalformedError(RootKeyError):
    """The file does not hold 64 hexadecimal digits."""

    code: ClassVar[str] = "root_key_malformed"


class RootKeyChangedError(RootKeyError):
    """The file now holds another key than the one that was loaded."""

    code: ClassVar[str] = "root_key_changed"


class RootKeyDestroyedError(RootKeyError):
    """The key was destroyed through this provider."""

    code: ClassVar[str] = "root_key_destroyed"


class RootKeyNotDestroyedError(RootKeyError):
    """The file could not be overwritten and removed."""

    code: ClassVar[str] = "root_key_not_destroyed"


class KeyRefUnknownError(KeyProviderError):
    """The reference names no key of this provider."""

    code: ClassVar[str] = "key_ref_unknown"


class FileKeyProvider:
    """Wraps region KEKs under one root key that was read from a file."""

    def __init__(self, path: Path) -> None:
        """Read the root key; raises a RootKeyError when the file breaks a rule."""
        self._path = path
        root_key = _read_root_key(path)
        key_id = _key_id(root_key)
        self._key_ref = f"file:{key_id.hex()}"
        self._wrap_key: WrapKey | None = WrapKey(key_id, root_key)

    @property
    def key_ref(self) -> str:
        """The reference of the root key; says nothing about the key."""
        return self._key_ref

    def wrap(self, key_ref: str, secret: bytes, context: bytes) -> bytes:
        """Wrap the 32-byte `secret`, bound to `context`.

        Raises KeyRefUnknownError, RootKeyDestroyedError, or WrapError for a secret of another size.
        """
        return self._named(key_ref).wrap(secret, self._associated_data(context))

    def unwrap(self, key_ref: str, wrapped: bytes, context: bytes) -> bytes:
        """Return the secret in `wrapped`.

        Raises WrapKeyMismatchError when it was wrapped under another root key, another WrapError
        when it was changed or bound to another context, KeyRefUnknownError or
        RootKeyDestroyedError.
        """
        return self._named(key_ref).unwrap(wrapped, self._associated_data(context))

    def destroy(self, key_ref: str) -> None:
        """Overwrite and remove the root key file, and forget the key.

        Everything wrapped under it is unreadable from then on, as far as the file system really
        forgets and other processes have ended. Raises RootKeyChangedError when the file holds
        another key by now, which is left alone, and RootKeyNotDestroyedError when it cannot be
        removed.
        """
        self._named(key_ref)
        self._check_file()
        try:
            _overwrite(self._path)
            self._path.unlink()
            _sync(self._path.parent)
        except OSError as error:
            raise RootKeyNotDestroyedError(
                f"the root key file {self._path} could not be destroyed: {error.strerror}"
            ) from error
        self._wrap_key = None

    def health(self) -> None:
        """Raise a RootKeyError unless the file still holds the loaded key and keeps all rules."""
        self._named(self._key_ref)
        self._check_file()

    def _named(self, key_ref: str) -> WrapKey:
        if key_ref != self._key_ref:
            raise KeyRefUnknownError("the reference names no key of this provider")
        if self._wrap_key is None:
            raise RootKeyDestroyedError(f"the root key of {self._path} was destroyed")
        return self._wrap_key

    def _check_file(self) -> None:
        if self._key_ref != f"file:{_key_id(_read_root_key(self._path)).hex()}":
            raise RootKeyChangedError(f"the root key file {self._path} holds another key now")

    def _associated_data(self, context: bytes) -> bytes:
        return (
            length_prefixed(_LABEL)
            + length_prefixed(self._key_ref.encode("ascii"))
            + length_prefixed(context)
        )


def _key_id(root_key: bytes) -> bytes:
    return hmac.digest(root_key, _LABEL, "sha256")[:ID_SIZE]


def _read_root_key(path: Path) -> bytes:
    with _opened(path) as descriptor:
        _check_owner_and_mode(path, os.fstat(descriptor))
        try:
            text = os.read(descriptor, _MOST_READ)
        except OSError as error:
            raise _unreadable(path, error) from error
    match = _KEY_TEXT.fullmatch(text)
    if match is None:
        raise RootKeyMalformedError(
            f"the root key file {path} does not hold {2 * SECRET_SIZE} hexadecimal digits"
        )
    return bytes.fromhex(match[1].decode("ascii"))


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    try:
        # Not blocking, because opening a pipe would wait for a writer before it could be refused.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError as error:
        raise RootKeyMissingError(f"there is no root key file {path}") from error
    except OSError as error:
        raise _unreadable(path, error) from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _unreadable(path: Path, error: OSError) -> RootKeyUnreadableError:
    return RootKeyUnreadableError(f"cannot read the root key file {path}: {error.strerror}")


def _check_owner_and_mode(path: Path, status: os.stat_result) -> None:
    """Judge the opened file, not the path, which could be exchanged in between."""
    if not stat.S_ISREG(status.st_mode):
        raise RootKeyUnreadableError(f"the root key file {path} is not a regular file")
    if status.st_uid not in (_ROOT_UID, os.geteuid()):
        raise RootKeyExposedError(
            f"the root key file {path} belongs to user {status.st_uid}; "
            "it must belong to this user or to root"
        )
    mode = stat.S_IMODE(status.st_mode)
    if mode not in _GOOD_MODES:
        raise RootKeyExposedError(f"the root key file {path} has mode {mode:04o}; it must be 0600")


def _overwrite(path: Path) -> None:
    # A link is refused: removing it would leave the key where it points.
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        os.write(descriptor, os.urandom(SECRET_SIZE).hex().encode("ascii"))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
