"""The service under test: a private instance in a temporary home, of which nothing is left behind.

PostgreSQL, provisioning, environments and the web server's own arguments are those of
`auditvault up`. Workers and beat do not run, since they do nothing during ingest; the signer does.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

from auditvault.cli.up.children import AUDITVAULT, is_web_ready
from auditvault.cli.up.cluster import Cluster
from auditvault.cli.up.environment import Purpose
from auditvault.cli.up.files import last_lines
from auditvault.cli.up.home import project_root
from auditvault.cli.up.postgres import PostgresError
from auditvault.cli.up.process import Child, ChildSpec
from auditvault.cli.up.sockets import free_port
from tests.benchmarks import floor

REGION = "eu"
_TENANT = "bench"
_FLOOR_DATABASE = "bench_floor"
_COUNTS = """
SELECT (SELECT count(*) FROM traces_header), count(*), (SELECT sum(size)::bigint
    FROM ledger_head JOIN ledger_log USING (tenant_id, log_id) WHERE kind = 'interactions')
FROM ledger_entry JOIN ledger_log USING (tenant_id, log_id) WHERE kind = 'interactions'
"""
_READY_SECONDS = 60.0
_POLL_SECONDS = 0.05


class BenchmarkError(Exception):
    """The instance does not start, or does not hold what it acknowledged."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Servers:
    """Where to send, and the processes whose time counts, by name."""

    port: int  # on the loopback address
    token: str
    pids: Mapping[str, int]


