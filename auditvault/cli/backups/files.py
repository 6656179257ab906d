"""The files of a backup's part: sealed as they are written, checked before and while they are read.

A part is written in a directory `<part>.unfinished`, its manifest last; then the directory gets its name. So a part
with a manifest is whole, and whatever a crash, a signal or a full disk leaves has neither.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import BinaryIO, ClassVar
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from auditvault.core.backup import (
    FILE_START,
    PARTS,
    BackupKey,
    Dump,
    Manifest,
    Part,
    Place,
    SealedFile,
    open_manifest,
    sign_manifest,
)
from auditvault.core.crypto.envelope import EnvelopeError
from auditvault.core.crypto.keywrap import WrapError
from auditvault.core.errors import AuditvaultError
from auditvault.ledger.durable import sync_directory

FILE_BYTES = 4 * 2**30
"""Bytes of a dump in one file: a store that takes no larger objects takes these."""

MANIFEST = "manifest.json"
_UNFINISHED = ".unfinished"
_CHUNK = 1024 * 1024
_MOST_MANIFEST = 64 * 1024 * 1024
_FULL = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the disk quota is used up"}

Progress = Callable[[Part, Dump, int], None]
"""Takes part, dump, and how many bytes of the dump were sealed or opened so far."""


class BackupStorageError(AuditvaultError):
    """A file of a backup cannot be written or read."""

    code: ClassVar[str] = "backup_storage_unavailable"


class BackupIncompleteError(AuditvaultError):
    """A part is missing, or was interrupted before it was complete."""

    code: ClassVar[str] = "backup_incomplete"


class BackupDamagedError(AuditvaultError):
    """A file is not the one that the manifest names."""

    code: ClassVar[str] = "backup_damaged"


@dataclass(frozen=True, slots=True, kw_only=True)
class PartWriter:
    """Writes one part of a backup; call `finish`, or `discard`."""

    final: Path
    """Where the part will be."""
    backup: UUID
    region: str
    part: Part
    key: BackupKey
    file_bytes: int = FILE_BYTES

    @property
    def unfinished(self) -> Path:
        """Where it is until it is whole."""
        return self.final.with_name(self.final.name + _UNFINISHED)

    def begin(self) -> None:
        """Make the directory; raises BackupStorageError."""
        try:
            self.unfinished.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.unfinished.mkdir(mode=0o700)
        except OSError as error:
            raise _storage_error(self.unfinished, error) from error

    def write(self, dump: Dump, content: Iterator[bytes], progress: Progress) -> list[SealedFile]:
        """Seal a whole dump into as many files as it takes; raises BackupStorageError, and what `content` raises."""
        source = _Source(content, lambda done: progress(self.part, dump, done))
        written: list[SealedFile] = []
        while not written or source.has_more():
            number = len(written) + 1
            place = Place(
                backup=self.backup, region=self.region, part=self.part, dump=dump, number=number
            )
            path = self.unfinished / f"{dump}.{number:04}"
            written.append(_write(path, self.key.seal(place, source.take(self.file_bytes))))
        return written

    def finish(self, manifest: Manifest, key: Ed25519PrivateKey) -> None:
        """Sign the manifest, and give the part its name; raises BackupStorageError."""
        _write(self.unfinished / MANIFEST, iter([sign_manifest(manifest, key)]))
        try:
            sync_directory(self.unfinished)
            self.unfinished.rename(self.final)
            sync_directory(self.final.parent)
        except OSError as error:
            raise _storage_error(self.final, error) from error

    def discard(self) -> None:
        """Remove what was written of a part that will not be whole."""
        shutil.rmtree(self.unfinished, ignore_errors=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class PartReader:
    """Reads one part whose manifest was believed."""

    directory: Path
    manifest: Manifest
    key: BackupKey

    def check(self, progress: Progress) -> None:
        """Compare every file with the manifest, and its key with ours.

        Raises BackupDamagedError, BackupIncompleteError, BackupStorageError, or a WrapError for another key.
        """
        for dump, file, place in self._files():
            digest, done = sha256(), 0
            with self._opened(file) as stream:
                start = stream.read(FILE_START)
                for chunk in chain([start], _chunks(stream)):
                    digest.update(chunk)
                    done += len(chunk)
                    progress(self.manifest.part, dump, done)
            if (done, digest.hexdigest()) != (file.size, file.sha256):
                raise _damaged(self.directory / file.name)
            self.key.check(place, start)

    def read(self, dump: Dump, progress: Progress) -> Iterator[bytes]:
        """The dump, in clear, checked once more while it is read: the disk may say something else by now.

        Raises as `check`. What was given out before is authentic; it is whole only when the iterator has ended.
        """
        done = 0
        for name, file, place in self._files():
            if name != dump:
                continue
            try:
                for plain in self._opened_file(file, place):
                    done += len(plain)
                    progress(self.manifest.part, dump, done)
                    yield plain
            except (EnvelopeError, WrapError) as error:
                raise _damaged(self.directory / file.name) from error

    def _opened_file(self, file: SealedFile, place: Place) -> Iterator[bytes]:
        digest = sha256()
        with self._opened(file) as stream:
            start = stream.read(FILE_START)
            digest.update(start)
            yield from self.key.open(place, start, _hashed(stream, digest.update))
        if digest.hexdigest() != file.sha256:
            raise _damaged(self.directory / file.name)

    def _files(self) -> Iterator[tuple[Dump, SealedFile, Place]]:
        """Each file, in order, with the place that it must be of."""
        manifest = self.manifest
        for dump in ("schema", "data"):
            for number, file in enumerate(manifest.dumps.get(dump, ()), start=1):
                if Path(file.name).name != file.name:
                    raise _damaged(self.directory / MANIFEST)
                place = Place(
                    backup=manifest.backup,
                    region=manifest.region,
                    part=manifest.part,
                    dump=dump,
                    number=number,
                )
                yield dump, file, place

    def _opened(self, file: SealedFile) -> BinaryIO:
        path = self.directory / file.name
        try:
            return path.open("rb")
        except FileNotFoundError as error:
            raise BackupIncompleteError(f"{path} is missing. Nothing was restored.") from error
        except OSError as error:
            raise BackupStorageError(f"{path} cannot be read: {error.strerror}.") from error


def read_manifest(directory: Path, trusted: Sequence[Ed25519PublicKey]) -> Manifest:
    """The manifest of a part's directory; raises BackupIncompleteError where there is none, or a ManifestError."""
    path = directory / MANIFEST
    try:
        with path.open("rb") as stream:
            data = stream.read(_MOST_MANIFEST)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise BackupIncompleteError(
            f"{directory} holds no manifest: the backup was interrupted, or this is none. Use another one."
        ) from error
    except OSError as error:
        raise BackupStorageError(f"{path} cannot be read: {error.strerror}.") from error
    return open_manifest(data, trusted)


