"""The embedded broker: Valkey on a Unix socket, with its append-only file.

The database is the truth about due work; the broker only says "look now". Its file keeps those
words across a crash.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from auditvault.cli.up.account import Account, server_account, server_directory
from auditvault.cli.up.binaries import broker_program
from auditvault.cli.up.files import last_lines, make_directory, write_private
from auditvault.cli.up.home import Home
from auditvault.cli.up.process import Child, ChildSpec
from auditvault.core.errors import AuditvaultError

_READY_SECONDS = 30.0
_POLL_SECONDS = 0.02
_ANSWER_SECONDS = 1.0
_STOP_STEPS = ((signal.SIGTERM, 15.0), (signal.SIGKILL, 5.0))
_CONFIGURATION = """\
# Written by `auditvault up` at each start.
port 0
unixsocket "{socket}"
unixsocketperm 700
dir "{data}"
appendonly yes
appendfsync everysec
save ""
maxmemory-policy noeviction
daemonize no
protected-mode yes
loglevel notice
logfile ""
"""


class BrokerError(AuditvaultError):
    """The embedded broker cannot be started."""

    code: ClassVar[str] = "broker_failed"


class EmbeddedBroker:
    """A Valkey of its own; `sockets` is the short directory that PostgreSQL's socket is in, too."""

    def __init__(self, home: Path, sockets: Path) -> None:
        self._home = Home(path=home.resolve())
        self._socket = sockets / "broker.sock"
        self._account: Account | None = None
        self._program = ""
        self._configuration = self._home.path
        self._child: Child | None = None

    @property
    def log(self) -> Path:
        """The broker's log."""
        return self._home.logs / "broker.log"

    @property
    def url(self) -> str:
        """In Celery's form."""
        return f"redis+socket://{self._socket}"

    def prepare(self) -> None:
        """Write the configuration; raises ProgramError or StorageError."""
        self._account = server_account()
        owner = self._account.ids if self._account else None
        servers = server_directory(self._home.path, self._account)
        self._program = broker_program(servers, self._account)
        data = servers / "broker"
        make_directory(data, owner=owner)
        self._configuration = data / "valkey.conf"
        text = _CONFIGURATION.format(socket=_escaped(self._socket), data=_escaped(data))
        write_private(self._configuration, text, owner=owner)

    def spec(self) -> ChildSpec:
        """The process to run after `prepare`."""
        return ChildSpec(
            name="broker",
            argv=(self._program, str(self._configuration)),
            environment={
                "PATH": os.defpath,
                "LC_ALL": "C",
                "AUDITVAULT_HOME": str(self._home.path),
            },
            log=self.log,
            account=self._account,
            stop_steps=_STOP_STEPS,
            ready=self.is_ready,
        )

    def is_ready(self) -> bool:
        """Whether it answers PING (while it loads its file it does not)."""
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(_ANSWER_SECONDS)
                connection.connect(str(self._socket))
                connection.sendall(b"PING\r\n")
                return connection.recv(64).startswith(b"+PONG")
        except OSError:
            return False

    def __enter__(self) -> Self:
        self.prepare()
        self._child = Child(self.spec())
        deadline = time.monotonic() + _READY_SECONDS
        while not self.is_ready():
            if self._child.poll() is not None or time.monotonic() > deadline:
                self._child.stop()
                raise BrokerError(
                    f"the broker did not start. {self.log} ends:\n{last_lines(self.log)}"
                )
            time.sleep(_POLL_SECONDS)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._child is not None:
            self._child.stop()


def _escaped(path: Path) -> str:
    return str(path).replace("\\", "\\\\").replace('"', '\\"')
