"""Looks at content by many at once, beside the same looks without the access entry.

Run: python -m tests.benchmarks.access, from the repository's root. Readers are threads of one process, as they are in a
web worker, on servers of their own; the two kinds take turns, so that whatever else the machine does touches both.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

from auditvault.cli.up.cluster import Cluster

TARGET_RESOLVES_PER_SECOND = 300
READERS = 16

_ROUND_SECONDS = 4.0
_ROUNDS = 3
_PROMPTS = 200
_ROOT = Path(__file__).resolve().parents[2]
_WITHOUT_LIMITS = ("LOOKUPS_PER_CALLER", "LOOKUPS_PER_TENANT", "SUBJECTS_PER_DAY")

_Look = Callable[[int], None]


def measure() -> dict[str, Any]:
    """The figures, from a process of their own: settings are read once in a process."""
    argv = [sys.executable, "-m", "tests.benchmarks.access"]
    done = subprocess.run(argv, cwd=_ROOT, stdout=subprocess.PIPE, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def main() -> None:
    """Start servers, measure, and print JSON."""
    home = Path(tempfile.mkdtemp(prefix="auditvault-access-"))
    home.chmod(0o711)
    try:
        with Cluster(home, with_broker=False) as cluster:
            migrate = [sys.executable, "-m", "django", "migrate_all", "--verbosity", "0"]
            subprocess.run(migrate, env=cluster.environment("owner"), check=True, cwd=_ROOT)
            os.environ.update(cluster.environment("operator"))
            os.environ.update({f"AUDITVAULT_{name}": "1000000" for name in _WITHOUT_LIMITS})
            print(json.dumps(_measure(), indent=1))
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _measure() -> dict[str, Any]:
    import django

    django.setup()
    sys.setswitchinterval(0.0005)  # as the web server's processes do
    looks = _lookers()
    _round(looks, 1.0)
    figures: dict[str, list[dict[str, float]]] = {"recorded": [], "unrecorded": []}
    for _ in range(_ROUNDS):
        figures["recorded"].append(_round(looks, _ROUND_SECONDS))
        with _no_entry():
            figures["unrecorded"].append(_round(looks, _ROUND_SECONDS))
    rates = {
        kind: statistics.median(found["per_second"] for found in rounds)
        for kind, rounds in figures.items()
    }
    return {
        "readers": READERS,
        "resolves_per_second": rates["recorded"],
        "without_entry_per_second": rates["unrecorded"],
        "ratio": round(rates["recorded"] / rates["unrecorded"], 3),
        "target_per_second": TARGET_RESOLVES_PER_SECOND,
        "rounds": figures,
    }


def _lookers() -> list[_Look]:
    """One for each reader: a person of their own, who sees the numbered prompt."""
    from auditvault.access.disclosure import Look, resolve
    from tests.conftest import make_tenant
    from tests.staff import cleared_person

    tenant = make_tenant()
    for number in range(_PROMPTS):
        _send(tenant, f"prompt {number}", user=f"person {number}")

    def looker(person: Any) -> _Look:
        credential = person.signed_in()

        def look(number: int) -> None:
            digest = sha256(f"prompt {number % _PROMPTS}".encode()).hexdigest()
            asked = Look(
                content_hash=f"sha256:{digest}",
                code="INCIDENT",
                case="INC-1",
                reason="A customer complains about an answer",
            )
            found = resolve(credential=credential, region="eu", look=asked, now=datetime.now(UTC))
            if len(found.contents) != 1:
                raise AssertionError("each prompt is there once")

        return look

    return [looker(cleared_person(tenant)) for _ in range(READERS)]


def _send(tenant: Any, prompt: str, *, user: str) -> None:
    from auditvault.ingest.otlp.traces import decode_traces
    from auditvault.ingest.services import ingest
    from tests.integration.ingest.sending import chat, protobuf_of

    ingest(
        region="eu",
        tenant_id=tenant.tenant_id,
        source="token:bench",
        interactions=decode_traces(protobuf_of(chat(prompt, user=user)), "protobuf").interactions,
        received_at=datetime.now(UTC),
    )


def _round(looks: list[_Look], seconds: float) -> dict[str, float]:
    """Every reader looks, one look after the other, until the time is over."""
    from django.db import connections

    waits: list[float] = []
    failures: list[BaseException] = []
    cpu, began = time.process_time(), time.perf_counter()

    def read(place: int, look: _Look) -> None:
        number = place
        try:
            while time.perf_counter() - began < seconds:
                before = time.perf_counter()
                look(number)
                waits.append(time.perf_counter() - before)
                number += READERS
        except BaseException as error:  # noqa: BLE001  # the main thread raises it
            failures.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=read, args=each) for each in enumerate(looks)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    spent = time.perf_counter() - began
    waits.sort()
    return {
        "per_second": round(len(waits) / spent, 1),
        "p50_ms": round(waits[len(waits) // 2] * 1000, 2),
        "p99_ms": round(waits[len(waits) * 99 // 100] * 1000, 2),
        "cpu_ms_per_look": round((time.process_time() - cpu) / len(waits) * 1000, 3),
    }


@contextmanager
def _no_entry() -> Iterator[None]:
    """The same looks, without the one thing that is measured."""
    from auditvault.access import disclosure

    real = disclosure.record_counted
    disclosure.record_counted = lambda **_: uuid4()  # type: ignore[assignment]
    try:
        yield
    finally:
        disclosure.record_counted = real


if __name__ == "__main__":
    main()
