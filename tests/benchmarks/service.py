"""The service and the floor on the same PostgreSQL, in the same run: ratios, not seconds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from auditvault.cli.up.cluster import Cluster
from auditvault.cli.up.sockets import free_port
from tests.benchmarks.floor import SCHEMA
from tests.benchmarks.senders import Sent, send

ROOT = Path(__file__).resolve().parents[2]
TARGETS = {512: 8000, 64: 5000, 8: 1500}
REQUESTS = {512: 12, 64: 60, 8: 200}
WARM_UP = {512: 8, 64: 10, 8: 20}
_TICKS = os.sysconf("SC_CLK_TCK")


def measure(*, senders: int, quick: bool) -> dict[str, Any]:
    """Every batch size on the floor and on the service, and whether the log holds afterwards."""
    with tempfile.TemporaryDirectory(prefix="auditvault-bench-") as folder:
        home = Path(folder)
        home.chmod(0o711)
        with Cluster(home, settings_module="settings.dev") as cluster:
            return _measure(cluster, senders=senders, quick=quick)


def _measure(cluster: Cluster, *, senders: int, quick: bool) -> dict[str, Any]:
    _run(cluster, "owner", "migrate_all", "--verbosity", "0")
    _run(cluster, "operator", "tenant", "create", "bench", "--region", "eu")
    token = _run(
        cluster, "operator", "token", "create", "--tenant", "bench", "--region", "eu",
        "--role", "ingest",
    ).strip()  # fmt: skip
    dsn = cluster.postgres.superuser_dsn
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CREATE DATABASE floor")
    floor_dsn = psycopg.conninfo.make_conninfo(dsn, dbname="floor")
    with psycopg.connect(floor_dsn) as connection:
        connection.execute(SCHEMA)
    floor = _batches(
        "tests.benchmarks.floor:application", {"FLOOR_URL": floor_dsn}, cluster, "", senders, quick
    )
    service = _batches("settings.wsgi:application", {}, cluster, token, senders, quick)
    acknowledged = sum(item["acknowledged"] for item in service.values())
    return {
        "batches": {
            str(batch): {
                "spans_per_second": service[batch]["spans_per_second"],
                "target": TARGETS[batch],
                "floor_spans_per_second": floor[batch]["spans_per_second"],
                "ratio_to_floor": round(
                    service[batch]["spans_per_second"] / floor[batch]["spans_per_second"], 2
                ),
                "service": service[batch],
                "floor": floor[batch],
            }
            for batch in service
        },
        "acknowledged": acknowledged,
        "durable": _count(psycopg.conninfo.make_conninfo(dsn, dbname="region_eu")),
        "verify": _verdict(cluster),
    }


def _batches(
    target: str, extra: dict[str, str], cluster: Cluster, token: str, senders: int, quick: bool
) -> dict[int, dict[str, Any]]:
    results = {}
    with _server(target, cluster.environment("web") | extra) as (port, process):
        for batch in TARGETS:
            requests = max(2, REQUESTS[batch] // (4 if quick else 1))
            warm = send(
                port=port, token=token, batch=batch, requests=WARM_UP[batch], senders=senders,
                seed=time.time_ns() % 10**9,
            )  # fmt: skip
            before = _cpu_seconds(process.pid)
            sent = send(
                port=port, token=token, batch=batch, requests=requests, senders=senders,
                seed=time.time_ns() % 10**9,
            )  # fmt: skip
            after = _cpu_seconds(process.pid)
            results[batch] = _figures(sent, before, after) | {
                "acknowledged": sent.spans + warm.spans
            }
    return results


def _figures(sent: Sent, before: dict[str, float], after: dict[str, float]) -> dict[str, Any]:
    spent = {name: (after[name] - before[name]) / sent.spans * 1e6 for name in after}
    return {
        "spans_per_second": round(sent.spans / sent.seconds),
        "p50_ms": round(sent.p50_ms, 1),
        "web_cpu_us_per_span": round(spent["web"], 1),
        "postgres_cpu_us_per_span": round(spent["postgres"], 1),
        "sender_cpu_us_per_span": round(sent.cpu_seconds / sent.spans * 1e6, 1),
    }


@contextmanager
def _server(
    target: str, environment: dict[str, str]
) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    port = free_port()
    argv = [
        sys.executable, "-m", "granian", "--interface", "wsgi", "--host", "127.0.0.1",
        "--port", str(port), "--workers", "2", "--blocking-threads", "4",
        "--log-level", "warning", target,
    ]  # fmt: skip
    process = subprocess.Popen(argv, env=environment, cwd=ROOT)
    try:
        deadline = time.monotonic() + 60
        while not _answers(port):
            assert time.monotonic() < deadline, "the server did not start"
            time.sleep(0.1)
        yield port, process
    finally:
        process.terminate()
        process.wait(30)


def _answers(port: int) -> bool:
    import socket

    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _cpu_seconds(web_pid: int) -> dict[str, float]:
    """CPU of the web server with its children, and of every PostgreSQL process of this run."""
    parents, names, spent = {}, {}, {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            head, _, tail = path.read_text().rpartition(")")
        except OSError:
            continue
        pid, fields = int(path.parent.name), tail.split()
        names[pid], parents[pid] = head.partition("(")[2], int(fields[1])
        # Children that have ended count with their parents.
        spent[pid] = sum(int(value) for value in fields[11:15]) / _TICKS

    def descends(pid: int) -> bool:
        while pid not in {0, web_pid}:
            pid = parents.get(pid, 0)
        return pid == web_pid

    return {
        "web": sum(spent[pid] for pid in spent if descends(pid)),
        "postgres": sum(
            spent[pid] for pid in spent if names[pid].startswith("postgres") and parents[pid] != 1
        ),
    }


def _run(cluster: Cluster, purpose: Any, *words: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", "django", *words],
        env=cluster.environment(purpose), cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip


def _count(dsn: str) -> int:
    with psycopg.connect(dsn) as connection:
        row = connection.execute("SELECT count(*) FROM traces_header").fetchone()
    return int(row[0]) if row else 0


def _verdict(cluster: Cluster) -> str:
    _run(cluster, "signer", "signer", "--once")
    answer = subprocess.run(
        [sys.executable, "-m", "django", "verify", "--json"],
        env=cluster.environment("operator"), cwd=ROOT, check=False, capture_output=True, text=True,
    )  # fmt: skip
    return str(json.loads(answer.stdout)["verdict"])
