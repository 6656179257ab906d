"""A transaction that works for one tenant in one region.

Row-level security shows a transaction only the rows of the tenant it named. Everything that reads or writes a
region's tables does so inside `tenant_scope`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import psycopg
from django.conf import settings
from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus

from auditvault.core.errors import AuditvaultError
from auditvault.ledger.statements import forget_statements

_SNAPSHOT = re.compile(r"[0-9A-F-]+")
_LOCK = re.compile(r"[a-z_]+")


class RegionUnavailableError(AuditvaultError):
    """This process holds no credentials for that region."""

    code = "region_unavailable"


def region_alias(region: str) -> str:
    """Django's name of the region's database; raises RegionUnavailableError where this process has none."""
    if region not in settings.REGIONS:
        served = ", ".join(settings.REGIONS) or "none"
        raise RegionUnavailableError(
            f"This process does not serve the region {region!r}, and holds no credentials for it."
            f" It serves: {served}."
        )
    return f"region_{region}"


def keys_alias(region: str) -> str:
    """Django's name of the region's keyring database; raises RegionUnavailableError as `region_alias`."""
    region_alias(region)
    return f"keys_{region}"


@contextmanager
def tenant_scope(
    alias: str,
    tenant_id: UUID,
    *,
    snapshot: bool = False,
    as_of: str = "",
    keep_plans: bool = False,
    sharing: str = "",
) -> Iterator[psycopg.Connection[Any]]:
    """Open a transaction on `alias` in which only the rows of `tenant_id` are visible.

    Yields the psycopg connection for COPY and other things the ORM has no word for. The setting ends with the
    transaction, so a kept connection never carries a tenant over. With `snapshot`, the whole transaction sees
    the database as it was when it began; with `as_of`, as it was when `shared_snapshot` gave that name out. With
    `keep_plans`, prepared statements are planned once and not for each value: for statements that look up by key,
    where planning costs more than the look. With `sharing`, the transaction holds the tenant's advisory lock of that
    name with others, from before its first look until its end. Scopes do not nest: hand the connection on.
    """
    raw: psycopg.Connection[Any] | None = None
    try:
        with transaction.atomic(using=alias, durable=True):
            raw = driver_connection(connections[alias])
            _begin(raw, tenant_id, snapshot, as_of, keep_plans, sharing)
            yield raw
    except BaseException:
        if raw is not None:
            forget_statements(raw)  # psycopg has told the server to
        raise


def _begin(
    raw: psycopg.Connection[Any],
    tenant_id: UUID,
    snapshot: bool,  # noqa: FBT001  # as `tenant_scope` was asked
    as_of: str,
    keep_plans: bool,  # noqa: FBT001
    sharing: str,
) -> None:
    """BEGIN and the tenant in one message: a request waits for the server a dozen times, and this saves one.

    SET takes no parameters. What is written into it is a UUID's text, a snapshot's name and a lock's, which are
    nobody's values. The lock comes first: what is looked at afterwards is what stands while it is held.
    """
    isolation = "ISOLATION LEVEL REPEATABLE READ" if snapshot or as_of else ""
    if as_of:
        if not _SNAPSHOT.fullmatch(as_of):
            raise ValueError("not the name of a snapshot")
        isolation += f"; SET TRANSACTION SNAPSHOT '{as_of}'"
    if sharing and not _LOCK.fullmatch(sharing):
        raise ValueError("not the name of a lock")
    named = f"'{UUID(bytes=tenant_id.bytes)}'"
    lock = (
        f"SELECT pg_advisory_xact_lock_shared(hashtext('{sharing}'), hashtext({named})); "
        if sharing
        else ""
    )
    plans = "; SET LOCAL plan_cache_mode = force_generic_plan" if keep_plans else ""
    command = f"BEGIN {isolation}; {lock}SET LOCAL auditvault.tenant_id = {named}{plans}"
    result = raw.pgconn.exec_(command.encode("ascii"))
    if result.status != ExecStatus.COMMAND_OK:
        raise error_from_result(result, encoding=raw.info.encoding)


@contextmanager
def shared_snapshot(alias: str) -> Iterator[str]:
    """The database as it is now, by a name under which other transactions see it too while the block lasts.

    Held by a connection of its own, so that scopes can come and go meanwhile, in other processes as well.
    """
    wrapper = connections.create_connection(alias)
    try:
        wrapper.ensure_connection()
        raw = driver_connection(wrapper)
        # It does nothing but wait: a server that ends those who do must not end this one.
        raw.execute("SET idle_in_transaction_session_timeout = 0")
        raw.execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        row = raw.execute("SELECT pg_export_snapshot()").fetchone()
        yield row[0] if row else ""
    finally:
        wrapper.close()


def usable_connection(alias: str) -> psycopg.Connection[Any]:
    """A connection outside a transaction, made anew where the server has closed the last one."""
    wrapper = connections[alias]
    wrapper.close_if_health_check_failed()
    wrapper.ensure_connection()
    return driver_connection(wrapper)


def retention_connection(region: str, *, keys: bool = False) -> psycopg.Connection[Any]:
    """The retention role's connection to the region's database or keyring, outside a transaction.

    Raises RegionUnavailableError where this process was not given its credentials.
    """
    alias = f"keys_retention_{region}" if keys else f"retention_{region}"
    if alias not in settings.DATABASES:
        raise RegionUnavailableError("This process was not given the retention role's credentials.")
    return usable_connection(alias)


def driver_connection(wrapper: BaseDatabaseWrapper) -> psycopg.Connection[Any]:
    """The psycopg connection under Django's."""
    raw = wrapper.connection
    if not isinstance(raw, psycopg.Connection):
        raise TypeError("auditvault runs on psycopg 3 only")
    return raw
