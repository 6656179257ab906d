"""Recording what befell the service itself, and what was done to a tenant's records as a whole.

What means no tenant more than another goes into the *operator's* log of the region: kind `admin`, under the nil UUID
(RFC 9562 section 5.9), which is no tenant's, and holds nothing of a tenant. What is a tenant's goes into its own log of
that kind. Both are signed, witnessed, stamped and verified like any log.

Record and entry are written in one transaction: a crash leaves both or neither. The instant is the database's.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias
from uuid import UUID

import psycopg
from django.conf import settings

from auditvault.core.ids import instant_of, uuid7
from auditvault.core.tlog.canonical import JsonValue, canonical_bytes, parse_canonical
from auditvault.core.tlog.commitment import OPENING_SIZE, header_commitment
from auditvault.ledger.logs import LogRef, log_ref
from auditvault.ledger.scope import region_alias, tenant_scope
from auditvault.ledger.services import Pending, append, format_instant

Also: TypeAlias = Callable[[psycopg.Connection[Any]], Mapping[str, JsonValue]]
"""What belongs to an act's record; takes the transaction, and gives further details of it."""

OPERATOR = UUID(int=0)
EVENT_VERSION = "auditvault/admin/1"
# `since` may be another server's instant.
_CLOCKS_APART = timedelta(hours=1)
_COLUMNS = "tenant_id, record_id, recorded_at, action, opening, header"


def admin_log(region: str, tenant_id: UUID) -> LogRef:
    """The tenant's admin log of the region, opened on first use; not to be called inside a transaction."""
    return log_ref(region, tenant_id, "admin", settings.LOG_HOST)


def record_operation(
    *, region: str, action: str, details: Mapping[str, JsonValue], also: Also | None = None
) -> UUID:
    """Record something in the operator's log of the region; returns the record's id once it is durable.

    As `record_in`. `also` is done in the same transaction, before. Raises what it and the database raise; then nothing
    was recorded.
    """
    log = admin_log(region, OPERATOR)
    with tenant_scope(region_alias(region), OPERATOR) as connection:
        more = also(connection) if also is not None else {}
        record_id = new_record_id(connection)
        record_in(connection, log, record_id=record_id, action=action, details={**details, **more})
    return record_id


def new_record_id(connection: psycopg.Connection[Any]) -> UUID:
    """The id of a record that is made now, by the database's clock."""
    return uuid7(_now(connection))


def record_in(
    connection: psycopg.Connection[Any],
    log: LogRef,
    *,
    record_id: UUID,
    action: str,
    details: Mapping[str, JsonValue],
) -> None:
    """Write a record and its entry into an admin log, inside the caller's transaction in the log's tenant.

    Comes last in that transaction: it locks the log's head. `action` is also the entry's type. `details` holds figures
    and references: nothing personal, no content.
    """
    opening = os.urandom(OPENING_SIZE)
    header: dict[str, JsonValue] = {
        "v": EVENT_VERSION,
        "id": str(record_id),
        "recorded_at": format_instant(instant_of(record_id)),
        "action": action,
        "details": dict(details),
    }
    body = canonical_bytes(header)
    connection.execute(
        f"INSERT INTO admin_event ({_COLUMNS}) VALUES (%s, %s, %s, %s, %s, %s)",  # noqa: S608
        (log.tenant_id, *projection(header, record_id=record_id), opening, body),
    )
    commitment = header_commitment(opening, action, body)
    append(
        connection, log=log, pending=[Pending(record_id.bytes, action, "auditvault", commitment)]
    )


def projection(header: Mapping[str, JsonValue], *, record_id: UUID) -> tuple[Any, ...]:
    """The search columns of an admin record, in table order after the tenant, up to `action`."""
    return (record_id, instant_of(record_id), header["action"])


def last_recorded(region: str, action: str) -> datetime | None:
    """When the operator's log of the region last got a record of that action; None if never."""
    with tenant_scope(region_alias(region), OPERATOR) as connection:
        row = connection.execute(
            "SELECT max(recorded_at) FROM admin_event WHERE tenant_id = %s AND action = %s",
            (OPERATOR, action),
        ).fetchone()
    found: datetime | None = row[0] if row is not None else None
    return found


def is_recorded(
    region: str, action: str, details: Mapping[str, JsonValue], *, since: datetime
) -> bool:
    """Whether the operator's log of the region has a record of the action since then, with these among its details."""
    with tenant_scope(region_alias(region), OPERATOR) as connection:
        rows = connection.execute(
            "SELECT header FROM admin_event WHERE tenant_id = %s AND action = %s AND recorded_at >= %s",
            (OPERATOR, action, since - _CLOCKS_APART),
        ).fetchall()
    found = [parse_canonical(bytes(header)) for (header,) in rows]
    return any(
        isinstance(said, dict)
        and isinstance(said.get("details"), dict)
        and details.items() <= said["details"].items()
        for said in found
    )


def _now(connection: psycopg.Connection[Any]) -> datetime:
    row = connection.execute("SELECT clock_timestamp()").fetchone()
    if row is None:
        raise RuntimeError("a SELECT without a table has one row")
    instant: datetime = row[0]
    return instant.astimezone(UTC)
