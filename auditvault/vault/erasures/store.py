"""Where a region's erasure ledger lies: a directory outside every database's backups, one file for each record.

A file is made once and never changed: written aside, made durable and linked to its name, which fails where there is
one, so that two workers cannot fork the ledger. A crash leaves the whole record or none, and perhaps a file aside that
nobody reads. What the bytes say is left to `core.tlog.erasure_ledger`.
"""

from __future__ import annotations

import os
from pathlib import Path
from uuid import uuid4

from django.conf import settings

from auditvault.core.errors import AuditvaultError
from auditvault.core.tlog.erasure_ledger import (
    NO_HASH,
    ErasureRecordError,
    file_name,
    index_of,
    record_hash,
)
from auditvault.ledger.durable import sync_directory

_READ_ONLY = 0o444
_ASIDE = "."

Identity = tuple[int, int, int, int]


class ErasureLedgerUnavailableError(AuditvaultError):
    """The directory of the erasure ledger is not set, not there, or cannot be read or written."""

    code = "erasure_ledger_unavailable"


class ErasureLedgerDamagedError(AuditvaultError):
    """A record is missing in the middle, or something else lies among the records."""

    code = "erasure_ledger_damaged"


class LedgerFiles:
    """The records of one region, numbered from 0.

    A directory that is not there is a disk that is not mounted and no empty ledger: everything raises
    ErasureLedgerUnavailableError then.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        # Of the records that were last found to have a hash; a file is read again once it is another one.
        self._seen: dict[int, tuple[Identity, bytes]] = {}

    def append(self, index: int, record: bytes) -> bool:
        """Make the record of that index durable; False where there is one already, which stays."""
        aside = self._directory / f"{_ASIDE}{uuid4().hex}"
        try:
            self._write(aside, record)
            try:
                os.link(aside, self._directory / file_name(index))
            except FileExistsError:
                return False
            finally:
                aside.unlink()
            sync_directory(self._directory)
        except OSError as error:
            raise _unavailable(error) from error
        return True

    def read(self, index: int) -> bytes | None:
        """The bytes of a record; None where there is none of that index."""
        try:
            return (self._directory / file_name(index)).read_bytes()
        except FileNotFoundError:
            self._require()
            return None
        except OSError as error:
            raise _unavailable(error) from error

    def has(self, index: int) -> bool:
        """Whether there is a record of that index; costs one look at the directory."""
        return self._identity(index) is not None

    def has_hash(self, index: int, digest: bytes) -> bool:
        """Whether the record of that index has this hash; -1 is before the first. Reads a file once."""
        if index < 0:
            return digest == NO_HASH
        identity = self._identity(index)
        if identity is None:
            return False
        seen = self._seen.get(index)
        if seen is None or seen[0] != identity:
            seen = identity, record_hash(self.read(index) or b"")
            self._seen = {index: seen}
        return seen[1] == digest

    def size(self) -> int:
        """How many records there are; raises ErasureLedgerDamagedError unless they are 0, 1, 2 and so on."""
        try:
            names = [
                each.name
                for each in os.scandir(self._directory)
                if not each.name.startswith(_ASIDE)
            ]
        except OSError as error:
            raise _unavailable(error) from error
        try:
            indices = sorted(map(index_of, names))
        except ErasureRecordError as error:
            message = "Something that is no record lies in the directory of the erasure ledger."
            raise ErasureLedgerDamagedError(message) from error
        if indices != list(range(len(indices))):
            raise ErasureLedgerDamagedError("A record of the erasure ledger is missing.")
        return len(indices)

    def _identity(self, index: int) -> Identity | None:
        try:
            status = (self._directory / file_name(index)).stat()
        except FileNotFoundError:
            self._require()
            return None
        except OSError as error:
            raise _unavailable(error) from error
        return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns

    def _require(self) -> None:
        if not self._directory.is_dir():
            raise ErasureLedgerUnavailableError("The directory of the erasure ledger is not there.")

    def _write(self, path: Path, data: bytes) -> None:
        self._require()
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _READ_ONLY)
        with open(descriptor, "wb") as file:  # noqa: PTH123  # a descriptor has no path
            file.write(data)
            file.flush()
            os.fsync(file.fileno())


def _unavailable(error: OSError) -> ErasureLedgerUnavailableError:
    return ErasureLedgerUnavailableError(f"The erasure ledger fails: {error.strerror}.")


_opened: dict[str, LedgerFiles] = {}


def ledger_files(region: str) -> LedgerFiles:
    """The region's ledger; raises ErasureLedgerUnavailableError where this process was not told where it is."""
    directory = settings.ERASURE_LEDGER_DIRS.get(region, "")
    if not directory:
        raise ErasureLedgerUnavailableError(
            f"AUDITVAULT_ERASURE_LEDGER_{region.upper()}_DIR must name the region's erasure ledger."
        )
    if directory not in _opened:
        _opened[directory] = LedgerFiles(Path(directory))
    return _opened[directory]
