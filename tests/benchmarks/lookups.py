"""Whether a caller's clock tells one miss from another: lookups of what was never sent, another tenant's, erased.

Run: python -m tests.benchmarks.lookups, from the repository's root. The kinds take turns in one process on servers of
their own, so that whatever else the machine does touches all of them. Medians of wall-clock time; a ratio near 1 is
what counts.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from auditvault.cli.up.cluster import Cluster

TARGET_RATIO = 1.1
"""Of the slowest kind's median to the fastest's."""

_ROUNDS = 400
_WARM_UP = 20
_ROOT = Path(__file__).resolve().parents[2]
_MISSES = ("never sent", "another tenant's", "erased")


def measure() -> dict[str, Any]:
    """The figures, from a process of their own: settings are read once in a process."""
    argv = [sys.executable, "-m", "tests.benchmarks.lookups"]
    done = subprocess.run(argv, cwd=_ROOT, stdout=subprocess.PIPE, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def main() -> None:
    """Start servers, measure, and print JSON."""
    home = Path(tempfile.mkdtemp(prefix="auditvault-lookups-"))
    home.chmod(0o711)
    try:
        with Cluster(home, with_broker=False) as cluster:
            migrate = [sys.executable, "-m", "django", "migrate_all", "--verbosity", "0"]
            subprocess.run(migrate, env=cluster.environment("owner"), check=True, cwd=_ROOT)
            os.environ.update(cluster.environment("operator"))
            os.environ["AUDITVAULT_LOOKUPS_PER_CALLER"] = "1000000"
            os.environ["AUDITVAULT_LOOKUPS_PER_TENANT"] = "1000000"
            print(json.dumps(_measure(cluster), indent=1))
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _measure(cluster: Cluster) -> dict[str, Any]:
    import django

    django.setup()
    from tests.conftest import make_tenant
    from tests.integration.ledger.superuser import superuser

    ours, theirs = make_tenant(), make_tenant()
    _send(theirs, "another tenant's", user="berta")
    _send(ours, "erased", user="anna")
    with superuser(cluster, "region_eu") as connection:
        connection.execute(
            "UPDATE vault_subject SET state = 'erased' WHERE tenant_id = %s AND kind = 'person'",
            (ours.tenant_id,),
        )
    for number in range(200):
        _send(ours, f"something else, number {number}", user=f"person {number}")
    look = _looker(ours)
    times: dict[str, list[float]] = {kind: [] for kind in _MISSES}
    for turn in range(_WARM_UP + _ROUNDS):
        kinds = random.sample(_MISSES, len(_MISSES))
        for kind in kinds:
            spent = look(kind)
            if turn >= _WARM_UP:
                times[kind].append(spent)
    medians = {kind: statistics.median(found) for kind, found in times.items()}
    return {
        "median_ms": {kind: round(value * 1000, 3) for kind, value in medians.items()},
        "ratio": round(max(medians.values()) / min(medians.values()), 3),
        "target_ratio": TARGET_RATIO,
        "rounds": _ROUNDS,
    }


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


def _looker(tenant: Any) -> Any:
    """Looks a content up that is not found; returns how long that took."""
    from auditvault.access.disclosure import ContentNotFoundError, Look, resolve
    from auditvault.access.tokens import authenticate

    credential = authenticate(tenant.cleared()["Authorization"].split()[1], now=datetime.now(UTC))

    def look(content: str) -> float:
        asked = Look(
            content_hash=f"sha256:{sha256(content.encode()).hexdigest()}",
            code="INCIDENT",
            case="INC-1",
            reason="A customer complains about an answer",
        )
        begun = time.perf_counter()
        try:
            resolve(credential=credential, region="eu", look=asked, now=datetime.now(UTC))
        except ContentNotFoundError:
            return time.perf_counter() - begun
        raise AssertionError("this is not to be found")

    return look


if __name__ == "__main__":
    main()
