"""Verification from inside: everything of every log is derived again from the database.

For each log: every entry's form, place, chain and leaf hash; the tree, its tiles and the head; every checkpoint's
signature and root; what the signer remembers; every header against its entry's commitment and its search columns; and,
where this process holds the keys, every content against its header. Nothing stops at the first finding: the first bad
index of each kind is named. What the database itself allows is left to `grants`.

The entries of a log are verified in ranges, each a piece of work for one process, all in one snapshot of the database.
Headers and contents stand alone, so their findings are those of their range. Chain and tree do not: which of the
witnesses to a leaf is believed depends on what was signed at any later size. So a range says only whether everything
in it agrees; ranges that agree are joined by their leaf hashes and their roots; and where anything disagrees, entries,
chain and tree are walked once more from the first index to the last, by one process. Findings are those of that walk,
however many processes there are and wherever ranges end. It costs a tenth of what headers do, and only where it is due.

With a state (docs/spec/verification-state.md) the ranges that an earlier run has verified are not read again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from uuid import UUID

from auditvault.core.tlog.checkpoint import Checkpoint
from auditvault.core.tlog.log_key import LogKey
from auditvault.evidence.payloads import check_unrecorded_payloads
from auditvault.evidence.verification_checkpoints import (
    Trust,
    VerificationUnavailableError,
    read_acknowledged,
    read_kept,
    read_log_keys,
    read_memory,
    read_retired,
)
from auditvault.evidence.verification_end import end_log
from auditvault.evidence.verification_merge import Merge
from auditvault.evidence.verification_plan import RANGE_LEVELS, LogTask, Plan, plan_log
from auditvault.evidence.verification_pool import Workers, workers
from auditvault.evidence.verification_range import verify_range
from auditvault.evidence.verification_report import Progress, Report
from auditvault.evidence.verification_state import VerificationState
from auditvault.ledger.logs import LogRef, region_logs, tenant_logs
from auditvault.ledger.restores import Restore
from auditvault.ledger.scope import region_alias, shared_snapshot, tenant_scope
from auditvault.ledger.signer_state import RegionKey, Signed

__all__ = [
    "Report",
    "Trust",
    "VerificationState",
    "VerificationUnavailableError",
    "read_acknowledged",
    "read_kept",
    "read_log_keys",
    "read_memory",
    "read_retired",
    "verify_logs",
    "verify_region",
]


def verify_region(
    *,
    region: str,
    keys: Sequence[LogKey],
    remembered: Mapping[str, Signed],
    retired: Sequence[RegionKey] = (),
    kept: Sequence[Checkpoint] = (),
    restores: Sequence[Restore] = (),
    with_payloads: bool = False,
    jobs: int = 1,
    progress: Progress | None = None,
    state: VerificationState | None = None,
) -> list[Report]:
    """Verify every log of a region, in so many processes as there are `jobs`.

    `keys` are the signer's, from a place that the database's owner does not control; `remembered` is what the
    signer's own state says, and `retired` what it says of keys, empty where it cannot be had; `kept` are checkpoints
    from elsewhere. All must have been read before: a log may grow while it is verified. `restores` were answered for.
    `with_payloads` opens every content, with the region's keys. What `state` says to be verified is not read again, and
    what is verified now is added to it.
    """
    trust = Trust(
        keys=keys, remembered=remembered, retired=retired, kept=kept, restores=tuple(restores)
    )
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
        state=state,
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
    state: VerificationState | None = None,
    range_levels: int = RANGE_LEVELS,
) -> list[Report]:
    """A report on each of these logs, in order; all logs of a tenant must be among them, or none."""
    shown = _Shown(progress)
    with shared_snapshot(region_alias(region)) as snapshot, workers(jobs, shown.more) as crew:
        tasks = [
            LogTask(
                region=region,
                log=log,
                snapshot=snapshot,
                trust=trust,
                with_payloads=with_payloads,
                range_levels=range_levels,
            )
            for log in logs
        ]
        merges = _merges(list(crew.map(plan_log, tasks)), state, shown)
        _verify_ranges(crew, merges, state)
        reports = list(crew.map(end_log, [merge.end() for merge in merges.values()]))
    for report in reports:
        report.restores = trust.restores_of(report.origin)
    if with_payloads:
        _check_unrecorded_payloads(region, logs, reports)
    return reports


def _merges(
    plans: Sequence[Plan], state: VerificationState | None, shown: _Shown
) -> dict[str, Merge]:
    at = datetime.now(UTC).isoformat(timespec="seconds")
    merges = {}
    for plan in plans:
        log, span = plan.task.log, plan.task.span
        kept = state.verified(log.origin, span) if state is not None else ()
        merges[log.origin] = merge = Merge(plan, kept, at=at)
        shown.begin(log.origin, merge.read_from, plan.head.size if plan.head else 0)
    return merges


def _verify_ranges(
    crew: Workers, merges: Mapping[str, Merge], state: VerificationState | None
) -> None:
    """Verify all ranges of all logs; the state grows with them: whatever stops this, the next run goes on there."""
    tasks = [task for merge in merges.values() for task in merge.tasks()]
    for result in crew.map(verify_range, tasks):
        merge = merges[result.origin]
        known = len(merge.verified)
        merge.take(result)
        if state is not None and len(merge.verified) > known:
            state.keep(result.origin, merge.span, merge.verified)


class _Shown:
    """Progress by log, from how many more entries were read."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._done: dict[str, int] = {}
        self._sizes: dict[str, int] = {}

    def begin(self, origin: str, done: int, size: int) -> None:
        """A log that is about to be read from an index on."""
        self._done[origin], self._sizes[origin] = done, size

    def more(self, origin: str, entries: int) -> None:
        """So many more entries were read; where a log is walked once more, that counts anew."""
        done, size = self._done[origin] + entries, self._sizes[origin]
        self._done[origin] = done if done <= size else entries
        if self._progress:
            self._progress(origin, self._done[origin], size)


def _tenants(region: str) -> list[UUID]:
    return sorted({log.tenant_id for log in region_logs(region)})


def _missing_logs(region: str, trust: Trust, seen: set[str]) -> list[Report]:
    """Logs that are known outside and that the database does not have."""
    lost = []
    for origin, size in trust.origins().items():
        if origin.split("/")[1] == region and origin not in seen and size:
            report = Report(region=region, origin=origin, kind="unknown")
            report.restores = trust.restores_of(origin)
            if not any(not restore.kept_size for restore in report.restores):
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
