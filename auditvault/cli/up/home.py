"""The instance's home directory: what lies where, and the lock that lets one supervisor in."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, TextIO

import auditvault
from auditvault.cli.up.files import StorageError, make_directory, require_space, storage_error
from auditvault.core.errors import AuditvaultError

_TRAVERSE = 0o001


class AlreadyRunningError(AuditvaultError):
    """Another supervisor holds this home."""

    code: ClassVar[str] = "already_running"


def project_root() -> Path:
    """The directory that `auditvault` and `settings` are imported from."""
    return Path(auditvault.__file__).resolve().parent.parent


def default_home() -> Path:
    """`var/` of the checkout this is run from; of the working directory where it is installed."""
    root = project_root()
    return (root if (root / "pyproject.toml").is_file() else Path.cwd()) / "var"


@dataclass(frozen=True, kw_only=True, slots=True)
class Home:
    """Paths below one absolute directory."""

    path: Path

    @property
    def secrets(self) -> Path:
        """Keys and passwords, 0700."""
        return self.path / "secrets"

    @property
    def logs(self) -> Path:
        """One log a process, 0700."""
        return self.path / "log"

    @property
    def signer(self) -> Path:
        """The signer's own state, 0700."""
        return self.path / "signer"

    @property
    def erasure_ledger(self) -> Path:
        """The erasure ledgers, one directory a region, 0700. Backups of the databases leave it out."""
        return self.path / "erasure_ledger"

    @property
    def static(self) -> Path:
        """Collected static files, none with `settings.dev`."""
        return self.path / "static"

    @property
    def run_file(self) -> Path:
        """Where everything runs; there while the instance runs."""
        return self.path / "run.json"

    @property
    def env_file(self) -> Path:
        """The operator's environment; there while the instance runs."""
        return self.path / "env.json"

    @property
    def lock_file(self) -> Path:
        """Locked by the supervisor for as long as it lives."""
        return self.path / "up.lock"

    @property
    def demo_file(self) -> Path:
        """Written by the demo: what it made and how to log in."""
        return self.path / "demo.json"

    @property
    def marker_file(self) -> Path:
        """Written once the databases are there: from then on a missing secret is a loss."""
        return self.path / "initialised.json"

    def environment_file(self, purpose: str) -> Path:
        """The environment of another purpose than the operator's."""
        return self.path / f"env-{purpose}.json"

    def prepare(self) -> None:
        """Make the directories; raises StorageError where that fails or the disk is full."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise storage_error(self.path, error) from error
        if not os.access(self.path, os.W_OK | os.X_OK):
            raise StorageError(f"{self.path} cannot be written by this user")
        require_space(self.path)
        if os.geteuid() == 0:
            # The servers run as another user: it may pass through, but neither list nor read.
            self.path.chmod(self.path.stat().st_mode & 0o7777 | _TRAVERSE)
        for directory in (self.secrets, self.logs, self.signer, self.erasure_ledger, self.static):
            make_directory(directory)

    def make_erasure_ledgers(self, regions: Iterable[str]) -> None:
        """A directory for each region's erasure ledger; one that was lost is found by its head. Raises StorageError."""
        for region in regions:
            make_directory(self.erasure_ledger / region)

    @contextmanager
    def locked(self) -> Iterator[Callable[[str], None]]:
        """Hold the home; yields a function that tells others the URL.

        Raises AlreadyRunningError, naming the holder's pid and URL, where it is held.
        """
        try:
            stream = os.fdopen(os.open(self.lock_file, os.O_RDWR | os.O_CREAT, 0o600), "r+")
        except OSError as error:
            raise storage_error(self.lock_file, error) from error
        with stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise AlreadyRunningError(_holder(stream.read())) from error

            def announce(url: str) -> None:
                _overwrite(stream, {"pid": os.getpid(), "web": url})

            announce("starting")
            try:
                yield announce
            finally:
                _overwrite(stream, {})


def _overwrite(stream: TextIO, content: dict[str, object]) -> None:
    # In place: the lock is on this very file.
    try:
        stream.seek(0)
        stream.truncate()
        stream.write(json.dumps(content))
        stream.flush()
    except OSError:
        # A full disk: the lock holds all the same, it only says less.
        return


def _holder(text: str) -> str:
    try:
        holder = json.loads(text)
        return f"already running: process {holder['pid']}, {holder['web']}"
    except (ValueError, KeyError, TypeError):
        return "already starting in this home"
