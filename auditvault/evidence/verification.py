"""Verification from inside: everything of every log is derived again from the database.

For each log: every entry's form, place, chain and leaf hash; the tree, its tiles and the head; every checkpoint's
signature and root; what the signer remembers; every header against its entry's commitment and its search columns; and,
where this process holds the keys, every content against its header. Nothing stops at the first finding: the first bad
index of each kind is named. What the database itself allows is left to `grants`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

import psycopg

from auditvault.core.tlog.checkpoint import Checkpoint
from auditvault.core.tlog.merkle import EMPTY_ROOT, CompactRange, TreeError
from auditvault.core.tlog.tiles import TILE_WIDTH
from auditvault.evidence.payloads import PayloadCheck, check_unrecorded_payloads
from auditvault.evidence.verification_checkpoints import (
    Trust,
    VerificationUnavailableError,
    read_kept,
    read_memory,
    read_public_keys,
    signed_roots,
)
from auditvault.evidence.verification_headers import check_headers, check_unrecorded
from auditvault.evidence.verification_pool import LogTask, run_tasks
from auditvault.evidence.verification_readings import Reading
from auditvault.evidence.verification_report import Progress, Report
from auditvault.evidence.verification_walk import HeadRow, Row, Walk
from auditvault.ledger.logs import LogRef, tenant_logs
from auditvault.ledger.scope import region_alias, tenant_scope
from auditvault.ledger.signer import Signed

__all__ = [
    "Report",
    "Trust",
    "VerificationUnavailableError",
    "read_kept",
    "read_memory",
    "read_public_keys",
    "verify_log",
    "verify_logs",
    "verify_region",
]

BATCH = 2000


def verify_region(
    *,
    region: str,
    public_keys: Sequence[bytes],
    remembered: Mapping[str, Signed],
    kept: Sequence[Checkpoint] = (),
    with_payloads: bool = False,
    jobs: int = 1,
    progress: Progress | None = None,
) -> list[Report]:
    """Verify every log of a region, `jobs` at a time, each in a process of its own where there are several.

    `public_keys` are the signer's, from a place that the database's owner does not control; `remembered` is what the
    signer's own state says, empty where it cannot be had; `kept` are checkpoints from elsewhere. Both must have been
    read before: a log may grow while it is verified. `with_payloads` opens every content, with the region's keys.
    """
    trust = Trust(public_keys=public_keys, remembered=remembered, kept=kept)
    logs = [
        log
        for tenant_id in _tenants(region)
        for log in tenant_logs(region=region, tenant_id=tenant_id)
    ]
    reports = verify_logs(
        region=region,
        logs=logs,
        trust=trust,
        with_payloads=with_payloads,
        jobs=jobs,
        progress=progress,
    )
    return reports + _missing_logs(region, trust, {log.origin for log in logs})


def verify_logs(
    *,
    region: str,
    logs: Sequence[LogRef],
    trust: Trust,
    with_payloads: bool = False,
    jobs: int = 1,
    progress: Progress | None = None,
) -> list[Report]:
    """A report on each of these logs, in order; all logs of a tenant must be among them, or none."""
    tasks = [
        LogTask(region=region, log=log, trust=trust, with_payloads=with_payloads) for log in logs
    ]
    reports = run_tasks(verify_log, tasks, jobs=jobs, progress=progress)
    if with_payloads:
        _check_unrecorded_payloads(region, logs, reports)
    return reports


def _tenants(region: str) -> list[UUID]:
    with tenant_scope(region_alias(region), UUID(int=0)) as connection:
        rows = connection.execute("SELECT DISTINCT tenant_id FROM ledger_all_logs()").fetchall()
    return sorted(row[0] for row in rows)


def _missing_logs(region: str, trust: Trust, seen: set[str]) -> list[Report]:
    """Logs that are known outside and that the database does not have."""
    lost = []
    for origin, size in trust.origins().items():
        if origin.split("/")[1] == region and origin not in seen and size:
            report = Report(region=region, origin=origin, kind="unknown")
            report.bad("log_missing", 0)
            lost.append(report)
    return lost


def _check_unrecorded_payloads(
    region: str, logs: Sequence[LogRef], reports: Sequence[Report]
) -> None:
    by_tenant: dict[UUID, list[tuple[LogRef, Report]]] = {}
    for log, report in zip(logs, reports, strict=True):
        by_tenant.setdefault(log.tenant_id, []).append((log, report))
    for tenant_id, pairs in by_tenant.items():
        with tenant_scope(region_alias(region), tenant_id) as connection:
            connection.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_nestloop = off")
            check_unrecorded_payloads(
                connection, [log for log, _ in pairs], [report for _, report in pairs]
            )


def verify_log(task: LogTask, progress: Progress | None) -> Report:
    """Verify one log, in one snapshot of the database."""
    region, log = task.region, task.log
    report = Report(region=region, origin=log.origin, kind=log.kind)
    payloads = None
    with tenant_scope(region_alias(region), log.tenant_id, snapshot=True) as connection:
        # All reads here go by an index. Without statistics, after a crash say, the planner would read whole tables.
        connection.execute("SET LOCAL enable_seqscan = off")
        head = _head(connection, log, report)
        signed = signed_roots(connection, log, task.trust, report)
        walk = Walk(log, report, signed, TileLeaves(connection, log))
        if task.with_payloads:
            payloads = PayloadCheck(region, log, connection, report)
        for rows in _batches(connection, log):
            committed = check_headers(connection, log, walk.take(rows), report)
            if payloads is not None:
                payloads.take(committed)
            if progress:
                progress(log.origin, report.entries, head.size if head else 0)
        reading = walk.finish(head)
        _check_tiles(connection, log, reading, report)
        check_unrecorded(connection, log, report)
    if payloads is not None:
        payloads.look_again()
    else:
        report.notes.append("No content was opened: payloads were not checked.")
    return report


def _head(connection: psycopg.Connection[Any], log: LogRef, report: Report) -> HeadRow | None:
    row = connection.execute(
        "SELECT size, range, last_leaf FROM ledger_head WHERE tenant_id = %s AND log_id = %s",
        (log.tenant_id, log.log_id),
    ).fetchone()
    if row is None:
        report.bad("head_missing", 0)
        return None
    size, nodes, last_leaf = row
    try:
        root = CompactRange.from_bytes(size, bytes(nodes)).root() if size else EMPTY_ROOT
    except TreeError:
        root = b""
    return HeadRow(size=size, root=root, last_leaf=bytes(last_leaf))


def _batches(connection: psycopg.Connection[Any], log: LogRef) -> Iterator[list[Row]]:
    after = -1
    while True:
        rows = connection.execute(
            "SELECT idx, record_id, leaf_hash, entry FROM ledger_entry"
            " WHERE tenant_id = %s AND log_id = %s AND idx > %s ORDER BY idx LIMIT %s",
            (log.tenant_id, log.log_id, after, BATCH),
        ).fetchall()
        if not rows:
            return
        yield [(row[0], row[1], bytes(row[2]), bytes(row[3])) for row in rows]
        after = rows[-1][0]


class TileLeaves:
    """Leaf hashes as the full tiles have them, read only where entries disagree."""

    def __init__(self, connection: psycopg.Connection[Any], log: LogRef) -> None:
        self._connection = connection
        self._log = log
        self._n = -1
        self._hashes = b""

    def __call__(self, index: int) -> bytes | None:
        """The leaf hash of an index; None where there is no such tile."""
        n, place = divmod(index, TILE_WIDTH)
        if n != self._n:
            row = self._connection.execute(
                "SELECT hashes FROM ledger_tile WHERE tenant_id = %s AND log_id = %s AND level = 0"
                " AND n = %s AND width = 256",
                (self._log.tenant_id, self._log.log_id, n),
            ).fetchone()
            self._n, self._hashes = n, bytes(row[0]) if row else b""
        return self._hashes[place * 32 : place * 32 + 32] or None


def _check_tiles(
    connection: psycopg.Connection[Any], log: LogRef, reading: Reading, report: Report
) -> None:
    """Every full tile there must be, and what it must hold; levels above 0 from the roots below."""
    level, tiles = 0, [] if reading.lost else reading.tiles
    while tiles:
        rows = connection.execute(
            "SELECT n, hashes, root FROM ledger_tile WHERE tenant_id = %s AND log_id = %s"
            " AND level = %s AND width = 256 ORDER BY n",
            (log.tenant_id, log.log_id, level),
        ).fetchall()
        stored = {row[0]: (bytes(row[1]), bytes(row[2])) for row in rows}
        roots = []
        for n, hashes in enumerate(tiles):
            tree = CompactRange()
            tree.extend([hashes[at : at + 32] for at in range(0, len(hashes), 32)])
            roots.append(tree.root())
            if stored.get(n) != (hashes, tree.root()):
                report.bad("tile", n * TILE_WIDTH ** (level + 1))
        level += 1
        tiles = [
            b"".join(roots[at : at + TILE_WIDTH])
            for at in range(0, len(roots) - len(roots) % TILE_WIDTH, TILE_WIDTH)
        ]
