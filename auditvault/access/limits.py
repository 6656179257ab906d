"""How many lookups a credential, and a tenant together, may make: counted in the region's database for all processes.

One lookup, and what a crash leaves behind:

1. It is counted and granted, in one transaction.         Crash after: a lookup that was counted and did not happen.
   The count alone does not wait for the disk: a crash of PostgreSQL forgets those of its last moments.
2. Or it is refused; the first refusal of a window is recorded in the same transaction.   Crash: both or neither.

Later refusals of the window leave no record: who hammers cannot flood the access log.
"""

from __future__ import annotations

from datetime import datetime

import psycopg
from django.conf import settings
from django.db import DatabaseError

from auditvault.access.credentials import Credential
from auditvault.access.events.services import (
    Act,
    access_log,
    not_recorded,
    record_within,
)
from auditvault.core.errors import AuditvaultError
from auditvault.ledger.scope import region_alias, tenant_scope


class LookupsLimitedError(AuditvaultError):
    """The credential, or its tenant, has made as many lookups as it may for now."""

    code = "lookups_limited"

    def __init__(self, message: str, *, retry_after_seconds: int) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


def take_lookup(
    *, credential: Credential, region: str, target: str, now: datetime, action: str = "resolve"
) -> None:
    """Count one lookup of the credential; `target` is the tag that was looked for, of a content or of a name.

    Raises:
        LookupsLimitedError: there were too many already.
        AccessNotRecordedError: the count could not be written, or the refusal not recorded.
    """
    try:
        retry_after = _take(credential, region, action, target, now)
    except (DatabaseError, psycopg.Error) as error:
        raise not_recorded(region=region, tenant_id=credential.tenant_id, now=now) from error
    if retry_after:
        raise LookupsLimitedError(
            f"Too many lookups. Try again in {retry_after} seconds.",
            retry_after_seconds=retry_after,
        )


def _take(credential: Credential, region: str, action: str, target: str, now: datetime) -> int:
    """Seconds until lookups are possible again; 0 where this one is."""
    log = access_log(region, credential.tenant_id)
    with tenant_scope(region_alias(region), credential.tenant_id) as connection:
        # The tenant's row is held until the commit: all of its lookups would wait for each other's disk.
        connection.execute("SET LOCAL synchronous_commit = off")
        row = connection.execute(
            "SELECT is_granted, retry_after, is_first_refusal FROM auditvault_take_lookup(%s, %s, %s, %s)",
            (
                credential.actor,
                settings.LOOKUPS_PER_CALLER,
                settings.LOOKUPS_PER_TENANT,
                settings.LOOKUP_WINDOW_SECONDS,
            ),
        ).fetchone()
        is_granted, retry_after, is_first_refusal = row or (False, 1, False)
        if is_first_refusal:
            connection.execute("SET LOCAL synchronous_commit = on")
            act = Act(
                actor=credential.actor,
                actor_role=None,
                action=action,
                outcome="denied",
                details={"target": target, "code": LookupsLimitedError.code},
            )
            record_within(connection, log=log, act=act, now=now)
    return 0 if is_granted else int(retry_after)
