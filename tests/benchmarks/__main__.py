"""`make bench`: how fast spans become durable, chained, sealed records, beside a floor; log and vault by themselves.

For each batch size the floor and the service take turns on one PostgreSQL, with the same bodies.
Exit code 1: something acknowledged was lost, or the log does not verify, or a server failed. A
target that is missed is a figure, not a failure: machines differ.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from auditvault.core.errors import AuditvaultError
from tests.benchmarks import access, epochs, large_log, lookups, scrubbing, sealing, signing, tree
from tests.benchmarks.processes import cpu_seconds, machine_seconds
from tests.benchmarks.report import (
    TARGETS,
    Batch,
    Round,
    access_lines,
    log_lines,
    machine,
    table,
    vault_lines,
)
from tests.benchmarks.senders import LoadError, Run, Senders, Sent
from tests.benchmarks.service import BenchmarkError, Instance, Servers, private_instance

# Bodies are made for this many times the target; a faster service ends its round early.
_BODIES_FOR = 1.5
# The generator knows 2,000 people. Each is new once; that is not what is measured.
_WARM_UP_SPANS = 48_000
_WARM_UP_SECONDS = 120.0
_SETTLE_SECONDS = 1.0
_TREE_ENTRIES = 1_000_000


class Bench:
    """Rounds of both targets on one instance, counting what was acknowledged."""

    def __init__(
        self, *, service: Servers, floor: Servers | None, senders: Senders, seconds: float
    ) -> None:
        self._service = service
        self._floor = floor
        self._senders = senders
        self._seconds = seconds
        self._seed = time.time_ns() // 1_000_000  # other trace ids in every run
        self.acknowledged = 0

    def warm_up(self, spans: int) -> None:
        """Let the service meet the people, and PostgreSQL its tables."""
        self._prepare(512, spans)
        self._send(self._service, _WARM_UP_SECONDS)

    def batch(self, size: int, rounds: int) -> Batch:
        """Measure one batch size, floor and service in turn."""
        if self._floor is None:
            raise BenchmarkError("there is no floor to compare with")
        service: list[Round] = []
        floor: list[Round] = []
        spans = int(TARGETS[size] * _BODIES_FOR * (self._seconds + _SETTLE_SECONDS))
        for _ in range(rounds):
            self._prepare(size, spans)
            floor.append(self._round(self._floor))
            service.append(self._round(self._service))
        return Batch(batch=size, service=service, floor=floor)

    def one(self, servers: Servers, size: int) -> Round:
        """Measure one round of one of them."""
        self._prepare(size, int(TARGETS[size] * _BODIES_FOR * (self._seconds + _SETTLE_SECONDS)))
        return self._round(servers)

    def _prepare(self, size: int, spans: int) -> None:
        self._seed += 1000
        self._senders.prepare(batch=size, spans=spans, seed=self._seed)

    def _round(self, servers: Servers) -> Round:
        self._send(servers, _SETTLE_SECONDS)
        roots = {name: [pid] for name, pid in servers.pids.items()}
        roots["senders"] = self._senders.pids
        before = {name: cpu_seconds(pids) for name, pids in roots.items()}
        busy_before, all_before = machine_seconds()
        sent = self._send(servers, self._seconds)
        busy, everything = machine_seconds()
        spent = {name: cpu_seconds(pids) - before[name] for name, pids in roots.items()}
        others = (busy - busy_before) - sum(spent.values())
        share = others / max(everything - all_before, 1e-9)
        return _round_of(sent, spent, max(0.0, share))

    def _send(self, servers: Servers, seconds: float) -> list[Sent]:
        # The floor does not look at ids and may get bodies twice.
        is_floor = servers is self._floor
        order = Run(port=servers.port, token=servers.token, seconds=seconds, repeat=is_floor)
        sent = self._senders.run(order)
        if not is_floor:
            self.acknowledged += sum(item.spans for item in sent)
        return sent


def _round_of(sent: list[Sent], spent: dict[str, float], others: float) -> Round:
    spans = sum(item.spans for item in sent)
    if not spans:
        raise LoadError("the bodies were used up before the clock started")
    seconds = max(item.ended_at for item in sent) - min(item.began_at for item in sent)
    waits = sorted(wait for item in sent for wait in item.latencies)
    return Round(
        spans=spans,
        requests=len(waits),
        seconds=round(seconds, 3),
        spans_per_second=round(spans / seconds, 1),
        p50_ms=round(waits[len(waits) // 2] * 1000, 2),
        p99_ms=round(waits[len(waits) * 99 // 100] * 1000, 2),
        bytes_per_span=round(sum(item.body_bytes for item in sent) / spans, 1),
        cpu_us_per_span={name: round(value / spans * 1e6, 1) for name, value in spent.items()},
        other_programs=round(others, 3),
    )


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Run the parts that are wanted and return the report; raises BenchmarkError or LoadError."""
    with private_instance(options.directory, workers=options.workers) as instance:
        report = {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": machine(instance.home) | instance.versions,
            "options": {
                "senders": options.senders,
                "workers": options.workers,
                "seconds": options.seconds,
                "rounds": options.rounds,
            },
        }
        if options.part in ("ingest", "all"):
            report |= _measure_ingest(instance, options)
        if options.part in ("log", "all"):
            report["log"] = _measure_log(instance, options)
        if options.part in ("vault", "all"):
            large = json.loads(instance.run_module("tests.benchmarks.large_content"))
            report["vault"] = sealing.measure() | {
                "large": large,
                "secrets": scrubbing.measure(),
                "lookups": lookups.measure(),
                "turns": epochs.measure(options.rounds),
            }
        if options.part in ("access", "all"):
            report["access"] = access.measure()
    return report


