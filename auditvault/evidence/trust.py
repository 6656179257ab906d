"""Whom a region's evidence leans on outside of it, and that a change of it takes two people.

Witnesses, the time-stamp authority and the store of copies are settings and files: whoever can write those could put
parties of their own in the place of those that would catch them. So what a region leans on is in its operator's log,
as `trust.taken_up`. Evidence that is gathered or judged under other settings than the last of these records is
refused until the change was approved and taken up (docs/adr/0041-trust-taken-up.md).

The first is taken up by the service itself, since before it there was nobody whom a change could get rid of.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import wraps
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import psycopg
from django.conf import settings

from auditvault.access.approvals.commands import use_for_command
from auditvault.core.errors import AuditvaultError
from auditvault.core.policy.approvals import Operation, Plan
from auditvault.core.tlog.canonical import JsonValue, canonical_bytes
from auditvault.evidence.jobs import Detail, Job, JobFailedError
from auditvault.ledger.admin.services import OPERATOR, record_operation
from auditvault.ledger.scope import region_alias, tenant_scope

ENTRY_TYPE_TAKEN_UP = "trust.taken_up"
JOB_NAME = "trust"

Trust = dict[str, JsonValue]
_T = TypeVar("_T")


class TrustChangedError(AuditvaultError):
    """The settings name other parties than those that were taken up."""

    code = "trust_changed"


class TrustUnreadableError(AuditvaultError):
    """A file that says whom to trust cannot be read."""

    code = "trust_unreadable"


def configured_trust(region: str) -> Trust:
    """Whom the settings of this process name for the region; each of the three is None where there is nobody.

    Raises TrustUnreadableError where a file cannot be read.
    """
    copies = settings.COPIES_URLS.get(region, "")
    return {
        "witnesses": {
            "policy_sha256": _hash_of(settings.WITNESS_POLICY_FILE),
            "max_age_seconds": settings.WITNESS_MAX_AGE_SECONDS,
        }
        if settings.WITNESS_POLICY_FILE
        else None,
        "time_stamps": {
            "url": settings.TSA_URL,
            "ca_sha256": _hash_of(settings.TSA_CA_FILE),
            "policy": settings.TSA_POLICY or None,
        }
        if settings.TSA_URL
        else None,
        "copies": {
            "url": copies,
            "lock_days": settings.COPIES_LOCK_DAYS,
            "lock_mode": settings.COPIES_LOCK_MODE,
        }
        if copies
        else None,
    }


def taken_up(region: str) -> Trust | None:
    """What the region's operator's log says last; None where it says nothing."""
    with tenant_scope(region_alias(region), OPERATOR) as connection:
        row = connection.execute(
            "SELECT header FROM admin_event WHERE tenant_id = %s AND action = %s"
            " ORDER BY recorded_at DESC, record_id DESC LIMIT 1",
            (OPERATOR, ENTRY_TYPE_TAKEN_UP),
        ).fetchone()
    if row is None:
        return None
    trust: Trust = json.loads(bytes(row[0]))["details"]["trust"]
    return trust


def check_taken_up(region: str) -> None:
    """Raise TrustChangedError, or TrustUnreadableError, unless the region leans on whom it was taken up to lean on.

    A region that has leaned on nobody so far passes.
    """
    before = taken_up(region)
    if _is_nobody(before) or before == configured_trust(region):
        return
    raise TrustChangedError(
        "The settings name other witnesses, time stamps or copies than were taken up."
        " Put them back, or have the change approved: auditvault trust take-up --plan."
    )


def under_taken_up(
    run: Callable[[str, datetime], Detail],
) -> Callable[[str, datetime], Detail]:
    """The same job, which fails without having begun while `check_taken_up` refuses its region."""

    @wraps(run)
    def checked(region: str, now: datetime) -> Detail:
        _report(check_taken_up, region)
        return run(region, now)

    return checked


def plan_of_take_up(region: str) -> Plan | None:
    """What would be leaned on from now on, and what was before; None where that takes no approval."""
    return _plan(region, taken_up(region), configured_trust(region))


def _plan(region: str, before: Trust | None, after: Trust) -> Plan | None:
    if _is_nobody(before) or before == after:
        return None
    return Plan(
        operation=Operation.TRUST_CHANGE,
        tenant_id=OPERATOR,
        region=region,
        parameters={"before": before, "trust": after},
    )


def take_up(region: str, *, approval_ids: Sequence[UUID] = (), now: datetime) -> bool:
    """Record whom the region leans on from now on; False where its log says so already.

    Of `approval_ids` that of `plan_of_take_up` is used up, in the entry's transaction: a crash leaves both or neither.
    Raises TrustUnreadableError, and as `use_for_command`.
    """
    before, after = taken_up(region), configured_trust(region)
    if before == after or (before is None and _is_nobody(after)):
        return False
    plan = _plan(region, before, after)

    def also(connection: psycopg.Connection[Any]) -> dict[str, JsonValue]:
        if plan is None:
            return {"approval": None}
        return use_for_command(connection, plan, approval_ids, now=now)

    record_operation(
        region=region,
        action=ENTRY_TYPE_TAKEN_UP,
        details={
            "trust": after,
            "before": None if before is None else sha256(canonical_bytes(before)).hexdigest(),
        },
        also=also,
    )
    return True


def trust_jobs() -> list[Job]:
    """The job that takes up whom the region leans on first, and that raises the alarm over what changed since."""
    return [Job(name=JOB_NAME, every=timedelta(minutes=1), run=_run)]


def _run(region: str, now: datetime) -> Detail:
    _report(check_taken_up, region)
    return {"taken_up": _report(lambda place: take_up(place, now=now), region)}


def _report(act: Callable[[str], _T], region: str) -> _T:
    try:
        return act(region)
    except (TrustChangedError, TrustUnreadableError) as error:
        raise JobFailedError(f"{error.message} ({error.code})", {"error": error.code}) from error


def _is_nobody(trust: Trust | None) -> bool:
    return trust is None or not any(trust.values())


def _hash_of(file: str) -> str:
    try:
        return sha256(Path(file).read_bytes()).hexdigest()
    except OSError as error:
        raise TrustUnreadableError(
            "A file that says whom to trust cannot be read: see AUDITVAULT_WITNESS_POLICY_FILE and"
            " AUDITVAULT_TSA_CA_FILE."
        ) from error
