"""What a witness remembers: one file for each log, in a directory that belongs to one key.

Rules kept: docs/spec/witness.md sections 3 and 4. Memory is read from disk each time and never
made up: a file that has gone, cannot be read or was not cosigned by this witness is an error and
not an unknown log. A note is shown only once it is known to be on disk. Whether something may be
remembered is left to `core.tlog.witnessing`.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar

from auditvault.core.errors import AuditvaultError
from auditvault.core.tlog.checkpoint import Checkpoint, CheckpointError
from auditvault.core.tlog.cosignature import CosignatureVerifier, read_cosignatures
from auditvault.core.tlog.note import NoteError
from auditvault.core.tlog.strict_json import StrictJsonError, check_keys, parse_object
from auditvault.core.tlog.witnessing import MAX_REQUEST_SIZE, NOTHING_SEEN, Seen
from auditvault.verifier.durable import (
    create_directory,
    create_file,
    replace_file,
    sync_directory,
)

_VERSION = "auditvault/witness-state/1"
_LOG_VERSION = "auditvault/witness-log/1"
_FORK_VERSION = "auditvault/witness-fork/1"
_MARKER = "witness.json"
_MAX_FILE_SIZE = 8 * MAX_REQUEST_SIZE  # escapes of JSON included


class WitnessStateError(AuditvaultError):
    """A witness's memory cannot be made, read or written."""

    code: ClassVar[str] = "witness_state_unusable"


@dataclass(frozen=True, kw_only=True, slots=True)
class Remembered:
    """The last checkpoint that was cosigned for a log."""

    checkpoint: Checkpoint
    cosigned_at: int
    """POSIX seconds."""
    note: str
    """The checkpoint with the log's signatures and the cosignature."""

    def seen(self) -> Seen:
        """Return what the protocol wants to know of it."""
        return Seen(size=self.checkpoint.size, root=self.checkpoint.root)


def origin_hash(origin: str) -> str:
    """Return the name under which a log is remembered and served: SHA-256 in lower-case hex."""
    return sha256(origin.encode()).hexdigest()


def seen_in(remembered: Remembered | None) -> Seen:
    """Return what was seen of a log that may never have been cosigned."""
    return NOTHING_SEEN if remembered is None else remembered.seen()


