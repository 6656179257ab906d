"""Files that are on disk, whole, when a call returns.

Rules kept: docs/spec/witness.md section 3, steps 4 to 6. A name never shows half a file, and a
failure says nothing about whether the new content is there: callers must be right in both cases.
POSIX only. Who may call at the same time is left to the caller.
"""

from __future__ import annotations

import os
from pathlib import Path

_NEW = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW


def replace_file(path: Path, data: bytes) -> None:
    """Put `data` at `path`, mode 0600, in place of what is there; raises OSError.

    One call at a time for a path: the leftover of one that did not end is overwritten.
    """
    part = path.with_name(f"{path.name}.part")
    _write(os.open(part, _NEW | os.O_TRUNC, 0o600), data)
    part.replace(path)
    sync_directory(path.parent)


def create_file(path: Path, data: bytes) -> None:
    """Put `data` at `path`, mode 0600; raises FileExistsError when something is there, OSError."""
    _write(os.open(path, _NEW | os.O_EXCL, 0o600), data)
    sync_directory(path.parent)


def create_directory(path: Path) -> None:
    """Make `path`, mode 0700, if it is not there; its parent must be. Raises OSError."""
    path.mkdir(mode=0o700, exist_ok=True)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Return when the names in `path` are on disk; raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write(descriptor: int, data: bytes) -> None:
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