class Instance:
    """A running cluster with one tenant, on which the product's and the floor's web servers run."""

    def __init__(self, cluster: Cluster, *, workers: int | None) -> None:
        """`workers` replaces the number of web workers that `auditvault up` starts."""
        self._cluster = cluster
        self._workers = workers
        self.token = ""

    def set_up(self) -> None:
        """Migrate, and make a tenant with a token that may append."""
        self._django("owner", "migrate_all", "--verbosity", "0")
        self._django("operator", "tenant", "create", _TENANT, "--region", REGION)
        made = self._django(
            "operator", "token", "create", "--tenant", _TENANT, "--region", REGION,
            "--role", "ingest", "--json",
        )  # fmt: skip
        self.token = json.loads(made)["token"]

    @property
    def home(self) -> Path:
        """Its directory."""
        return self._cluster.site.home

    @property
    def versions(self) -> dict[str, str]:
        """Of the servers."""
        with self.connect("postgres") as connection:
            row = connection.execute("SHOW server_version").fetchone()
        return {"postgresql": str(row[0] if row else ""), "granian": version("granian")}

    @contextmanager
    def service(self) -> Iterator[Servers]:
        """Run the product's web server and its signer."""
        with _running(self._spec("signer")) as signer, _running(self._spec("web")) as web:
            yield self._servers(self._cluster.site.port, web=web, signer=signer)

    @contextmanager
    def unsigned(self) -> Iterator[Servers]:
        """Run the product's web server alone: nothing is signed but while `signer` runs beside it."""
        with _running(self._spec("web")) as web:
            yield self._servers(self._cluster.site.port, web=web)

    @contextmanager
    def signer(self) -> Iterator[int]:
        """Run the signer; yields its pid."""
        with _running(self._spec("signer")) as signer:
            yield signer

    @contextmanager
    def floor(self) -> Iterator[Servers]:
        """Run the floor under the product's web server arguments, on a database of its own."""
        port = free_port()
        spec = self._spec("web")
        argv = [*spec.argv[:-1], floor.APPLICATION]
        argv[argv.index("--port") + 1] = str(port)
        environment = {**spec.environment, floor.URL_VARIABLE: self._make_floor()}
        bare = dataclasses.replace(
            spec, name="floor", argv=argv, environment=environment,
            log=spec.log.with_name("floor.log"), ready=lambda: is_web_ready(port),
        )  # fmt: skip
        with _running(bare) as web:
            yield self._servers(port, web=web)

    def connect(self, database: str) -> psycopg.Connection[tuple[object, ...]]:
        """Connect as superuser, who sees the rows of every tenant."""
        dsn = make_conninfo(self._cluster.postgres.superuser_dsn, dbname=database)
        return psycopg.connect(dsn, autocommit=True)

    def connect_as_app(self) -> psycopg.Connection[tuple[object, ...]]:
        """Connect to the region as the service does, who sees the rows of the tenant it names."""
        url = self._cluster.site.urls[f"region_{REGION}"]["app"]
        return psycopg.connect(url, autocommit=True)

    def check_durable(self, acknowledged: int) -> int:
        """Kill PostgreSQL, let it recover, and count; returns the number of rows.

        Raises BenchmarkError unless headers, entries and the head each say `acknowledged`.
        """
        self._cluster.postgres.kill()
        self._start_again()
        with self.connect(f"region_{REGION}") as connection:
            counts = connection.execute(_COUNTS).fetchone()
        if counts != (acknowledged,) * 3:
            raise BenchmarkError(
                f"{acknowledged} spans were acknowledged; headers, entries and head say {counts}"
            )
        return acknowledged

    def _start_again(self) -> None:
        """Start PostgreSQL once the killed one's last process has gone: until then it refuses to."""
        deadline = time.monotonic() + _READY_SECONDS
        while True:
            try:
                self._cluster.postgres.start()
            except PostgresError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(_POLL_SECONDS)
            else:
                return

    def verify(self) -> float:
        """Sign and verify every log; returns the seconds of the latter, raises BenchmarkError."""
        self._django("signer", "signer", "--once")
        began = time.monotonic()
        report = json.loads(self._django("operator", "verify", "--no-payloads", "--json"))
        if report["verdict"] != "holds":
            raise BenchmarkError(f"the log does not verify: {report}")
        return time.monotonic() - began

    def run_module(self, module: str) -> str:
        """Run a module in a process that may seal and open contents; returns what it printed."""
        return self._python("operator", "-m", module)

    def _spec(self, name: str) -> ChildSpec:
        (spec,) = (child for child in AUDITVAULT.children(self._cluster.site) if child.name == name)
        argv = list(spec.argv)
        if name == "web" and self._workers is not None:
            argv[argv.index("--workers") + 1] = str(self._workers)
        return dataclasses.replace(spec, argv=argv)

    def _servers(self, port: int, **pids: int) -> Servers:
        pids["postgres"] = self._cluster.postgres.pid
        return Servers(port=port, token=self.token, pids=pids)

    def _make_floor(self) -> str:
        """Make the floor's database and return its URL for the application's role."""
        app_url = self._cluster.site.urls[f"region_{REGION}"]["app"]
        with self.connect("postgres") as connection:
            connection.execute(f"CREATE DATABASE {_FLOOR_DATABASE}")
        with self.connect(_FLOOR_DATABASE) as connection:
            connection.execute(floor.SCHEMA)
        return app_url.replace(f"/region_{REGION}?", f"/{_FLOOR_DATABASE}?")

    def _django(self, purpose: Purpose, *words: str) -> str:
        return self._python(purpose, "-m", "django", *words)

    def _python(self, purpose: Purpose, *words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", *words],
            env=self._cluster.environment(purpose),
            cwd=project_root(), capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise BenchmarkError(f"{' '.join(words[1:4])} failed:\n{done.stdout}{done.stderr}")
        return done.stdout


@contextmanager
def private_instance(parent: Path | None, *, workers: int | None) -> Iterator[Instance]:
    """Make an instance in a new directory below `parent` and remove all of it at the end."""
    home = Path(tempfile.mkdtemp(prefix="auditvault-bench-", dir=parent))
    try:
        cluster = Cluster(
            home, regions=(REGION,), settings_module="settings.dev", web_port=free_port(),
            with_broker=False,
        )  # fmt: skip
        with cluster:
            instance = Instance(cluster, workers=workers)
            instance.set_up()
            yield instance
    finally:
        # Where the servers' user cannot enter the home, a link in it names their directory.
        shutil.rmtree((home / "servers").resolve(), ignore_errors=True)
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def _running(spec: ChildSpec) -> Iterator[int]:
    """Run a child until the block ends; yields its pid once it is ready."""
    child = Child(spec)
    try:
        deadline = time.monotonic() + _READY_SECONDS
        while spec.ready is not None and not spec.ready():
            if child.poll() is not None or time.monotonic() > deadline:
                raise BenchmarkError(
                    f"{spec.name} did not start. {spec.log} ends:\n{last_lines(spec.log)}"
                )
            time.sleep(_POLL_SECONDS)
        yield child.pid
    finally:
        child.stop()