class WitnessState:
    """The memory of the witness whose public key is `verifier`; closed by `close`.

    Raises WitnessStateError unless `directory` was made by `create` for this key, no other process
    has it open, and everything in it can be read.
    """

    def __init__(self, directory: Path, verifier: CosignatureVerifier) -> None:
        self._directory = directory
        self._verifier = verifier
        self._guard = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}
        self._shown: dict[str, str] = {}  # by origin hash: notes that are on disk for sure
        if _marker(directory / _MARKER) != {"v": _VERSION, "vkey": verifier.vkey()}:
            raise WitnessStateError("the state is of another witness key; a key keeps its state")
        self._lock_file = _lock(directory / "lock")
        try:
            self._load()
        except AuditvaultError:
            self.close()
            raise

    @classmethod
    def create(cls, directory: Path, verifier: CosignatureVerifier) -> None:
        """Make an empty memory for a new key; raises WitnessStateError when something is there."""
        marker = json.dumps({"v": _VERSION, "vkey": verifier.vkey()}) + "\n"
        try:
            create_directory(directory)
            if any(directory.iterdir()):
                raise WitnessStateError("the state directory is not empty")
            create_directory(directory / "logs")
            create_directory(directory / "forks")
            create_file(directory / _MARKER, marker.encode())
        except OSError as error:
            raise WitnessStateError(f"the state cannot be made: {_reason(error)}") from error

    def close(self) -> None:
        """Let another process have it."""
        os.close(self._lock_file)

    @contextmanager
    def locked(self, origin: str) -> Iterator[None]:
        """Keep every other thread from reading or writing this log's memory meanwhile."""
        with self._guard:
            lock = self._locks.setdefault(origin, threading.Lock())
        with lock:
            yield

    def recall(self, origin: str) -> Remembered | None:
        """Return what was cosigned last for `origin`; None if nothing. Raises WitnessStateError.

        It may be a note that `remember` failed to make durable; nobody has that one's cosignature.
        """
        hashed = origin_hash(origin)
        path = self._log_path(hashed)
        try:
            return self._read_log(path)
        except FileNotFoundError:
            if hashed in self._shown or not path.parent.is_dir():
                raise WitnessStateError("a log's memory has gone") from None
            return None

    def remember(self, origin: str, note: str) -> None:
        """Make `note`, cosigned, the last of `origin`; returns only when it is on disk.

        Raises WitnessStateError, and then either the old note or this one is remembered.
        """
        self._own(note)  # what could not be read back is not written
        hashed = origin_hash(origin)
        content = json.dumps({"v": _LOG_VERSION, "note": note}) + "\n"
        try:
            replace_file(self._log_path(hashed), content.encode())
        except OSError as error:
            raise WitnessStateError(f"the state cannot be written: {_reason(error)}") from error
        self._shown[hashed] = note

    def shown(self, hashed: str) -> str | None:
        """Return the last note of the log of that origin hash that is on disk; None if none."""
        return self._shown.get(hashed)

    def keep_fork(self, origin: str, *, kept: str, refused: str) -> bool:
        """Keep the proof that a log signed two roots for one size; True if it is the log's first.

        Raises WitnessStateError.
        """
        path = self._directory / "forks" / f"{origin_hash(origin)}.json"
        if path.exists():
            return False
        content = json.dumps({"v": _FORK_VERSION, "kept": kept, "refused": refused}) + "\n"
        try:
            replace_file(path, content.encode())
        except OSError as error:
            raise WitnessStateError(f"a fork cannot be kept: {_reason(error)}") from error
        return True

    def _log_path(self, hashed: str) -> Path:
        return self._directory / "logs" / f"{hashed}.json"

    def _load(self) -> None:
        logs = self._directory / "logs"
        try:
            # A crash may have left a renamed file whose name is not on disk yet; its content is.
            sync_directory(logs)
            for path in sorted(logs.glob("*.json")):
                self._shown[path.stem] = self._read_log(path).note
        except OSError as error:
            raise WitnessStateError(f"the state cannot be read: {_reason(error)}") from error

    def _read_log(self, path: Path) -> Remembered:
        members = _members(path, {"v", "note"})
        if members["v"] != _LOG_VERSION:
            raise WitnessStateError("a log's memory is of another version")
        remembered = self._own(members["note"])
        if origin_hash(remembered.checkpoint.origin) != path.stem:
            raise WitnessStateError("a log's memory is of another log")
        return remembered

    def _own(self, note: Any) -> Remembered:
        if not isinstance(note, str):
            raise WitnessStateError("a log's memory is not a note")
        try:
            text, cosignatures = read_cosignatures(note, [self._verifier])
            checkpoint = Checkpoint.parse(text)
        except (NoteError, CheckpointError) as error:
            raise WitnessStateError(f"a log's memory is damaged: {error.message}") from error
        if not cosignatures:
            raise WitnessStateError("a log's memory was not cosigned by this witness")
        return Remembered(checkpoint=checkpoint, cosigned_at=cosignatures[0].timestamp, note=note)


def _lock(path: Path) -> int:
    descriptor = -1
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise WitnessStateError("another witness is running on this state") from None
    except OSError as error:
        raise WitnessStateError(f"the state cannot be locked: {_reason(error)}") from error
    return descriptor


def _marker(path: Path) -> dict[str, Any]:
    try:
        return _members(path, {"v", "vkey"})
    except FileNotFoundError:
        raise WitnessStateError("no state: a witness without memory cosigns nothing") from None


def _members(path: Path, keys: set[str]) -> dict[str, Any]:
    """Raises FileNotFoundError, because only the caller knows what that means."""
    try:
        with path.open("rb") as file:
            members = parse_object(file.read(_MAX_FILE_SIZE))
        check_keys(members, required=keys)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise WitnessStateError(f"the state cannot be read: {_reason(error)}") from error
    except StrictJsonError as error:
        raise WitnessStateError(f"the state is damaged: {error.message}") from error
    return members


def _reason(error: OSError) -> str:
    return error.strerror or "unknown error"
