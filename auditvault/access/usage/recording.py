"""Recording a look and counting it, in one transaction; the one door for looks at what is somebody's."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg

from auditvault.access.credentials import Credential
from auditvault.access.events.services import Act, Also, record_act
from auditvault.access.outages import settle
from auditvault.access.usage.services import (
    Counted,
    SubjectBudgetError,
    caller_of,
    count_within,
    raise_standing_out,
    record_refusal,
)
from auditvault.core.tlog.canonical import JsonValue


def record_counted(
    *,
    credential: Credential,
    region: str,
    act: Act,
    subjects: Collection[UUID],
    target: dict[str, JsonValue],
    now: datetime,
    also: Also | None = None,
) -> UUID:
    """Record a look at these subjects, none if nothing was found; returns the record's id once it is durable.

    `target` is what the record of a refusal says was asked for. `also` as of `record_act`.

    Raises:
        SubjectBudgetError: the caller's budget of the day is spent; the first refusal of a day is recorded.
        AccessNotRecordedError: it could not be written; the caller must not go on.
    """
    counted: list[Counted] = []

    def count(connection: psycopg.Connection[Any], record_id: UUID) -> None:
        if also is not None:
            also(connection, record_id)
        counted[:] = [count_within(connection, credential=credential, subjects=subjects)]

    try:
        record_id = record_act(
            region=region,
            tenant_id=credential.tenant_id,
            act=act,
            now=now,
            also=count,
            locks=caller_of(credential),
        )
    except SubjectBudgetError as error:
        record_refusal(
            credential=credential,
            region=region,
            action=act.action,
            target=target,
            error=error,
            now=now,
        )
        raise
    settle(region, now)
    for each in counted:
        raise_standing_out(credential=credential, region=region, counted=each, now=now)
    return record_id
