"""What the broker's messages call: look for due work in one region. No data, personal or other, is in a message."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from uuid import UUID

from celery import shared_task
from django.conf import settings

from auditvault.evidence.jobs import Detail, Job, JobFailedError, run_due
from auditvault.evidence.verification import read_public_keys, verify_region
from auditvault.ledger.copying import ensure_month
from auditvault.ledger.scope import region_alias, tenant_scope
from auditvault.vault.sweep import sweep_orphan_keys

# In the order in which requests need them, or a request and the job could wait for each other.
_MONTHLY_TABLES = ("vault_object", "vault_record", "traces_header", "access_event")


@shared_task(name="auditvault.evidence.tasks.run_due_jobs", ignore_result=True)
def run_due_jobs(region: str) -> None:
    """Run what is due in the region; a second message finds nothing to do."""
    run_due(region, JOBS, datetime.now(UTC))


def _verify(region: str, _now: datetime) -> Detail:
    keys = read_public_keys(Path(settings.LOG_VKEYS_FILE))
    reports = verify_region(region=region, public_keys=keys, remembered={})
    detail = {
        "logs": len(reports),
        "entries": sum(report.entries for report in reports),
        "bad": {report.origin: report.first_bad for report in reports if not report.holds},
    }
    if detail["bad"]:
        raise JobFailedError("a log does not hold", detail)
    return detail


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


JOBS = [
    Job(name="verify", every=timedelta(hours=1), run=_verify),
    Job(name="sweep_orphan_keys", every=timedelta(minutes=30), run=_sweep),
    Job(name="make_partitions", every=timedelta(hours=12), run=_make_partitions),
]
