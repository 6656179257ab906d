"""The hourly job, where an authority is set: one stamp of a region, or what kept it from being made."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from django.conf import settings

from auditvault.evidence.anchors.authority import Authority, TimestampError, read_roots
from auditvault.evidence.anchors.services import stamp_region
from auditvault.evidence.jobs import Detail, Job, JobFailedError
from auditvault.evidence.trust import under_taken_up
from auditvault.evidence.verification import read_log_keys

JOB_NAME = "time_stamp"


def timestamp_jobs() -> list[Job]:
    """The job, or none where `AUDITVAULT_TSA_URL` is not set."""
    if not settings.TSA_URL:
        return []
    every = timedelta(seconds=settings.TSA_EVERY_SECONDS)
    return [Job(name=JOB_NAME, every=every, run=under_taken_up(_run))]


def _run(region: str, _now: datetime) -> Detail:
    try:
        authority = Authority(
            url=settings.TSA_URL,
            roots=read_roots(Path(settings.TSA_CA_FILE)),
            policy=settings.TSA_POLICY or None,
        )
        stamped = stamp_region(
            region=region,
            authority=authority,
            keys=read_log_keys(Path(settings.LOG_VKEYS_FILE)),
        )
    except TimestampError as error:
        # The job table's line is of level CRITICAL: a region without fresh stamps is for somebody to see.
        message = f"there is no time stamp: {error.message} ({error.code})"
        raise JobFailedError(message, {"error": error.code}) from error
    detail: Detail = {"logs": stamped.logs}
    if stamped.gen_time is not None:
        detail["gen_time"] = stamped.gen_time.isoformat()
    if stamped.left_out:
        detail["left_out"] = list(stamped.left_out)
        raise JobFailedError("a log's newest checkpoint does not verify and has no stamp", detail)
    return detail
