"""Counting looks, in the transaction of their record; and what is said where they are too many, or unusual.

1. A look is counted and recorded, in one transaction.      Crash after: a look that was counted and did not happen.
2. Or it is refused: nothing is recorded of it there, and the refusal is written by `record_refusal` with its alert in
   another transaction, the first of a day only.            Crash between: the next refusal is the first.
3. What stands out is said by `raise_standing_out` afterwards, before anything is opened, once in a window. Crash
   before: the next look says it.

The caller's row of the day is locked from the count to the commit, so that processes that count at once queue there.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
from django.conf import settings
from django.db import DatabaseError

from auditvault.access.alerts.services import raise_within
from auditvault.access.credentials import Credential
from auditvault.access.events.services import (
    Act,
    access_log,
    not_recorded,
    record_within,
)
from auditvault.core.errors import AuditvaultError
from auditvault.core.policy.alerts import AlertKind
from auditvault.core.policy.baseline import judge
from auditvault.core.tlog.canonical import JsonValue
from auditvault.ledger.scope import region_alias, tenant_scope

_DAY_SECONDS = 24 * 3600


class SubjectBudgetError(AuditvaultError):
    """The caller has looked at as many people today as they may."""

    code = "subject_budget_spent"

    def __init__(self, message: str, *, retry_after_seconds: int, budget: int) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds
        self.budget = budget


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """A look that was counted, and how the caller's day stands with it."""

    used: int
    """Persons looked at today."""
    budget: int
    looks: int
    misses: int
    """In the present window."""
    history: tuple[int, ...]
    """Looks on earlier days with any, of the last 35, oldest first."""


def caller_of(credential: Credential) -> str:
    """Who is counted: the human over all their accounts and tokens; a machine by its token."""
    return f"human:{credential.human}" if credential.human else credential.actor


def count_within(
    connection: psycopg.Connection[Any], *, credential: Credential, subjects: Collection[UUID]
) -> Counted:
    """Count a look at these subjects inside the caller's `tenant_scope`; none is a miss.

    Somebody who was looked at today already is counted once, and so is who turns out to be one person with them.

    Raises:
        SubjectBudgetError: they would be too many. To be let through, so that nothing of the transaction stays; then
            call `record_refusal`.
    """
    row = connection.execute(
        "SELECT is_granted, budget, used, looks_today, misses_in_window, history, retry_after"
        " FROM auditvault_count_look(%s, %s::uuid[], %s, %s)",
        (
            caller_of(credential),
            list(subjects),
            settings.SUBJECTS_PER_DAY,
            settings.ENUMERATION_WINDOW_SECONDS,
        ),
    ).fetchone()
    if row is None:
        raise RuntimeError("the function gives one row")
    is_granted, budget, used, looks, misses, history, retry_after = row
    if not is_granted:
        raise SubjectBudgetError(
            f"You may look at {budget} people a day, and have. The next day begins at midnight, UTC.",
            retry_after_seconds=retry_after,
            budget=budget,
        )
    return Counted(used=used, budget=budget, looks=looks, misses=misses, history=tuple(history))


def affordable(
    connection: psycopg.Connection[Any], *, credential: Credential, subjects: Sequence[UUID]
) -> set[UUID]:
    """Which of the subjects, the first ones, what is left of the caller's budget is enough for; nothing is counted.

    So that a content that many people have can be looked at in part. What others do meanwhile is `count_within`'s.
    """
    row = connection.execute(
        "SELECT auditvault_affordable(%s, %s::uuid[], %s)",
        (caller_of(credential), list(subjects), settings.SUBJECTS_PER_DAY),
    ).fetchone()
    return set(row[0]) if row else set()


def record_refusal(
    *,
    credential: Credential,
    region: str,
    action: str,
    target: dict[str, JsonValue],
    error: SubjectBudgetError,
    now: datetime,
) -> None:
    """Record that a look was refused by the budget, and raise the alert: the first time in a day.

    Raises AccessNotRecordedError.
    """
    act = Act(
        actor=credential.actor,
        actor_role=None,
        action=action,
        outcome="denied",
        details=target | {"code": error.code},
    )
    _say_once(
        credential,
        region,
        kind=AlertKind.SUBJECT_BUDGET_SPENT,
        window_seconds=_DAY_SECONDS,
        details={"budget": error.budget},
        act=act,
        now=now,
    )


def raise_standing_out(
    *, credential: Credential, region: str, counted: Counted, now: datetime
) -> None:
    """Raise an alert where the caller looks at far more than they use to, or misses too often; once in a window.

    Raises AccessNotRecordedError.
    """
    verdict = judge(counted.looks, counted.history)
    if verdict.is_unusual:
        _say_once(
            credential,
            region,
            kind=AlertKind.UNUSUAL_LOOKING,
            window_seconds=_DAY_SECONDS,
            details={
                "looks": counted.looks,
                "typical": verdict.typical,
                "days": verdict.days,
                "persons": counted.used,
            },
            act=None,
            now=now,
        )
    if counted.misses >= settings.ENUMERATION_MISSES:
        window = settings.ENUMERATION_WINDOW_SECONDS
        _say_once(
            credential,
            region,
            kind=AlertKind.ENUMERATION,
            window_seconds=window,
            details={"misses": counted.misses, "window_seconds": window},
            act=None,
            now=now,
        )


def count_miss(*, credential: Credential, region: str, action: str, now: datetime) -> None:
    """Count that something was asked for that is not there, outside of a look at content: a guessed id, say.

    Raises:
        AccessNotRecordedError: it could not be counted.
        SubjectBudgetError: the budget is spent, so that nothing is told by a miss any more.
    """
    try:
        with tenant_scope(region_alias(region), credential.tenant_id) as connection:
            counted = count_within(connection, credential=credential, subjects=())
    except SubjectBudgetError as error:
        record_refusal(
            credential=credential, region=region, action=action, target={}, error=error, now=now
        )
        raise
    except (DatabaseError, psycopg.Error) as error:
        raise not_recorded(region=region, tenant_id=credential.tenant_id, now=now) from error
    raise_standing_out(credential=credential, region=region, counted=counted, now=now)


def forget_looks(region: str) -> int:
    """Forget what no rule asks for any more, of all tenants of the region; returns how many rows."""
    with tenant_scope(region_alias(region), UUID(int=0)) as connection:
        row = connection.execute("SELECT auditvault_forget_looks()").fetchone()
    return int(row[0]) if row else 0


def _say_once(
    credential: Credential,
    region: str,
    *,
    kind: AlertKind,
    window_seconds: int,
    details: dict[str, JsonValue],
    act: Act | None,
    now: datetime,
) -> None:
    """The alert, and the access record with it where there is one, unless the window has had it."""
    try:
        log = access_log(region, credential.tenant_id)
        with tenant_scope(region_alias(region), credential.tenant_id) as connection:
            row = connection.execute(
                "SELECT auditvault_first_in_window(%s, %s, %s)",
                (caller_of(credential), kind.value, window_seconds),
            ).fetchone()
            if row is None or not row[0]:
                return
            if act is not None:
                record_within(connection, log=log, act=act, now=now)
            raise_within(
                connection,
                tenant_id=credential.tenant_id,
                region=region,
                kind=kind,
                details={"actor": credential.actor, **details},
            )
    except (DatabaseError, psycopg.Error) as error:
        raise not_recorded(region=region, tenant_id=credential.tenant_id, now=now) from error
