"""What a benchmark run found, as JSON for machines and as a table for people."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

TARGETS: dict[int, int] = {512: 8_000, 64: 5_000, 8: 1_500}
"""Spans a second, by spans in a request (issue 2)."""

RATIO_TARGET = 0.5
"""Of the floor's speed."""
_HEADING = """\
                                                        CPU us a span: service  /  floor
batch  spans/s  target  floor/s  ratio  p50 ms others     web postgre senders     web postgre"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Round:
    """One measured run of one target with one batch size."""

    spans: int  # acknowledged
    requests: int
    seconds: float
    spans_per_second: float
    p50_ms: float
    p99_ms: float
    bytes_per_span: float  # on the wire, compressed
    cpu_us_per_span: Mapping[str, float]  # web, postgres, senders, signer
    other_programs: float  # share of all processors' time that went to none of these, 0 to 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """All rounds of one batch size. The floor's and the service's alternate."""

    batch: int
    service: Sequence[Round]
    floor: Sequence[Round]

    def summary(self) -> dict[str, Any]:
        """Medians of the rounds; the ratio is of medians."""
        service, floor = _speed(self.service), _speed(self.floor)
        return {
            "spans_per_second": round(service),
            "target": TARGETS[self.batch],
            "floor_spans_per_second": round(floor),
            "ratio_to_floor": round(service / floor, 3),
            "cpu_us_per_span": _costs(self.service),
            "floor_cpu_us_per_span": _costs(self.floor),
            "p50_ms": round(statistics.median(item.p50_ms for item in self.service), 1),
            "p99_ms": round(statistics.median(item.p99_ms for item in self.service), 1),
            "other_programs": max(item.other_programs for item in self.service),
            "meets_target": service >= TARGETS[self.batch] and service / floor >= RATIO_TARGET,
            "rounds": [asdict(item) for item in self.service],
            "floor_rounds": [asdict(item) for item in self.floor],
        }


def _speed(rounds: Sequence[Round]) -> float:
    return statistics.median(item.spans_per_second for item in rounds)


def _costs(rounds: Sequence[Round]) -> dict[str, float]:
    """Least of the rounds: what other programs do to caches only ever adds."""
    return {
        name: min(item.cpu_us_per_span[name] for item in rounds)
        for name in rounds[0].cpu_us_per_span
    }


def machine(directory: Path) -> dict[str, Any]:
    """Where it ran, as far as it matters to the numbers."""
    return {
        "processors": _processors(),
        "processor": _first_value("/proc/cpuinfo", "model name"),
        "memory": _first_value("/proc/meminfo", "MemTotal"),
        "kernel": platform.release(),
        "file_system": _file_system(directory),
        "python": platform.python_version(),
    }


def table(report: Mapping[str, Any]) -> str:
    """The figures that matter, in lines of text."""
    lines = [_HEADING]
    for batch, item in report["batches"].items():
        cost, floor = item["cpu_us_per_span"], item["floor_cpu_us_per_span"]
        figures = (
            f"{batch:>5} {item['spans_per_second']:>8} {item['target']:>7}",
            f"{item['floor_spans_per_second']:>8} {item['ratio_to_floor']:>6.2f}",
            f"{item['p50_ms']:>7} {item['other_programs']:>6.0%}",
            f"{cost['web']:>7} {cost['postgres']:>7} {cost['senders']:>7}",
            f"{floor['web']:>7} {floor['postgres']:>7}",
        )
        lines.append(" ".join(figures))
    durable = report["durable"]
    lines.append(
        f"acknowledged {durable['acknowledged']}, durable {durable['rows']} after a crash of"
        f" PostgreSQL; the log {durable['verdict']} ({durable['verify_seconds']} s)"
    )
    return "\n".join(lines)


def log_lines(log: Mapping[str, Any]) -> str:
    """The figures of the log's part that matter, in lines of text."""
    tree, proof, signing = log["tree"], log["proof"], log["signing"]
    verified = tree["chain_and_tree_entries_per_cpu_second"]
    theirs = tree["pymerkle_tree_entries_per_cpu_second"]
    return (
        f"chain and tree: {verified:,} entries a CPU second (target {tree['target']:,});"
        f" pymerkle's tree alone: {theirs:,}\n"
        f"inclusion proof at {proof['entries']:,}: {proof['proof_ms']['median']} ms"
        f" (target {proof['target_ms']}), verified in {proof['verify_ms']} ms\n"
        f"appends with the signer beside: {signing['ratio']:.3f} of those without"
        f" (target {signing['target_ratio']})"
    )


def vault_lines(vault: Mapping[str, Any]) -> str:
    """The figures of the vault's part that matter, in lines of text."""
    lines = [
        f"{name} {vault['size_bytes']} bytes: {vault[name]['us']} us, {vault[name]['ratio']} x the bare"
        f" primitives' {vault[name]['primitives_us']} (target {vault['target_ratio']})"
        for name in ("seal", "open")
    ]
    rewrap, large = vault["rewrap"], vault["large"]
    lines.append(
        f"keys wrapped anew: {rewrap['per_cpu_second']:,} a CPU second (target {rewrap['target']:,})"
    )
    lines += [
        f"{name} {large['size_bytes'] // 10**6} MB: {large[name]['extra_bytes'] / 2**20:.1f} MiB extra"
        f" (target {large['target_bytes'] // 2**20}), {large[name]['seconds']} s,"
        f" CPU {large[name]['cpu_seconds']} s"
        for name in ("seal", "open")
    ]
    secrets, lookups = vault["secrets"], vault["lookups"]
    lines += [
        f"looking for secrets: {secrets['clean_us_per_kb']} us a KB of clean text (target {secrets['target']})",
        f"and {secrets['spans_512']['us_per_span']} us a span at 512 a request",
        f"misses: slowest kind's median {lookups['ratio']} x the fastest's (target {lookups['target_ratio']})",
    ]
    return "\n".join(lines)


def access_lines(access: Mapping[str, Any]) -> str:
    """The figures of looks at content that matter, in a line of text."""
    return (
        f"looks at content by {access['readers']} at once: {access['resolves_per_second']} a second"
        f" (target {access['target_per_second']}), {access['ratio']} of those without a record"
    )


def _processors() -> int:
    return len(os.sched_getaffinity(0))


def _first_value(path: str, name: str) -> str:
    for line in Path(path).read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return "unknown"


def _file_system(directory: Path) -> str:
    """Type of the file system: on tmpfs an fsync costs nothing."""
    best, kind = -1, "unknown"
    for line in Path("/proc/mounts").read_text().splitlines():
        _, place, found, *_ = line.split()
        if directory.is_relative_to(place) and len(place) > best:
            best, kind = len(place), found
    return kind