def _measure_ingest(instance: Instance, options: argparse.Namespace) -> dict[str, Any]:
    with (
        Senders(options.senders) as senders,
        instance.service() as service,
        instance.floor() as floor,
    ):
        bench = Bench(service=service, floor=floor, senders=senders, seconds=options.seconds)
        bench.warm_up(_WARM_UP_SPANS // (4 if options.quick else 1))
        batches = [bench.batch(size, options.rounds) for size in TARGETS]
    rows = instance.check_durable(bench.acknowledged)
    verify_seconds = instance.verify()
    return {
        "batches": {str(item.batch): item.summary() for item in batches},
        "durable": {
            "acknowledged": bench.acknowledged,
            "rows": rows,
            "verdict": "holds",
            "verify_seconds": round(verify_seconds, 1),
        },
    }


def _measure_log(instance: Instance, options: argparse.Namespace) -> dict[str, Any]:
    """Chain and tree, proofs of a large log, and what signing costs appends."""
    with Senders(options.senders) as senders, instance.unsigned() as web:
        bench = Bench(service=web, floor=None, senders=senders, seconds=options.seconds)
        bench.warm_up(_WARM_UP_SPANS // (4 if options.quick else 1))
        signed = signing.measure(instance, web, bench, count=2 * options.rounds)
    instance.verify()
    return {
        "tree": tree.measure(_TREE_ENTRIES, options.rounds),
        "proof": large_log.measure(instance),
        "signing": signed,
    }


def main() -> int:
    """Measure, print a table to stderr and JSON to stdout, or to a file."""
    options = _parser().parse_args()
    if options.seconds is None:
        options.seconds = 2.0 if options.quick else 5.0
    if options.rounds is None:
        options.rounds = 1 if options.quick else 3
    # A terminated run cleans up as an interrupted one does.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        report = measure(options)
    except (BenchmarkError, LoadError, AuditvaultError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    if "batches" in report:
        print(table(report), file=sys.stderr)
    if "log" in report:
        print(log_lines(report["log"]), file=sys.stderr)
    if "vault" in report:
        print(vault_lines(report["vault"]), file=sys.stderr)
    if "access" in report:
        print(access_lines(report["access"]), file=sys.stderr)
    text = json.dumps(report, indent=1) + "\n"
    if options.json:
        options.json.write_text(text)
    else:
        sys.stdout.write(text)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make bench", description=(__doc__ or "").split("\n")[0])
    parser.add_argument(
        "--part",
        choices=("all", "ingest", "log", "vault", "access"),
        default="all",
        help="ingest: spans beside a floor; log: chain and tree, proofs, what signing costs;"
        " vault: sealing and opening beside the primitives, 100 MB, wrapping keys anew;"
        " access: looks at content by many at once, beside the same without their records",
    )
    parser.add_argument("--quick", action="store_true", help="one round of 2 s each")
    parser.add_argument("--seconds", type=float, help="length of a round (default: 5)")
    parser.add_argument("--rounds", type=int, help="of each target and batch size (default: 3)")
    parser.add_argument("--senders", type=int, default=4, help="sending processes (default: 4)")
    parser.add_argument("--workers", type=int, help="web workers (default: as `auditvault up`)")
    parser.add_argument("--directory", type=Path, help="where the instance lives while it runs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="JSON here, not on stdout")
    return parser


if __name__ == "__main__":
    sys.exit(main())
