"""One child process: in a session of its own, stopped by steps, leaving no grandchild."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from auditvault.cli.up.account import Account, identity
from auditvault.cli.up.files import storage_error
from auditvault.core.errors import AuditvaultError

# In every child's environment, so that what a killed supervisor left behind can be recognised.
SUPERVISED = "AUDITVAULT_SUPERVISED"
_PR_SET_PDEATHSIG = 1
_LOG_LIMIT_BYTES = 32 * 1024 * 1024
_POLL_SECONDS = 0.02

# (signal, seconds to wait for the end after it); SIGKILL goes to the whole group.
GENTLE: tuple[tuple[signal.Signals, float], ...] = ((signal.SIGTERM, 10.0), (signal.SIGKILL, 5.0))


class SpawnError(AuditvaultError):
    """A program cannot be started at all."""

    code: ClassVar[str] = "spawn_failed"


@dataclass(frozen=True, kw_only=True, slots=True)
class ChildSpec:
    """What to run and how to treat it."""

    name: str
    argv: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    account: Account | None = None
    # Steps of a stop; the first signal must be one that loses nothing.
    stop_steps: tuple[tuple[signal.Signals, float], ...] = GENTLE
    # Sent by the kernel when the supervisor itself is killed (Linux only).
    orphan_signal: signal.Signals = signal.SIGTERM
    # Children without which this one cannot work; it is not restarted before they are ready.
    needs: tuple[str, ...] = ()
    ready: Callable[[], bool] | None = field(default=None, compare=False)
    # Directories that it writes to: it may die for no other reason than that their disk is full.
    storage: tuple[Path, ...] = ()


class Child:
    """A started process. It is the leader of its own session and process group."""

    def __init__(self, spec: ChildSpec) -> None:
        """Start it, from the main thread only; raises SpawnError or StorageError."""
        self.spec = spec
        self.started_at = time.monotonic()
        with _open_log(spec.log) as log:
            try:
                self._process = subprocess.Popen(  # noqa: S603 - our own argument lists
                    list(spec.argv),
                    env={**spec.environment, SUPERVISED: "1"},
                    cwd="/",
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    preexec_fn=_orphan_hook(spec.orphan_signal),  # noqa: PLW1509 - no threads here
                    **identity(spec.account),
                )
            except (OSError, subprocess.SubprocessError) as error:
                reason = error.strerror if isinstance(error, OSError) else str(error)
                raise SpawnError(
                    f"{spec.name} cannot be started: {spec.argv[0]}: {reason}"
                ) from error

    @property
    def pid(self) -> int:
        """Process id, and process group id."""
        return self._process.pid

    @property
    def lived_seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self.started_at

    def poll(self) -> int | None:
        """The exit code (negative: the signal), its group swept; None while it runs."""
        code = self._process.poll()
        if code is not None:
            self._signal_group(signal.SIGKILL)
        return code

    def send(self, number: signal.Signals) -> None:
        """Signal the leader; SIGKILL goes to the whole group. No error where it has ended."""
        if number is signal.SIGKILL:
            self._signal_group(number)
        else:
            self._process.send_signal(number)

    def stop(self) -> int:
        """Go through the steps until it has ended; returns the exit code."""
        for number, seconds in self.spec.stop_steps:
            if self.poll() is not None:
                break
            self.send(number)
            self.wait(seconds)
        code = self.poll()
        return self._process.wait() if code is None else code

    def wait(self, seconds: float) -> int | None:
        """The exit code, or None where it still runs after `seconds`."""
        deadline = time.monotonic() + seconds
        while (code := self.poll()) is None and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        return code

    def _signal_group(self, number: signal.Signals) -> None:
        try:
            os.killpg(self.pid, number)
        except (ProcessLookupError, PermissionError):
            # Gone; or, on macOS, nothing but zombies is left in the group.
            return


def describe_exit(code: int) -> str:
    """How a process ended, in words."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"


@contextmanager
def _open_log(path: Path) -> Iterator[int]:
    """The log opened for appending; a very long one is put aside before that."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
    try:
        if path.exists() and path.stat().st_size > _LOG_LIMIT_BYTES:
            path.replace(path.with_suffix(path.suffix + ".1"))
        descriptor = os.open(path, flags, 0o600)
    except OSError as error:
        raise storage_error(path, error) from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _orphan_hook(number: signal.Signals) -> Callable[[], None] | None:
    """What the child does between fork and exec: ask the kernel for a signal when its parent dies.

    The signal comes when the *thread* that forked ends, so only the main thread may start children.
    It is set after the change of user, which would clear it.
    """
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    parent = os.getpid()

    def ask() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)
        if os.getppid() != parent:  # it died before we asked
            os._exit(1)

    return ask
