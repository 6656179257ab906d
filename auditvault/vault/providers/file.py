"""The key provider that reads its root keys from files.

Rules kept: docs/spec/keys.md section 3. A file holds 32 bytes in hex and is refused unless it is
a regular file of this user or root that nobody else can read; there is no default key. The first file is
made by the operator.
"""

from __future__ import annotations

import contextlib
import glob
import hmac
import os
import re
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from auditvault.core.crypto.keywrap import (
    ID_SIZE,
    SECRET_SIZE,
    KeyProviderError,
    KeyRefUnknownError,
    RootKeyDestroyedError,
    WrapKey,
    length_prefixed,
    version_bytes,
)
from auditvault.ledger.durable import sync_directory

_LABEL = b"auditvault/file-provider/1"
_KEY_TEXT = re.compile(rb"([0-9A-Fa-f]{64})\n?")
_MOST_READ = 2 * SECRET_SIZE + 2  # one byte more than a good file has
_GOOD_MODES = (0o600, 0o400)
_ROOT_UID = 0
_TOMBSTONE = ".destroyed"
_OVERWRITTEN = b"-" * (2 * SECRET_SIZE)  # no key, and read as none


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


class RootKeyNotMadeError(RootKeyError):
    """The file of a new root key could not be written."""

    code: ClassVar[str] = "root_key_not_made"


class RootKeyNotDestroyedError(RootKeyError):
    """The file could not be overwritten and removed."""

    code: ClassVar[str] = "root_key_not_destroyed"


