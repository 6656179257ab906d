"""What the broker's messages call: look for due work in one region. No data, personal or other, is in a message."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from uuid import UUID

from celery import shared_task
from django.conf import settings

from auditvault.access.break_glass.overdue import tell_overdue
from auditvault.access.outages import settle, settle_left_behind
from auditvault.access.usage.services import forget_looks
from auditvault.core.errors import AuditvaultError
from auditvault.evidence.anchors.jobs import timestamp_jobs
from auditvault.evidence.clock import WATCH
from auditvault.evidence.copies.jobs import copy_jobs
from auditvault.evidence.exports.making import forget_parts, make_due
from auditvault.evidence.grants import DatabaseFinding, verify_databases
from auditvault.evidence.jobs import Detail, Job, JobFailedError, run_due
from auditvault.evidence.key_jobs import key_jobs
from auditvault.evidence.payloads import holds_keys
from auditvault.evidence.trust import trust_jobs
from auditvault.evidence.verification import (
    read_acknowledged,
    read_log_keys,
    read_memory,
    read_retired,
    verify_region,
)
from auditvault.evidence.verification_record import record_verification
from auditvault.evidence.witnesses import witness_jobs
from auditvault.ledger.copying import ensure_month
from auditvault.ledger.scope import region_alias, tenant_scope
from auditvault.vault.erasures.reading import verify_ledger
from auditvault.vault.shred import finish_unfinished
from auditvault.vault.sweep import sweep_orphan_keys

# In the order in which requests need them, or a request and the job could wait for each other.
_MONTHLY_TABLES = ("vault_object", "vault_piece", "vault_record", "traces_header", "access_event")
# Findings that a line of the log has room for; the job's row has all of them.
_MOST_NAMED = 5


@shared_task(name="auditvault.evidence.tasks.run_due_jobs", ignore_result=True)
def run_due_jobs(region: str) -> None:
    """Run what is due in the region; a second message finds nothing to do."""
    WATCH.look(region)
    run_due(region, JOBS, datetime.now(UTC))


def _verify(region: str, _now: datetime) -> Detail:
    databases = verify_databases(region)
    return _verified(region, "verify", with_payloads=False, databases=databases)


def _verify_payloads(region: str, _now: datetime) -> Detail:
    with_payloads = holds_keys(region)
    return _verified(region, "verify_payloads", with_payloads=with_payloads, databases=())


def _verified(
    region: str, job: str, *, with_payloads: bool, databases: Sequence[DatabaseFinding]
) -> Detail:
    """What was verified, for the job's row; raises JobFailedError with the same where something does not hold.

    Either is recorded in the operator's log first. Crash before: the job is due again after its lease.
    """
    # The signer's memory comes first: a log may grow while it is verified.
    remembered = read_memory(settings.SIGNER_STATE_FILE)
    reports = verify_region(
        region=region,
        keys=read_log_keys(Path(settings.LOG_VKEYS_FILE)),
        remembered=remembered,
        retired=read_retired(settings.SIGNER_STATE_FILE, region),
        restores=read_acknowledged(settings.SIGNER_STATE_FILE),
        with_payloads=with_payloads,
    )
    record_verification(region=region, job=job, reports=reports, databases=databases)
    bad = {report.origin: report.first_bad for report in reports if not report.holds}
    detail: Detail = {
        "logs": len(reports),
        "entries": sum(report.entries for report in reports),
        "payloads": sum(report.payloads or 0 for report in reports),
        "payloads_gone": sum(report.payloads_gone for report in reports),
        "bad": bad,
        "database": [finding.as_json() for finding in databases],
        "epochs": {
            report.origin: 1 + len(report.restores) for report in reports if report.restores
        },
        "notes": sorted({note for report in reports for note in report.notes}),
    }
    if bad or databases:
        raise JobFailedError(_alarm(bad, databases), detail)
    return detail


def _alarm(bad: dict[str, dict[str, int]], databases: Sequence[DatabaseFinding]) -> str:
    """One line for the log: what does not hold, the first few by name. An origin names no tenant."""
    logs = [
        f"{origin} ({', '.join(f'{kind} at {index}' for kind, index in sorted(first_bad.items()))})"
        for origin, first_bad in sorted(bad.items())
    ]
    grants = [
        f"{finding.finding} on {finding.object} in the {finding.database} database"
        for finding in databases
    ]
    parts = []
    if logs:
        parts.append(f"{len(logs)} log(s) do not hold: {'; '.join(logs[:_MOST_NAMED])}")
    if grants:
        parts.append(
            f"{len(grants)} finding(s) on what the databases allow: {'; '.join(grants[:_MOST_NAMED])}"
        )
    return ". ".join(parts)


def _sweep(region: str, _now: datetime) -> Detail:
    swept = sweep_orphan_keys(region=region)
    return {"retired": swept.retired, "reinstated": swept.reinstated, "destroyed": swept.destroyed}


def _make_partitions(region: str, now: datetime) -> Detail:
    next_month = date(now.year + now.month // 12, now.month % 12 + 1, 1)
    with tenant_scope(region_alias(region), UUID(int=0)) as connection:
        for table in _MONTHLY_TABLES:
            ensure_month(connection, table, now.date())
            ensure_month(connection, table, next_month)
    return {"until": next_month.isoformat()}


def _forget_looks(region: str, _now: datetime) -> Detail:
    return {"forgotten": forget_looks(region)}


def _record_outages(region: str, now: datetime) -> Detail:
    return {"tenants": settle(region, now) + settle_left_behind(region, now)}


def _tell_overdue(region: str, _now: datetime) -> Detail:
    return {"told": tell_overdue(region)}


def _make_exports(region: str, _now: datetime) -> Detail:
    return {"claimed": make_due(region), "forgotten": forget_parts(region)}


def _finish_erasures(region: str, now: datetime) -> Detail:
    return {"finished": finish_unfinished(region=region, at=now)}


def _verify_erasures(region: str, _now: datetime) -> Detail:
    try:
        head = verify_ledger(region)
    except AuditvaultError as error:
        message = f"the erasure ledger does not hold: {error.message} ({error.code})"
        raise JobFailedError(message, {"error": error.code}) from error
    return {"records": head.idx + 1, "head": head.hash.hex()}


JOBS = [
    Job(name="verify", every=timedelta(hours=1), run=_verify, lease=timedelta(hours=1)),
    # Opens every content, with the keys that a worker holds anyway.
    Job(
        name="verify_payloads",
        every=timedelta(days=1),
        run=_verify_payloads,
        lease=timedelta(hours=12),
    ),
    Job(name="sweep_orphan_keys", every=timedelta(minutes=30), run=_sweep),
    # What a crash left unfinished and nobody asked for again.
    Job(name="finish_erasures", every=timedelta(minutes=1), run=_finish_erasures),
    Job(name="verify_erasures", every=timedelta(days=1), run=_verify_erasures),
    Job(name="make_partitions", every=timedelta(hours=12), run=_make_partitions),
    Job(name="record_outages", every=timedelta(seconds=30), run=_record_outages),
    Job(
        name="make_exports",
        every=timedelta(seconds=10),
        run=_make_exports,
        lease=timedelta(hours=1),
    ),
    Job(name="tell_overdue_reviews", every=timedelta(minutes=5), run=_tell_overdue),
    Job(name="forget_looks", every=timedelta(hours=12), run=_forget_looks),
    *key_jobs(),
    *trust_jobs(),
    *timestamp_jobs(),
    *witness_jobs(),
    *copy_jobs(),
]
