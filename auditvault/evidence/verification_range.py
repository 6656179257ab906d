"""One range of a log's entries: their headers and contents, and whether the entries agree with what is beside them.

Findings about a header or a content are about one entry, whatever its neighbours are. What is said of entries, chain,
tree and tiles here is only that everything agrees; which of several claims about a leaf is the wrong one cannot be
told from a range, and is left to `verification_walk`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from auditvault.core.tlog.entry import EntryError, read_fields
from auditvault.core.tlog.entry_chain import ChainError, EntryRun
from auditvault.core.tlog.merkle import CompactRange
from auditvault.core.tlog.tiles import TILE_WIDTH
from auditvault.evidence.payloads import PayloadCheck
from auditvault.evidence.verification_headers import check_headers
from auditvault.evidence.verification_plan import LogTask, read_by_index
from auditvault.evidence.verification_pool import Tell
from auditvault.evidence.verification_report import Report
from auditvault.evidence.verification_tiles import bad_tiles
from auditvault.evidence.verification_walk import Row, Taken
from auditvault.ledger.logs import LogRef
from auditvault.ledger.scope import region_alias, tenant_scope

# A multiple of a tile's width, so that a tree grows by whole tiles.
_BATCH = 2048
_MOST = 2**63  # one more than a number can be in the database


@dataclass(frozen=True, slots=True, kw_only=True)
class RangeTask:
    """A range to verify; goes to another process."""

    of: LogTask
    start: int
    sizes: Sequence[int]
    """Sizes of the log within it, in order, at which a root was signed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A range in which everything agrees, as its neighbours and the tree above need to know it."""

    size: int
    first_prev: bytes
    first_time: str
    last_leaf: bytes
    last_time: str
    nodes: dict[int, tuple[bytes, ...]]
    """The range's own subtrees at each signed size, counted from the log's beginning, and at its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RangeResult:
    """What verifying a range found."""

    origin: str
    start: int
    found: Report
    """Of headers and contents."""
    link: Link | None
    """None where something disagrees."""


def verify_range(task: RangeTask, tell: Tell) -> RangeResult:
    """Verify one range, in the log's snapshot."""
    log, region = task.of.log, task.of.region
    report = Report(region=region, origin=log.origin, kind=log.kind)
    payloads = None
    alias = region_alias(region)
    with tenant_scope(alias, log.tenant_id, as_of=task.of.snapshot) as connection:
        read_by_index(connection)
        agreement = _Agreement(task)
        if task.of.with_payloads:
            payloads = PayloadCheck(region, log, connection, report)
        for rows in read_entries(connection, log, task.start, task.of.span):
            agreement.take(rows)
            committed = check_headers(connection, log, list(_readable(rows)), report)
            if payloads is not None:
                payloads.take(committed)
            tell(log.origin, len(rows))
        link = agreement.link(connection)
    if payloads is not None:
        payloads.look_again()
    return RangeResult(origin=log.origin, start=task.start, found=report, link=link)


def read_entries(
    connection: psycopg.Connection[Any], log: LogRef, start: int, span: int = _MOST
) -> Iterator[list[Row]]:
    """So many numbers' entries from an index on, some at a time."""
    after, last = start - 1, min(start + span, _MOST) - 1
    while True:
        rows = connection.execute(
            "SELECT idx, record_id, leaf_hash, entry FROM ledger_entry"
            " WHERE tenant_id = %s AND log_id = %s AND idx > %s AND idx <= %s ORDER BY idx LIMIT %s",
            (log.tenant_id, log.log_id, after, last, _BATCH),
            binary=True,
        ).fetchall()
        if not rows:
            return
        yield [(row[0], row[1], bytes(row[2]), bytes(row[3])) for row in rows]
        after = rows[-1][0]


def _readable(rows: Sequence[Row]) -> Iterator[Taken]:
    """What can be read of entries, the first of each number: two are only there without the primary key."""
    passed = -1
    for index, record_id, _, data in rows:
        if index > passed:
            passed = index
            try:
                yield index, record_id, read_fields(data)
            except EntryError:
                continue


class _Agreement:
    """Whether entries, their numbers, stored leaf hashes, chain and tiles are one, up to the first that is not."""

    def __init__(self, task: RangeTask) -> None:
        self._task = task
        self._holds = True
        self._run = EntryRun(task.of.log.origin, task.start)
        self._tree = CompactRange()
        # The hashes of the range by level: leaf hashes, roots of their tiles, and so on.
        self._rows: list[list[bytes]] = [[] for _ in range(task.of.range_levels + 1)]
        self._nodes: dict[int, tuple[bytes, ...]] = {}

    def take(self, rows: Sequence[Row]) -> None:
        """The next entries."""
        first = self._run.index
        if not self._holds:
            return
        if [row[0] for row in rows] != list(range(first, first + len(rows))):
            self._holds = False
            return
        try:
            leaves = self._run.extend([row[3] for row in rows])
        except (EntryError, ChainError):
            self._holds = False
            return
        self._holds = leaves == [row[2] for row in rows]
        self._grow(first, leaves)

    def _grow(self, first: int, leaves: list[bytes]) -> None:
        done = 0
        ends = [size - first for size in self._task.sizes if first < size < first + len(leaves)]
        for end in [*ends, len(leaves)]:
            part = leaves[done:end]
            self._rows[0] += part
            for level, hashes in self._tree.extend(part).items():
                self._rows[level] += hashes
            self._nodes[first + end] = self._tree.nodes
            done = end

    def link(self, connection: psycopg.Connection[Any]) -> Link | None:
        """What the neighbours need to know; None where something disagrees."""
        run, task = self._run, self._task
        if not self._holds or run.first_prev is None or run.prev is None:
            return None
        tiles = bad_tiles(
            connection,
            task.of.log,
            self._rows[0],
            first=task.start // TILE_WIDTH,
            levels=task.of.range_levels,
        )
        if any(True for _ in tiles):
            return None
        return Link(
            size=run.index,
            first_prev=run.first_prev,
            first_time=run.first_time,
            last_leaf=run.prev,
            last_time=run.time,
            nodes={
                size: self._nodes[size] for size in (*task.sizes, run.index) if size in self._nodes
            },
        )
