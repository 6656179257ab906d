"""Recording what happens too often for an access record of each: the first of a window, and how many there were before.

One use, and what a crash leaves behind:

1. It is counted, and where it is the first of its window recorded, in one transaction.     Crash: both or neither.
2. The caller goes on.                                    Crash: a use that was counted and may not have happened.

Nobody goes on before the window's record is committed: whoever comes second waits on the row of the first.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import psycopg
from django.db import DatabaseError

from auditvault.access.events.services import (
    Act,
    access_log,
    not_recorded,
    record_within,
)
from auditvault.core.tlog.canonical import JsonValue
from auditvault.ledger.scope import region_alias, tenant_scope
from auditvault.ledger.services import format_instant

_COUNT = "SELECT used, before_at, before_used FROM auditvault_count_use(%s, %s, %s)"


class Before(NamedTuple):
    """The last window before in which the caller did the same."""

    began_at: datetime
    uses: int

    def details(self) -> dict[str, JsonValue]:
        """As members of an access record's details."""
        return {"before_at": format_instant(self.began_at), "before_uses": self.uses}


def record_first(
    *,
    region: str,
    tenant_id: UUID,
    caller: str,
    what: str,
    window_seconds: int,
    act: Callable[[Before | None], Act],
    now: datetime,
) -> None:
    """Count that `caller` does `what`, and record the act that `act` makes if it is the window's first.

    Raises:
        AccessNotRecordedError: it could not be written; the caller must not go on.
    """
    try:
        log = access_log(region, tenant_id)
        with tenant_scope(region_alias(region), tenant_id) as connection:
            row = connection.execute(_COUNT, (caller, what, window_seconds)).fetchone()
            used, *before = row or (1, None, None)
            if used == 1:
                last = Before(*before) if None not in before else None
                record_within(connection, log=log, act=act(last), now=now)
    except (DatabaseError, psycopg.Error) as error:
        raise not_recorded(region=region, tenant_id=tenant_id, now=now) from error
