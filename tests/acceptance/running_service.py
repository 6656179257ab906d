"""A whole auditvault in a directory of its own: started by its supervisor, asked over HTTP, stopped.

Nothing is replaced and nothing is imported from the service: these helpers know the command line,
`run.json` and the API, as an operator does. Everything lies below one temporary directory, the
services' temporary files and the supervisor's output included, so that a test can look at all of it.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Any, TypeVar

import psycopg
from psycopg.conninfo import make_conninfo

PROJECT = Path(__file__).resolve().parents[2]
WAIT_SECONDS = 180.0
COMMAND = (sys.executable, "-m", "auditvault.cli.main")
VERIFIER = (sys.executable, "-m", "auditvault.verifier.main")
_POLL_SECONDS = 0.05
_ANSWER_SECONDS = 60.0
_T = TypeVar("_T")


def until(condition: Callable[[], _T], what: str, *, seconds: float = WAIT_SECONDS) -> _T:
    """The condition's first true value; fails naming `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s in vain: {what}"
        time.sleep(_POLL_SECONDS)
    return found


def is_running(pid: int) -> bool:
    """Whether the process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def children_of(pid: int) -> list[int]:
    """Pids of a process's own children."""
    try:
        found = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    return [int(child) for child in found.split()]


def processes_of(home: Path) -> list[int]:
    """Every process whose environment or arguments name this home."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            text = (entry / "environ").read_bytes() + (entry / "cmdline").read_bytes()
            if bytes(home) in text and int(entry.name) != os.getpid():
                found.append(int(entry.name))
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the service answered; status 0 where no answer came."""

    status: int
    headers: Message
    body: bytes

    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)


