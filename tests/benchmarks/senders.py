"""Senders in processes of their own: bodies are made and compressed before the clock starts."""

from __future__ import annotations

import gzip
import http.client
import multiprocessing as mp
import time
from dataclasses import dataclass
from typing import Any

from tests.benchmarks.traces import make_bodies


@dataclass(frozen=True, kw_only=True)
class Sent:
    """What all senders together got acknowledged, and how long it took."""

    spans: int
    seconds: float
    p50_ms: float
    cpu_seconds: float


def send(*, port: int, token: str, batch: int, requests: int, senders: int, seed: int) -> Sent:
    """`senders` processes send `requests` bodies of `batch` spans each, one after the other."""
    context = mp.get_context("spawn")
    results: Any = context.Queue()
    go = context.Event()
    processes = [
        context.Process(
            target=_sender, args=(port, token, batch, requests, seed + number, results, go)
        )
        for number in range(senders)
    ]
    for process in processes:
        process.start()
    for _ in processes:
        assert results.get(timeout=120) == "ready"
    go.set()
    found = [results.get(timeout=600) for _ in processes]
    for process in processes:
        process.join()
    started, ended = min(item[1] for item in found), max(item[2] for item in found)
    waits = sorted(wait for item in found for wait in item[3])
    return Sent(
        spans=sum(item[0] for item in found),
        seconds=ended - started,
        p50_ms=waits[len(waits) // 2] * 1000,
        cpu_seconds=sum(item[4] for item in found),
    )


def _sender(
    port: int, token: str, batch: int, requests: int, seed: int, results: Any, go: Any
) -> None:
    bodies = [gzip.compress(body, 1) for body in make_bodies(batch, requests, seed)]
    headers = {
        "Content-Type": "application/x-protobuf",
        "Content-Encoding": "gzip",
        "Authorization": f"Bearer {token}",
    }
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    results.put("ready")
    go.wait()
    cpu, started, waits, acknowledged = time.process_time(), time.time(), [], 0
    for body in bodies:
        asked = time.perf_counter()
        connection.request("POST", "/v1/traces", body, headers)
        answer = connection.getresponse()
        answer.read()
        waits.append(time.perf_counter() - asked)
        acknowledged += batch if answer.status == http.client.OK else 0
    results.put((acknowledged, started, time.time(), waits, time.process_time() - cpu))
