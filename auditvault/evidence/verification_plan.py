"""What there is to verify of one log: its head, what was signed of it, and the ranges of its entries.

A range begins at a multiple of its length, which is a power of a tile's width: its tree is a subtree of the log's, and
what is told of it in 32 bytes is a hash of a tile.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg

from auditvault.core.tlog.merkle import EMPTY_ROOT, CompactRange, TreeError
from auditvault.core.tlog.tiles import TILE_WIDTH
from auditvault.evidence.verification_checkpoints import Trust, signed_roots
from auditvault.evidence.verification_pool import Tell
from auditvault.evidence.verification_prune import Beginning, find_beginning
from auditvault.evidence.verification_report import Report
from auditvault.evidence.verification_walk import HeadRow
from auditvault.ledger.logs import LogRef
from auditvault.ledger.scope import region_alias, tenant_scope

RANGE_LEVELS = 2
"""Levels of tiles that lie within one range: 65,536 entries."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogTask:
    """One log to verify, in one snapshot; goes to another process."""

    region: str
    log: LogRef
    snapshot: str
    trust: Trust
    with_payloads: bool
    range_levels: int = RANGE_LEVELS

    @property
    def span(self) -> int:
        """How many entries a range has."""
        return int(TILE_WIDTH**self.range_levels)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What was read of a log before its entries."""

    task: LogTask
    head: HeadRow | None
    signed: dict[int, set[bytes]]
    """The roots that were signed, by size."""
    begin: Beginning
    """What the first entry has to follow: nothing, or what was pruned."""
    starts: list[int]
    """Where ranges begin that have any entry."""
    found: Report


def plan_log(task: LogTask, _tell: Tell) -> Plan:
    """Read what the log's ranges are to be compared with."""
    report = Report(region=task.region, origin=task.log.origin, kind=task.log.kind)
    alias = region_alias(task.region)
    with tenant_scope(alias, task.log.tenant_id, as_of=task.snapshot) as connection:
        read_by_index(connection)
        signed = signed_roots(connection, task.log, task.trust, report)
        return Plan(
            task=task,
            head=_head(connection, task.log, report),
            signed=signed,
            begin=find_beginning(connection, task.log, signed, report),
            starts=list(_starts(connection, task.log, task.span)),
            found=report,
        )


def read_by_index(connection: psycopg.Connection[Any]) -> None:
    """All reads here go by an index. Without statistics, after a crash say, the planner would read whole tables."""
    connection.execute("SET LOCAL enable_seqscan = off")


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


def _starts(connection: psycopg.Connection[Any], log: LogRef, span: int) -> Iterator[int]:
    """Looks from range to range: an entry that was given a huge number adds one range and not a million."""
    after = -1
    while True:
        row = connection.execute(
            "SELECT idx FROM ledger_entry WHERE tenant_id = %s AND log_id = %s AND idx > %s"
            " ORDER BY idx LIMIT 1",
            (log.tenant_id, log.log_id, after),
        ).fetchone()
        if row is None:
            return
        start = row[0] - row[0] % span
        yield start
        after = start + span - 1
