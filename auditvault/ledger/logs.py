"""Which log: one for each (tenant, region, kind)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from uuid import UUID, uuid4

import psycopg

from auditvault.core.errors import AuditvaultError
from auditvault.ledger.scope import region_alias, tenant_scope

LOG_KINDS = ("interactions", "access", "admin")
PARTITION_ENTRIES = 262_144


class LogNotFoundError(AuditvaultError):
    """The tenant has no such log in this region."""

    code = "log_not_found"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRef:
    """A log: its number inside the region's database, and the origin that everybody knows it by."""

    log_id: int
    tenant_id: UUID
    origin: str
    kind: str
    partition_entries: int = PARTITION_ENTRIES


def open_log(
    *,
    region: str,
    tenant_id: UUID,
    kind: str,
    log_host: str,
    partition_entries: int = PARTITION_ENTRIES,
) -> LogRef:
    """The tenant's log of `kind` in `region`, opened on first use.

    The origin holds no tenant name, because witnesses see it. Safe to call by many at once.
    """
    if kind not in LOG_KINDS:
        raise ValueError("no such kind of log")
    with tenant_scope(region_alias(region), tenant_id) as connection:
        connection.execute(
            "SELECT ledger_open_log(%s, %s, %s)",
            (kind, f"{log_host}/{region}/{uuid4()}", partition_entries),
        )
    found = [log for log in tenant_logs(region=region, tenant_id=tenant_id) if log.kind == kind]
    if not found:
        raise LogNotFoundError("The log could not be opened.")
    return found[0]


def open_within(
    connection: psycopg.Connection[Any], *, region: str, tenant_id: UUID, kind: str, log_host: str
) -> LogRef:
    """The same inside the caller's `tenant_scope`; a log that is new goes with the transaction if that fails."""
    if not (found := _of_kind(connection, tenant_id, kind)):
        connection.execute(
            "SELECT ledger_open_log(%s, %s, %s)",
            (kind, f"{log_host}/{region}/{uuid4()}", PARTITION_ENTRIES),
        )
        found = _of_kind(connection, tenant_id, kind)
    if not found:
        raise LogNotFoundError("The log could not be opened.")
    return found[0]


@lru_cache(maxsize=4096)
def log_ref(region: str, tenant_id: UUID, kind: str, log_host: str) -> LogRef:
    """`open_log`, remembered: a log's number and origin never change."""
    return open_log(region=region, tenant_id=tenant_id, kind=kind, log_host=log_host)


def tenant_logs(*, region: str, tenant_id: UUID) -> list[LogRef]:
    """Every log the tenant has in the region, oldest first."""
    with tenant_scope(region_alias(region), tenant_id) as connection:
        rows = connection.execute(
            "SELECT log_id, origin, kind, partition_entries FROM ledger_log ORDER BY log_id"
        ).fetchall()
    return [
        LogRef(
            log_id=log_id,
            tenant_id=tenant_id,
            origin=origin,
            kind=kind,
            partition_entries=per_partition,
        )
        for log_id, origin, kind, per_partition in rows
    ]


def log_within(connection: psycopg.Connection[Any], tenant_id: UUID, kind: str) -> LogRef:
    """The log of the transaction's tenant that is open already; raises LogNotFoundError."""
    row = connection.execute(
        "SELECT log_id, origin, partition_entries FROM ledger_log WHERE tenant_id = %s AND kind = %s",
        (tenant_id, kind),
    ).fetchone()
    if row is None:
        raise LogNotFoundError("The tenant has no such log yet.")
    log_id, origin, per_partition = row
    return LogRef(
        log_id=log_id,
        tenant_id=tenant_id,
        origin=origin,
        kind=kind,
        partition_entries=per_partition,
    )


def region_logs(region: str) -> list[LogRef]:
    """Every log of the region, oldest first, for work that is nobody's own: no content is seen on the way."""
    with tenant_scope(region_alias(region), UUID(int=0)) as connection:
        rows = connection.execute(
            "SELECT log_id, tenant_id, origin, kind FROM ledger_all_logs()"
        ).fetchall()
    return [
        LogRef(log_id=log_id, tenant_id=tenant_id, origin=origin, kind=kind)
        for log_id, tenant_id, origin, kind in rows
    ]


def _of_kind(connection: psycopg.Connection[Any], tenant_id: UUID, kind: str) -> list[LogRef]:
    rows = connection.execute(
        "SELECT log_id, origin, partition_entries FROM ledger_log WHERE tenant_id = %s AND kind = %s",
        (tenant_id, kind),
    ).fetchall()
    return [
        LogRef(
            log_id=log_id,
            tenant_id=tenant_id,
            origin=origin,
            kind=kind,
            partition_entries=per_partition,
        )
        for log_id, origin, per_partition in rows
    ]