class RunningService:
    """A running `auditvault up`; make it with `running_service`."""

    def __init__(self, home: Path, *words: str, scans: bool = False) -> None:
        """Start it with these further arguments, without waiting. `scans`: its workers look for personal data."""
        self.home = home
        self.scans = scans
        self.output = home.parent / "up.output"
        self.temporary = home.parent / "tmp"
        # Whoever the servers run as makes its temporary files here, too.
        self.temporary.mkdir()
        self.temporary.chmod(0o1777)
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                [*COMMAND, "up", "--port", "0", *words],
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    @property
    def is_up(self) -> bool:
        """Whether the supervisor runs."""
        return self.process.poll() is None

    def environment(self, **more: str) -> dict[str, str]:
        """What a shell would have, the home and `more`; nothing of the test run's own settings."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        return {
            **kept,
            "PYTHONPATH": str(PROJECT),
            "AUDITVAULT_HOME": str(self.home),
            "TMPDIR": str(self.temporary),
            # A model is loaded for it, in each worker.
            "AUDITVAULT_SCAN_CONTENTS": "true" if self.scans else "false",
            **more,
        }

    @property
    def state(self) -> dict[str, Any]:
        """`run.json` as it is now; fails with the supervisor's output where there is none."""
        try:
            found: dict[str, Any] = json.loads((self.home / "run.json").read_text())
        except FileNotFoundError:
            raise AssertionError(self.output.read_text()) from None
        return found

    def pid(self, name: str) -> int:
        """The current process of a child: web, postgres, signer, …"""
        found: int = self.state["pids"][name]
        return found

    @property
    def url(self) -> str:
        """Where the web server listens."""
        found: str = self.state["web"]
        return found

    def request(
        self,
        method: str,
        path: str,
        *,
        token: str | None = None,
        body: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
        seconds: float = _ANSWER_SECONDS,
    ) -> Answer:
        """One request on a connection of its own; status 0 where it could not be answered."""
        sent = dict(headers or {})
        if token is not None:
            sent.setdefault("Authorization", f"Bearer {token}")
        host = self.url.removeprefix("http://")
        connection = http.client.HTTPConnection(host, timeout=seconds)
        try:
            with suppress(BrokenPipeError):
                # The service may answer, and close, before it has read a body that it refuses.
                connection.request(method, path, body, sent)
            response = connection.getresponse()
            body_read = response.read()
            return Answer(status=response.status, headers=response.headers, body=body_read)
        except (OSError, http.client.HTTPException):
            return Answer(status=0, headers=Message(), body=b"")
        finally:
            connection.close()

    def get(self, path: str, token: str) -> Answer:
        """GET with a token."""
        return self.request("GET", path, token=token)

    def post(self, path: str, body: object, token: str, region: str | None = None) -> Answer:
        """POST of JSON with a token."""
        headers = {"Content-Type": "application/json"}
        if region is not None:
            headers["Auditvault-Region"] = region
        return self.request("POST", path, token=token, body=json.dumps(body), headers=headers)

    def send(self, body: bytes, token: str, content_type: str = "application/x-protobuf") -> Answer:
        """One OTLP request."""
        headers = {"Content-Type": content_type}
        return self.request("POST", "/v1/traces", token=token, body=body, headers=headers)

    def is_ready(self) -> bool:
        """Whether /readyz says so."""
        return self.request("GET", "/readyz", seconds=5.0).status == http.HTTPStatus.OK

    def wait_ready(self) -> None:
        """Poll /readyz; fails with the supervisor's output where that has ended."""

        def ready() -> bool:
            assert self.is_up, self.output.read_text()
            return (self.home / "run.json").exists() and self.is_ready()

        until(ready, "/readyz")

    def command(self, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        """An `auditvault` command in another shell; keyword arguments are further variables."""
        return subprocess.run(
            [*COMMAND, *words],
            env=self.environment(**more),
            capture_output=True,
            text=True,
            timeout=WAIT_SECONDS,
            check=False,
        )

    def make_tenant(self, slug: str) -> str:
        """A tenant in both regions; its slug."""
        done = self.command("tenant", "create", slug, "--region", "eu", "--region", "us")
        assert done.returncode == 0, done.stderr
        return slug

    def make_token(self, tenant: str, *roles: str, regions: Sequence[str] = ("eu",)) -> str:
        """A token of the tenant's with these roles."""
        words = [word for role in roles for word in ("--role", role)]
        words += [word for region in regions for word in ("--region", region)]
        done = self.command("token", "create", "--tenant", tenant, *words, "--json")
        assert done.returncode == 0, done.stderr
        found: str = json.loads(done.stdout)["token"]
        return found

    def make_reader(self, tenant: str, *, case: str, regions: Sequence[str] = ("eu",)) -> str:
        """A token of an investigator who may see, for the case, what is recorded about now."""
        done = subprocess.run(
            [sys.executable, "-m", "tests.acceptance.clearing", tenant, case, *regions],
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=WAIT_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def verify(self) -> tuple[int, dict[str, Any]]:
        """`auditvault verify --json` with the signer's own memory: exit code and report."""
        memory = self.home / "signer" / "state.json"
        done = self.command("verify", "--json", AUDITVAULT_SIGNER_STATE_FILE=str(memory))
        assert done.stdout, done.stderr
        return done.returncode, json.loads(done.stdout)

    @property
    def databases(self) -> list[str]:
        """The names of all databases of the instance."""
        postgres = self.state["postgres"]
        regions = postgres["regions"].values()
        names = [postgres["control"]["database"]]
        return names + [
            region[kind] for region in regions for kind in ("database", "keys_database")
        ]

    def superuser_dsn(self, database: str) -> str:
        """A DSN of the server's superuser for one of the databases."""
        return make_conninfo(self.state["postgres"]["superuser_dsn"], dbname=database)

    def sql(self, database: str, query: str, *values: object) -> list[tuple[Any, ...]]:
        """What the superuser sees; an empty list for a statement without rows."""
        dsn = self.superuser_dsn(database)
        with psycopg.connect(dsn, autocommit=True) as connection:
            # The tests' own statements, not a user's.
            cursor = connection.execute(query.encode(), values or None)
            return cursor.fetchall() if cursor.description else []

    def stop(self) -> int:
        """Ctrl-C; returns the supervisor's exit code."""
        if self.is_up:
            self.process.send_signal(signal.SIGINT)
        return self.process.wait(WAIT_SECONDS)


@contextmanager
def scratch_directory() -> Iterator[Path]:
    """A directory that the servers' user may pass through, removed at the end."""
    path = Path(tempfile.mkdtemp(prefix="avaccept-")).resolve()
    path.chmod(0o711)
    try:
        yield path
    finally:
        shutil.rmtree(path)


@contextmanager
def running_service(*words: str, scans: bool = False) -> Iterator[RunningService]:
    """A ready service of one's own; afterwards no process of it runs, and no file of it is left."""
    with (
        scratch_directory() as parent,
        service_in(parent / "home", *words, scans=scans) as service,
    ):
        yield service


@contextmanager
def service_in(home: Path, *words: str, scans: bool = False) -> Iterator[RunningService]:
    """A ready service with this home; afterwards no process of it runs."""
    service = RunningService(home, *words, scans=scans)
    try:
        service.wait_ready()
        yield service
        service.stop()
        assert processes_of(home) == []
    finally:
        # The supervisor first: it would start again what is killed.
        service.process.kill()
        service.process.wait(WAIT_SECONDS)
        _kill_all(home)


def _kill_all(home: Path) -> None:
    """End what a failed test left; each process is found by its own home."""
    for pid in processes_of(home):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    until(lambda: not processes_of(home), "the end of every process")
