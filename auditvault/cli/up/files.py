"""Files that only their owner may read, written whole or not at all."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from pathlib import Path
from typing import ClassVar

from auditvault.core.errors import AuditvaultError

# An empty instance takes about 150 MB; below this much room a first start would end half-way.
MINIMUM_FREE_BYTES = 256 * 1024 * 1024
_REASONS = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the disk quota is used up"}


class StorageError(AuditvaultError):
    """A directory or file of the instance cannot be made or written."""

    code: ClassVar[str] = "storage_unavailable"


def storage_error(path: Path, error: OSError) -> StorageError:
    """Turn a system error into one that names the path and says what is wrong in plain words."""
    reason = _REASONS.get(error.errno or 0, error.strerror or "unknown error")
    return StorageError(f"{path} cannot be written: {reason}")


def write_private(
    path: Path, content: str, *, owner: tuple[int, int] | None = None, mode: int = 0o600
) -> None:
    """Put `content` at `path` atomically; `owner` is (uid, gid), this process's own where None.

    The temporary name is created exclusively, so a link planted in a directory of the server's user
    is never followed by a supervisor that runs as root. Raises StorageError.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    try:
        try:
            with os.fdopen(os.open(temporary, flags, 0o600), "w") as stream:
                os.fchmod(stream.fileno(), mode)
                if owner is not None:
                    os.fchown(stream.fileno(), *owner)
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise storage_error(path, error) from error


def make_directory(path: Path, *, mode: int = 0o700, owner: tuple[int, int] | None = None) -> None:
    """Make `path` (its parents too) with exactly this mode and owner; raises StorageError."""
    try:
        path.mkdir(mode=mode, parents=True, exist_ok=True)
        path.chmod(mode)
        if owner is not None:
            os.chown(path, *owner)
    except OSError as error:
        raise storage_error(path, error) from error


def require_space(path: Path, minimum_bytes: int = MINIMUM_FREE_BYTES) -> None:
    """Raise StorageError where fewer than `minimum_bytes` are free beside `path`."""
    free = shutil.disk_usage(path).free
    if free < minimum_bytes:
        raise StorageError(
            f"the disk is full: {free // 2**20} MiB are free at {path}, "
            f"{minimum_bytes // 2**20} MiB are needed"
        )


def last_lines(path: Path, count: int = 15) -> str:
    """The last `count` lines of a log, indented, for a message."""
    try:
        with path.open("rb") as stream:
            stream.seek(0, os.SEEK_END)
            stream.seek(max(0, stream.tell() - 16 * 1024))
            text = stream.read().decode(errors="replace")
    except OSError:
        return "    (the log cannot be read)"
    return (
        "\n".join(f"    {line}" for line in text.splitlines()[-count:]) or "    (the log is empty)"
    )
