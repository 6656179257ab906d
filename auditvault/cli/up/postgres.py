"""The embedded PostgreSQL: its data directory, its configuration and its process.

Durability is the server's own: fsync, full-page writes and data checksums are on. The server's log
holds no values: statements, parameters, ERROR messages and DETAIL lines, all of which repeat what
was sent, are switched off, since a log is outside the vault (design rule 3).
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self
from urllib.parse import quote

import psycopg

from auditvault.cli.up.account import Account, identity, server_account, server_directory
from auditvault.cli.up.binaries import PostgresPrograms, postgres_programs
from auditvault.cli.up.files import last_lines, make_directory, storage_error, write_private
from auditvault.cli.up.home import Home
from auditvault.cli.up.keys import SecretStore
from auditvault.cli.up.process import Child, ChildSpec, describe_exit
from auditvault.cli.up.sockets import (
    LOOPBACK,
    free_port,
    remove_socket_directory,
    socket_directory,
)
from auditvault.core.errors import AuditvaultError

SUPERUSER = "postgres"
MAX_CONNECTIONS = 100
_BUILTIN_LOCALE_SINCE = 17
_INITDB_SECONDS = 180
_PREDECESSOR_SECONDS = 30.0
_READY_SECONDS = 60.0
_POLL_SECONDS = 0.02
# Fast shutdown, then immediate shutdown: both leave data that the next start accepts.
_STOP_STEPS = ((signal.SIGINT, 60.0), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 5.0))

_CONFIGURATION = """\
# Written by `auditvault up` at each start; changes made here are lost.
listen_addresses = '{host}'
port = {port}
unix_socket_directories = '"{sockets}"'
unix_socket_permissions = 0700
max_connections = {connections}
password_encryption = 'scram-sha-256'

shared_buffers = '256MB'
max_wal_size = '2GB'
wal_compression = off
random_page_cost = 1.1
jit = off

fsync = on
full_page_writes = on
synchronous_commit = on

# Nothing that a client sent may stand in the log: no statements, parameters, errors or details.
logging_collector = off
log_destination = 'stderr'
log_line_prefix = '%m [%p] '
log_timezone = 'UTC'
log_min_messages = log
log_min_error_statement = panic
log_error_verbosity = terse
log_statement = none
log_min_duration_statement = -1
log_parameter_max_length = 0
log_parameter_max_length_on_error = 0
log_checkpoints = off

