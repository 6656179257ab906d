"""What the turn of an epoch costs: wrapping keys anew in memory, beside the bare primitives, and whole turns.

`python -m tests.benchmarks.epochs` measures both, on a PostgreSQL of its own, and prints JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

TARGET = 50_000
"""Keys a second and core, in memory (issue 4)."""

_ROOT = Path(__file__).resolve().parents[2]
_IN_MEMORY = 50_000
_IN_DATABASE = 50_000
_TENANTS = 5


def measure(rounds: int) -> dict[str, Any]:
    """Figures of `rounds` passes in memory, the best of which counts, and of as many turns."""
    in_memory = _in_memory(rounds)
    with tempfile.TemporaryDirectory(prefix="auditvault-bench-") as folder:
        home = Path(folder)
        home.chmod(0o711)
        turns = _in_database(home, rounds)
    return {"in_memory": in_memory, "turns": turns}


def _in_memory(rounds: int) -> dict[str, Any]:
    from auditvault.core.crypto.keywrap import WrapKey
    from auditvault.vault.keyring.contexts import SubjectKeyName, subject_dek_context
    from auditvault.vault.keyring.rewrapping import Row, rewrap_rows

    tenant_id, old, new = (
        uuid4(),
        WrapKey(uuid4(), os.urandom(32)),
        WrapKey(uuid4(), os.urandom(32)),
    )
    rows: list[Row] = []
    for _ in range(_IN_MEMORY):
        name = SubjectKeyName(uuid4(), "content", 1, uuid4())
        context = subject_dek_context("eu", old, tenant_id, name)
        wrapped = old.wrap(os.urandom(32), context)
        rows.append((name.subject_id, name.data_class, name.version, name.key_id, 1, wrapped))
    passes, bare = [], []
    for _ in range(rounds):
        begun = time.process_time()
        moved, damaged = rewrap_rows("eu", tenant_id, rows, {1: old}, new)
        passes.append(time.process_time() - begun)
        if damaged or len(moved) != len(rows):
            raise RuntimeError("a key was not moved")
        begun = time.process_time()
        for _ in range(_IN_MEMORY):
            new.wrap(old.unwrap(wrapped, context), context)
        bare.append(time.process_time() - begun)
    speed = _IN_MEMORY / min(passes)
    return {
        "keys_per_cpu_second": round(speed),
        "target": TARGET,
        "meets_target": speed >= TARGET,
        "bare_unwrap_and_wrap_per_cpu_second": round(_IN_MEMORY / min(bare)),
    }


def _in_database(home: Path, rounds: int) -> list[dict[str, float]]:
    from auditvault.cli.up.cluster import Cluster

    with Cluster(home, regions=("eu",), with_broker=False) as cluster:
        subprocess.run(
            [sys.executable, "-m", "django", "migrate_all", "--verbosity", "0"],
            env=cluster.environment("owner"),
            check=True,
            cwd=_ROOT,
        )
        done = subprocess.run(
            [sys.executable, "-m", "tests.benchmarks.epochs", "--turns", str(rounds)],
            env=cluster.environment("operator") | {"PYTHONPATH": str(_ROOT)},
            check=True,
            cwd=_ROOT,
            stdout=subprocess.PIPE,
        )
    found: list[dict[str, float]] = json.loads(done.stdout)
    return found


def _turns(rounds: int) -> list[dict[str, float]]:
    """In a process with Django: make the keys, and turn the epoch so many times."""
    import django

    django.setup()
    from auditvault.vault.epochs import turn as turn_epoch
    from auditvault.vault.keyring.services import keyring

    for tenant_id in [uuid4() for _ in range(_TENANTS)]:
        subjects: list[UUID] = [uuid4() for _ in range(_IN_DATABASE // _TENANTS)]
        keyring("eu").keys_to_seal(tenant_id, subjects, "content")
    found = []
    for _ in range(rounds):
        cpu, begun = time.process_time(), time.perf_counter()
        turn = turn_epoch("eu")
        seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
        found.append(
            {
                "keys": turn.subject_keys,
                "seconds": round(seconds, 2),
                "keys_per_second": round(turn.subject_keys / seconds),
                "python_cpu_us_a_key": round(cpu / turn.subject_keys * 1e6, 1),
            }
        )
    return found


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--turns", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    found: Any = _turns(options.turns) if options.turns else measure(options.rounds)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