def parts_in(directory: Path) -> list[Part]:
    """The parts that lie in a backup's directory, whole or not."""
    return [part for part in PARTS if (directory / part).is_dir()]


class _Source:
    """A dump that is handed out in pieces of a size."""

    def __init__(self, chunks: Iterator[bytes], tell: Callable[[int], None]) -> None:
        self._chunks = chunks
        self._held = b""
        self._done = 0
        self._tell = tell

    def has_more(self) -> bool:
        if not self._held:
            self._held = next(self._chunks, b"")
        return bool(self._held)

    def take(self, most: int) -> Iterator[bytes]:
        left = most
        while left and self.has_more():
            chunk, self._held = self._held[:left], self._held[left:]
            left -= len(chunk)
            self._done += len(chunk)
            self._tell(self._done)
            yield chunk


def _write(path: Path, content: Iterable[bytes]) -> SealedFile:
    digest, size = sha256(), 0
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            for chunk in content:
                stream.write(chunk)
                digest.update(chunk)
                size += len(chunk)
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        raise _storage_error(path, error) from error
    return SealedFile(name=path.name, size=size, sha256=digest.hexdigest())


def _hashed(stream: BinaryIO, update: Callable[[bytes], None]) -> Iterator[bytes]:
    for chunk in _chunks(stream):
        update(chunk)
        yield chunk


def _chunks(stream: BinaryIO) -> Iterator[bytes]:
    while chunk := stream.read(_CHUNK):
        yield chunk


def _damaged(path: Path) -> BackupDamagedError:
    return BackupDamagedError(
        f"{path} is not what the manifest says. Nothing was restored: use another backup."
    )


def _storage_error(path: Path, error: OSError) -> BackupStorageError:
    reason = _FULL.get(error.errno or 0, error.strerror or "unknown error")
    return BackupStorageError(f"{path} cannot be written: {reason}. No complete backup was left.")
