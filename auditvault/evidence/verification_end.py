"""The end of verifying one log: tiles above its ranges, headers without an entry, and the walk where one is due."""

from __future__ import annotations

import itertools
from typing import Any

import psycopg

from auditvault.evidence.verification_headers import check_unrecorded
from auditvault.evidence.verification_merge import EndTask
from auditvault.evidence.verification_plan import read_by_index
from auditvault.evidence.verification_pool import Tell
from auditvault.evidence.verification_prune import kept_leaves
from auditvault.evidence.verification_range import read_entries
from auditvault.evidence.verification_report import Report
from auditvault.evidence.verification_tiles import TileLeaves, bad_tiles
from auditvault.evidence.verification_walk import Walk
from auditvault.ledger.scope import region_alias, tenant_scope


def end_log(task: EndTask, tell: Tell) -> Report:
    """The report on a log whose ranges were verified."""
    log, report = task.of.log, task.report
    alias = region_alias(task.of.region)
    with tenant_scope(alias, log.tenant_id, as_of=task.of.snapshot) as connection:
        read_by_index(connection)
        if task.size is None:
            _walk(connection, task, tell)
        else:
            report.entries = task.size
            tiles = bad_tiles(connection, log, task.whole, level=task.of.range_levels)
            for index in tiles:
                report.bad("tile", index)
        check_unrecorded(connection, log, report)
    if not task.of.with_payloads:
        report.notes.append("No content was opened: payloads were not checked.")
    return report


def _walk(connection: psycopg.Connection[Any], task: EndTask, tell: Tell) -> None:
    """Go over all entries in order: something disagrees, and only this says what."""
    log, report = task.of.log, task.report
    walk = Walk(log, report, task.signed, TileLeaves(connection, log), task.begin)
    for rows in read_entries(connection, log, task.begin.first):
        walk.take(rows)
        tell(log.origin, len(rows))
    reading = walk.finish(task.head)
    if not reading.lost:
        kept = itertools.chain.from_iterable(kept_leaves(connection, log, task.begin.first))
        for index in bad_tiles(connection, log, [*kept, *reading.leaves()]):
            report.bad("tile", index)