timezone = 'UTC'
datestyle = 'iso, ymd'
"""
_ACCESS = """\
# Written by `auditvault up` at each start. Passwords only, this machine only.
local all all scram-sha-256
host all all {host}/32 scram-sha-256
"""


class PostgresError(AuditvaultError):
    """The embedded PostgreSQL cannot be prepared or started."""

    code: ClassVar[str] = "postgres_failed"


class EmbeddedPostgres:
    """A server of its own below `home`; as a context manager it runs for the length of the block.

    A supervisor uses `prepare`, `spec` and `is_ready` instead and owns the process.
    """

    def __init__(
        self,
        home: Path,
        *,
        port: int | None = None,
        sockets: Path | None = None,
        on_network: bool = True,
    ) -> None:
        """`port` on the loopback address, free where None; `sockets` is short and private.

        Not `on_network`, it listens on its socket alone.
        """
        self._on_network = on_network
        self._given_sockets = sockets
        self._home = Home(path=home.resolve())
        self._wanted_port = port
        self._account: Account | None = None
        self._programs: PostgresPrograms | None = None
        self._password = ""
        self._child: Child | None = None
        self.port = 0
        self.data = self._home.path / "servers" / "postgres"
        self.sockets = self._home.path

    @property
    def log(self) -> Path:
        """The server's log."""
        return self._home.logs / "postgres.log"

    @property
    def superuser_dsn(self) -> str:
        """A URL for the superuser, over the Unix socket."""
        host = quote(str(self.sockets), safe="")
        return f"postgresql://{SUPERUSER}:{self._password}@/postgres?host={host}&port={self.port}"

    @property
    def pid(self) -> int:
        """The server's process id inside the block."""
        return self._running().pid

    def prepare(self) -> None:
        """Make the data directory on the first start and write the configuration.

        Raises PostgresError, ProgramError, SecretError or StorageError.
        """
        self._home.prepare()
        self._account = server_account()
        servers = server_directory(self._home.path, self._account)
        self._programs = postgres_programs(servers, self._account)
        self.data = servers / "postgres"
        secrets = SecretStore(self._home.secrets, may_create=not self.data.exists())
        self._password = secrets.superuser_password()
        self.sockets = self._given_sockets or socket_directory(servers / "run", self._account)
        if not self.data.exists():
            self._initialise()
        self._require_version()
        self._await_predecessor()
        self.port = self._wanted_port or free_port()
        self._configure()

    def spec(self) -> ChildSpec:
        """The process to run after `prepare`."""
        return ChildSpec(
            name="postgres",
            argv=(self._require_programs().postgres, "-D", str(self.data)),
            environment=_environment(self._home.path),
            log=self.log,
            account=self._account,
            stop_steps=_STOP_STEPS,
            orphan_signal=signal.SIGINT,
            ready=self.is_ready,
            # The write-ahead log may have been moved to a disk of its own, with a link to it.
            storage=(self.data, self.data / "pg_wal"),
        )

    def is_ready(self) -> bool:
        """Whether the server takes connections (it does not during crash recovery)."""
        try:
            psycopg.connect(self.superuser_dsn, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def start(self) -> None:
        """Start the prepared server, wait until it is ready; raises PostgresError."""
        self._child = Child(self.spec())
        deadline = time.monotonic() + _READY_SECONDS
        while not self.is_ready():
            code = self._child.poll()
            if code is not None or time.monotonic() > deadline:
                self._child.stop()
                why = describe_exit(code) if code is not None else "not ready in time"
                raise PostgresError(
                    f"PostgreSQL did not start ({why}). {self.log} ends:\n{last_lines(self.log)}"
                )
            time.sleep(_POLL_SECONDS)

    def kill(self) -> None:
        """End the server at once, as a crash would, and reap it."""
        self._running().send(signal.SIGKILL)
        self._running().wait(10)

    def stop(self) -> None:
        """Fast shutdown: open transactions are rolled back, committed ones are on disk."""
        if self._child is not None:
            self._child.stop()
            self._child = None

    def __enter__(self) -> Self:
        self.prepare()
        try:
            self.start()
        except BaseException:
            # Whoever is stopped while the server starts leaves no server behind.
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        if self._given_sockets is None:
            remove_socket_directory(self.sockets, preferred=self.data.parent / "run")

    def _initialise(self) -> None:
        """Run initdb under another name: a data directory that exists is complete."""
        unfinished = self.data.with_name("postgres.unfinished")
        owner = self._account.ids if self._account else None
        shutil.rmtree(unfinished, ignore_errors=True)
        make_directory(unfinished, owner=owner)
        password_file = self.sockets / "initial-password"
        write_private(password_file, self._password + "\n", owner=owner)
        try:
            self._run_initdb(unfinished, password_file)
            unfinished.rename(self.data)
        except OSError as error:
            raise storage_error(self.data, error) from error
        finally:
            password_file.unlink(missing_ok=True)

    def _run_initdb(self, target: Path, password_file: Path) -> None:
        programs = self._require_programs()
        locale = ["--locale=C"]
        if programs.major >= _BUILTIN_LOCALE_SINCE:
            locale = ["--locale-provider=builtin", "--locale=C.UTF-8"]
        command = [
            programs.initdb, "-D", str(target), "-U", SUPERUSER, "--pwfile", str(password_file),
            "-A", "scram-sha-256", "-E", "UTF8", "--data-checksums", *locale,
        ]  # fmt: skip
        try:
            done = subprocess.run(  # noqa: S603 - the programs found above
                command, env=_environment(self._home.path), cwd="/", capture_output=True, text=True,
                timeout=_INITDB_SECONDS, check=False, stdin=subprocess.DEVNULL,
                **identity(self._account),
            )  # fmt: skip
        except (OSError, subprocess.SubprocessError) as error:
            raise PostgresError(f"{programs.initdb} cannot be run: {error}") from error
        if done.returncode != 0:
            ending = "\n".join(f"    {line}" for line in done.stderr.splitlines()[-10:])
            raise PostgresError(f"the data directory {self.data} cannot be made:\n{ending}")

    def _require_version(self) -> None:
        """Refuse data of another major version: the server would, with a less helpful message."""
        found = (self.data / "PG_VERSION").read_text().strip()
        major = self._require_programs().major
        if found != str(major):
            raise PostgresError(
                f"{self.data} was made by PostgreSQL {found}, and these programs are {major}: "
                "point AUDITVAULT_POSTGRES_BIN at the former, or use pg_upgrade"
            )

    def _await_predecessor(self) -> None:
        """Wait for the server of a supervisor that was killed: it is shutting down on its own."""
        deadline = time.monotonic() + _PREDECESSOR_SECONDS
        asked = False
        while (pid := _live_server(self.data)) is not None:
            if not asked:
                os.kill(pid, signal.SIGINT)
                asked = True
            if time.monotonic() > deadline:
                raise PostgresError(f"another PostgreSQL (process {pid}) still uses {self.data}")
            time.sleep(_POLL_SECONDS)

    def _configure(self) -> None:
        owner = self._account.ids if self._account else None
        sockets = str(self.sockets).replace("\\", "\\\\").replace("'", "''").replace('"', '""')
        configuration = _CONFIGURATION.format(
            host=LOOPBACK if self._on_network else "",
            port=self.port,
            sockets=sockets,
            connections=MAX_CONNECTIONS,
        )
        write_private(self.data / "postgresql.conf", configuration, owner=owner)
        write_private(self.data / "pg_hba.conf", _ACCESS.format(host=LOOPBACK), owner=owner)

    def _require_programs(self) -> PostgresPrograms:
        if self._programs is None:
            raise PostgresError("the server was not prepared")
        return self._programs

    def _running(self) -> Child:
        if self._child is None:
            raise PostgresError("the server does not run")
        return self._child


def _environment(home: Path) -> dict[str, str]:
    # AUDITVAULT_HOME tells an operator, in the process list, which instance a server belongs to.
    return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC", "AUDITVAULT_HOME": str(home)}


def _live_server(data: Path) -> int | None:
    """The process in postmaster.pid where it is alive and works in this data directory."""
    try:
        pid = int((data / "postmaster.pid").read_text().split("\n", 1)[0])
        os.kill(pid, 0)
    except (OSError, ValueError):
        return None
    try:
        works_in = Path(f"/proc/{pid}/cwd").resolve(strict=True)
    except OSError:
        # No /proc, or another user's process: PostgreSQL itself decides whether the file is stale.
        return None
    return pid if works_in == data.resolve() else None
