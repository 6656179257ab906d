"""Letting a caller pass, or recording that they were refused.

Of refusals the first of a window is recorded for each caller, operation and reason: who hammers cannot flood the log. A
refusal says nothing of what was asked for, since nothing was looked at; the record names the operation by its template.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime

from django.conf import settings

from auditvault.access.credentials import Credential
from auditvault.access.demands import Demand
from auditvault.access.events.services import Act as RecordedAct
from auditvault.access.windows.services import Before, record_first
from auditvault.core.errors import AuditvaultError
from auditvault.ledger.scope import RegionUnavailableError, region_alias


def admit(
    *, credential: Credential, demand: Demand, operation: str, region: str | None, now: datetime
) -> None:
    """Nothing, if the caller has what is demanded; otherwise the refusal is recorded and raised.

    `operation` is a method and a path with its parameters' names, never their values. `region` is where to record; None
    if the request names none, or one that is not the caller's.

    Raises:
        AccessDeniedError, SeparationError, HumanRequiredError, SecondFactorRequiredError: refused.
        AccessNotRecordedError: refused, and that could not be recorded.
    """
    if demand.in_service:
        return
    try:
        demand.check(credential, now)
    except AuditvaultError as error:
        record_refusal(
            credential=credential, operation=operation, region=region, code=error.code, now=now
        )
        raise


def record_refusal(
    *, credential: Credential, operation: str, region: str | None, code: str, now: datetime
) -> None:
    """Record a refusal, the first of its kind in a window; raises AccessNotRecordedError.

    Without a region it stands in the first of the caller's that this process serves; where there is none, nowhere.
    """
    place = region if region in credential.regions else _first_served(credential)
    if place is None:
        return

    def refusal(before: Before | None) -> RecordedAct:
        return RecordedAct(
            actor=credential.actor,
            actor_role=None,
            action="refused",
            outcome="denied",
            details={
                "operation": operation,
                "code": code,
                **(before.details() if before else {}),
            },
        )

    record_first(
        region=place,
        tenant_id=credential.tenant_id,
        caller=credential.actor,
        what=f"refused {code} {operation}",
        window_seconds=settings.READ_WINDOW_SECONDS,
        act=refusal,
        now=now,
    )


def _first_served(credential: Credential) -> str | None:
    for region in credential.regions:
        with suppress(RegionUnavailableError):
            region_alias(region)
            return region
    return None