class FileKeyProvider:
    """Wraps region KEKs under root keys that are read from files, one file for each epoch.

    The first epoch's file is `path`, which somebody else makes; those of later epochs stand beside it.
    """

    def __init__(self, path: Path) -> None:
        """Read every root key that is there; raises a RootKeyError when a file breaks a rule or none is there."""
        self._path = path
        self._keys: dict[str, tuple[Path, WrapKey]] = {}
        self._load()
        if not self._keys and not self._destroyed():
            _read_root_key(path)  # says what is wrong with it

    def make_key(self, epoch: int) -> str:
        """Return the reference of the epoch's root key, whose file is made where it is none of the first epoch.

        A crash leaves the whole file or none, and a temporary one that nobody reads. Raises
        RootKeyMissingError, RootKeyNotMadeError, or RootKeyDestroyedError for an epoch whose key was destroyed.
        """
        version_bytes(epoch)
        path = self._path if epoch == 1 else self._path.with_name(f"{self._path.name}.e{epoch}")
        if _tombstone(path).exists():
            raise RootKeyDestroyedError(f"the root key of {path} was destroyed")
        if epoch > 1 and not path.exists():
            _make_root_key(path, owned_like=self._owner())
        return self._remember(path, _read_root_key(path))

    def wrap(self, key_ref: str, secret: bytes, context: bytes) -> bytes:
        """Wrap the 32-byte `secret`, bound to `context`.

        Raises KeyRefUnknownError, RootKeyDestroyedError, or WrapError for a secret of another size.
        """
        return self._named(key_ref)[1].wrap(secret, _associated_data(key_ref, context))

    def unwrap(self, key_ref: str, wrapped: bytes, context: bytes) -> bytes:
        """Return the secret in `wrapped`.

        Raises WrapKeyMismatchError when it was wrapped under another root key, another WrapError
        when it was changed or bound to another context, KeyRefUnknownError or
        RootKeyDestroyedError.
        """
        return self._named(key_ref)[1].unwrap(wrapped, _associated_data(key_ref, context))

    def destroy(self, key_ref: str) -> None:
        """Overwrite and remove the root key's file, and forget the key.

        Everything wrapped under it is unreadable from then on, as far as the file system really
        forgets and other processes have ended. A note beside it comes first and stays, so that whoever
        crashed in between is taken up by asking again. Raises RootKeyChangedError when the file holds
        another key by now, which is left alone, and RootKeyNotDestroyedError when it cannot be removed.
        """
        path = self._destroyed().get(key_ref)
        if path is None:
            path = self._named(key_ref)[0]
            if _key_ref(_read_root_key(path)) != key_ref:
                raise RootKeyChangedError(f"the root key file {path} holds another key now")
        if path.is_symlink():
            raise RootKeyNotDestroyedError(
                f"the root key file {path} is a link; removing it would leave the key where it points"
            )
        try:
            _write_new(_tombstone(path), f"{key_ref}\n".encode("ascii"))
            with contextlib.suppress(FileNotFoundError):  # somebody else destroys it, too
                _overwrite(path)
                path.unlink()
                sync_directory(path.parent)
        except OSError as error:
            raise RootKeyNotDestroyedError(
                f"the root key file {path} could not be destroyed: {error.strerror}"
            ) from error
        self._keys.pop(key_ref, None)

    def health(self, key_ref: str) -> None:
        """Raise a RootKeyError unless the key's file still holds it and keeps all rules."""
        path = self._named(key_ref)[0]
        if _key_ref(_read_root_key(path)) != key_ref:
            raise RootKeyChangedError(f"the root key file {path} holds another key now")

    def _named(self, key_ref: str) -> tuple[Path, WrapKey]:
        if key_ref in self._destroyed():
            self._keys.pop(key_ref, None)
            raise RootKeyDestroyedError("the root key of that reference was destroyed")
        if key_ref not in self._keys:
            self._load()  # another process may have made it
        if key_ref not in self._keys:
            raise KeyRefUnknownError(f"no root key file beside {self._path} has that reference")
        return self._keys[key_ref]

    def _load(self) -> None:
        for path in self._files():
            root_key = _read_root_key(path)
            self._remember(path, root_key)

    def _remember(self, path: Path, root_key: bytes) -> str:
        key_ref = _key_ref(root_key)
        self._keys.setdefault(key_ref, (path, WrapKey(_key_id(root_key), root_key)))
        return key_ref

    def _files(self) -> list[Path]:
        """The files that hold a root key; one whose destruction was begun holds none."""
        name = re.compile(re.escape(self._path.name) + r"(\.e[1-9][0-9]*)?")
        try:
            found = sorted(self._path.parent.iterdir())
        except OSError:
            return []  # what the path itself says is the better message
        return [
            path for path in found if name.fullmatch(path.name) and not _tombstone(path).exists()
        ]

    def _destroyed(self) -> dict[str, Path]:
        """The files of destroyed keys, there or not, by reference."""
        notes = self._path.parent.glob(f"{glob.escape(self._path.name)}*{_TOMBSTONE}")
        return {
            note.read_text("ascii").strip(): note.with_name(note.name.removesuffix(_TOMBSTONE))
            for note in notes
        }

    def _owner(self) -> tuple[int, int]:
        """Who owns the keys that are there: a root who turns the epoch must not shut the service out."""
        paths = [path for path, _ in self._keys.values()] or [self._path.parent]
        status = paths[-1].stat()
        return status.st_uid, status.st_gid


def _associated_data(key_ref: str, context: bytes) -> bytes:
    return (
        length_prefixed(_LABEL)
        + length_prefixed(key_ref.encode("ascii"))
        + length_prefixed(context)
    )


def _tombstone(path: Path) -> Path:
    return path.with_name(path.name + _TOMBSTONE)


def _key_ref(root_key: bytes) -> str:
    """The reference of a root key; says nothing about the key."""
    return f"file:{_key_id(root_key).hex()}"


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


def _make_root_key(path: Path, *, owned_like: tuple[int, int]) -> None:
    try:
        _write_new(path, secrets.token_hex(SECRET_SIZE).encode("ascii"), owned_like=owned_like)
    except OSError as error:
        raise RootKeyNotMadeError(
            f"the root key file {path} could not be written: {error.strerror}"
        ) from error


def _write_new(path: Path, content: bytes, *, owned_like: tuple[int, int] | None = None) -> None:
    """Make a file of mode 0600 with this content, whole or not at all; what is there already stays."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            if owned_like is not None and os.geteuid() == _ROOT_UID:
                os.fchown(file.fileno(), *owned_like)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)  # fails where somebody else was first
    finally:
        draft.unlink()
    sync_directory(path.parent)


def _overwrite(path: Path) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        os.write(descriptor, _OVERWRITTEN)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
