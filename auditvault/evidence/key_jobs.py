"""The jobs that keep keys young: an epoch that is due turns, and rotations that were begun come to their end.

A worker that may not make or destroy root keys fails here, and the job's row says with which error; nothing is left
that the next run, or somebody at the command line, does not finish.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings

from auditvault.core.errors import AuditvaultError
from auditvault.evidence.jobs import Detail, Job, JobFailedError
from auditvault.vault.epochs import EpochStuckError, turn_if_due
from auditvault.vault.rotation import finish_rotations

_MOST_NAMED = 20


def key_jobs() -> list[Job]:
    """Both jobs, or the second alone where epochs are turned by hand."""
    rotate = Job(name="rotate_keys", every=timedelta(minutes=5), run=_rotate)
    if not settings.KEY_EPOCH_DAYS:
        return [rotate]
    # It looks every hour: a turn that failed is not left for a week.
    turn = Job(name="turn_key_epoch", every=timedelta(hours=1), run=_turn, lease=timedelta(hours=6))
    return [turn, rotate]


def _turn(region: str, now: datetime) -> Detail:
    try:
        turn = turn_if_due(region, timedelta(days=settings.KEY_EPOCH_DAYS), now)
    except EpochStuckError as error:
        keys = [str(key_id) for key_id in error.damaged[:_MOST_NAMED]]
        raise JobFailedError(error.message, {"error": error.code, "keys": keys}) from error
    except AuditvaultError as error:
        message = f"the epoch of keys did not turn: {error.message} ({error.code})"
        raise JobFailedError(message, {"error": error.code}) from error
    if turn is None:
        return {"turned": False}
    return {"turned": True, "epoch": turn.to_epoch, "subject_keys": turn.subject_keys}


def _rotate(region: str, _now: datetime) -> Detail:
    try:
        done = finish_rotations(region=region)
    except AuditvaultError as error:
        message = f"a key's rotation did not go on: {error.message} ({error.code})"
        raise JobFailedError(message, {"error": error.code}) from error
    return {
        "finished": sum(item.due_at is None for item in done),
        "waiting": sum(item.due_at is not None for item in done),
        "rewrapped": sum(item.rewrapped for item in done),
    }
