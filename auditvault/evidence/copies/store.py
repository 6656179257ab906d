"""Where copies are kept: objects that are created and never replaced. And the plainest such place, a directory.

A directory keeps nothing by itself; it is for a disk that does (a WORM filer), for tests, and for copies that are taken
away. Cloud stores are `object_store`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import ClassVar, Protocol
from uuid import uuid4

from auditvault.core.errors import AuditvaultError
from auditvault.ledger.durable import sync_directory

_INCOMING = ".incoming"
_READ_ONLY = 0o444


class CopyStoreError(AuditvaultError):
    """The store did not do what it was asked; every subclass has its own code."""

    code: ClassVar[str] = "copy_store_failed"


class StoreUnusableError(CopyStoreError):
    """The store's URL, its settings or the installation do not let it be used."""

    code: ClassVar[str] = "copy_store_unusable"


class StoreUnavailableError(CopyStoreError):
    """The store does not answer, or not with success."""

    code: ClassVar[str] = "copy_store_unavailable"


class StoreDeniedError(CopyStoreError):
    """The store does not know the credentials, or does not let them do this."""

    code: ClassVar[str] = "copy_store_denied"


class CopyDiffersError(CopyStoreError):
    """An object is there with other content: history was changed, or the log has two."""

    code: ClassVar[str] = "copy_differs"


class ObjectExistsError(CopyStoreError):
    """There is an object of that name. It is caught where objects are put."""


class ObjectMissingError(CopyStoreError):
    """There is no object of that name."""

    code: ClassVar[str] = "copy_missing"


class Store(Protocol):
    """Creates, reads and lists objects; raises CopyStoreError and nothing else. For several threads at once."""

    def create(self, name: str, data: bytes) -> None:
        """Make the object, whole or not at all; raises ObjectExistsError."""
        ...

    def read(self, name: str, limit: int) -> bytes:
        """Return its content, of which at most `limit` + 1 bytes; raises ObjectMissingError."""
        ...

    def names(self, folder: str, after: str = "") -> Iterator[str]:
        """Yield the names in a folder, without it, that sort behind `after`; in ascending order."""
        ...

    def folders(self, folder: str) -> list[str]:
        """Return the names of the folders in a folder."""
        ...


def put_once(store: Store, name: str, data: bytes) -> bool:
    """Make sure that the object is there with this content; True if it was made now.

    An answer that was lost, and an attempt after it, end as a success: the object is there and is the same.

    Raises:
        CopyDiffersError: it is there with other content, and stays so.
        CopyStoreError: whatever else the store says.
    """
    try:
        store.create(name, data)
    except ObjectExistsError:
        if store.read(name, len(data)) != data:
            raise CopyDiffersError(f"{name} is in the store with other content.") from None
        return False
    return True


class DirectoryStore:
    """Files below a directory that exists; on the disk when `create` returns.

    A file is written aside, made durable and then linked to its name, which fails where there is one. A crash leaves a
    file in `.incoming` that nobody needs.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def create(self, name: str, data: bytes) -> None:
        """As `Store`."""
        target = self._directory / name
        aside = self._directory / _INCOMING / uuid4().hex
        try:
            self._require()
            self._make(aside.parent)
            self._make(target.parent)
            _write(aside, data)
            try:
                os.link(aside, target)
            finally:
                aside.unlink()
            sync_directory(target.parent)
        except FileExistsError:
            raise ObjectExistsError(f"{name} is in the store.") from None
        except OSError as error:
            raise _failed(error) from error

    def read(self, name: str, limit: int) -> bytes:
        """As `Store`."""
        try:
            self._require()
            with (self._directory / name).open("rb") as file:
                return file.read(limit + 1)
        except (FileNotFoundError, NotADirectoryError):
            raise ObjectMissingError(f"{name} is not in the store.") from None
        except OSError as error:
            raise _failed(error) from error

    def names(self, folder: str, after: str = "") -> Iterator[str]:
        """As `Store`; the names of one folder are held in memory."""
        yield from (name for name in self._entries(folder, directories=False) if name > after)

    def folders(self, folder: str) -> list[str]:
        """As `Store`."""
        return self._entries(folder, directories=True)

    def _entries(self, folder: str, *, directories: bool) -> list[str]:
        try:
            self._require()
            with os.scandir(self._directory / folder) as found:
                return sorted(each.name for each in found if each.is_dir() is directories)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise _failed(error) from error

    def _require(self) -> None:
        """A directory that is not there is a disk that is not mounted, not one to make."""
        if not self._directory.is_dir():
            raise StoreUnavailableError("The directory of the copies is not there.")

    def _make(self, directory: Path) -> None:
        if directory.is_dir():
            return
        self._make(directory.parent)
        with suppress(FileExistsError):
            directory.mkdir()
        sync_directory(directory.parent)


def _write(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _READ_ONLY)
    with open(descriptor, "wb") as file:  # noqa: PTH123  # a descriptor has no path
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _failed(error: OSError) -> CopyStoreError:
    if isinstance(error, PermissionError):
        return StoreDeniedError("The directory of the copies may not be written or read.")
    return StoreUnavailableError(f"The directory of the copies fails: {error.strerror}.")
