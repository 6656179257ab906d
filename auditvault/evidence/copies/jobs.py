"""The scheduled jobs, where a region has a store: copying, and once a day comparing every copied checkpoint."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings

from auditvault.core.errors import AuditvaultError
from auditvault.evidence.copies.checking import check_copies
from auditvault.evidence.copies.erasures import LEDGER, copy_erasures
from auditvault.evidence.copies.services import Round, Target, copy_region
from auditvault.evidence.copies.store import CopyStoreError
from auditvault.evidence.copies.stores import region_target
from auditvault.evidence.jobs import Detail, Job, JobFailedError
from auditvault.evidence.trust import under_taken_up

JOB_NAME = "copy"
CHECK_NAME = "verify_copies"
_MOST_NAMED = 5


def copy_jobs() -> list[Job]:
    """The jobs, or none where no region has `AUDITVAULT_COPIES_R_URL`."""
    if not any(settings.COPIES_URLS.values()):
        return []
    every = timedelta(seconds=settings.COPIES_EVERY_SECONDS)
    return [
        Job(name=JOB_NAME, every=every, run=under_taken_up(_copy)),
        Job(
            name=CHECK_NAME,
            every=timedelta(days=1),
            run=under_taken_up(_check),
            lease=timedelta(hours=12),
        ),
    ]


def _copy(region: str, now: datetime) -> Detail:
    try:
        target = region_target(region, now)
        if target is None:
            return {}
        found = copy_region(target)
        erasures = _copy_erasures(target, found)
    except CopyStoreError as error:
        message = f"nothing is copied: {error.message} ({error.code})"
        raise JobFailedError(message, {"error": error.code}) from error
    detail: Detail = {
        "logs": found.logs,
        "objects": found.objects,
        "erasures": erasures,
        "unfinished": found.unfinished,
        "bad": found.bad,
        "indices": found.indices,
    }
    if found.bad:
        raise JobFailedError(_alarm(found.bad, found.indices), detail)
    return detail


def _copy_erasures(target: Target, found: Round) -> int:
    """The erasure ledger; what is wrong with it stands among the logs' errors, and keeps no log from being copied."""
    try:
        return copy_erasures(target)
    except CopyStoreError:
        raise
    except AuditvaultError as error:
        found.bad[f"{target.region}/{LEDGER}"] = error.code
        return 0


def _check(region: str, _now: datetime) -> Detail:
    try:
        target = region_target(region)
        if target is None:
            return {}
        bad: dict[str, str] = {}
        indices: dict[str, int] = {}
        for each in check_copies(target):
            bad.setdefault(each.origin, each.finding)
            indices[each.origin] = min(each.index, indices.get(each.origin, each.index))
    except CopyStoreError as error:
        message = f"copies were not compared: {error.message} ({error.code})"
        raise JobFailedError(message, {"error": error.code}) from error
    detail: Detail = {"bad": bad, "indices": indices}
    if bad:
        raise JobFailedError(_alarm(bad, indices), detail)
    return detail


def _alarm(bad: dict[str, str], indices: dict[str, int]) -> str:
    """One line for the log, the first few by name. An origin names no tenant."""
    named = [
        f"{origin} ({code}{f' at {indices[origin]}' if origin in indices else ''})"
        for origin, code in sorted(bad.items())
    ]
    return f"{len(bad)} log(s) and their copies do not agree: {'; '.join(named[:_MOST_NAMED])}"
