"""A transaction that works for one tenant in one region.

Row-level security shows a transaction only the rows of the tenant it named. Everything that reads or writes a
region's tables does so inside `tenant_scope`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import psycopg
from django.conf import settings
from django.db import DatabaseError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from auditvault.core.errors import AuditvaultError


class RegionUnavailableError(AuditvaultError):
    """This process holds no credentials for that region."""

    code = "region_unavailable"


def region_alias(region: str) -> str:
    """Django's name of the region's database; raises RegionUnavailableError where this process has none."""
    if region not in settings.REGIONS:
        raise RegionUnavailableError(f"This process does not serve the region {region!r}.")
    return f"region_{region}"


def keys_alias(region: str) -> str:
    """Django's name of the region's keyring database; raises RegionUnavailableError as `region_alias`."""
    region_alias(region)
    return f"keys_{region}"


@contextmanager
def tenant_scope(
    alias: str, tenant_id: UUID, *, snapshot: bool = False
) -> Iterator[psycopg.Connection[Any]]:
    """Open a transaction on `alias` in which only the rows of `tenant_id` are visible.

    Yields the psycopg connection for COPY and other things the ORM has no word for. The setting ends with the
    transaction, so a pooled connection never carries a tenant over. With `snapshot`, the whole transaction sees
    the database as it was when it began.
    """
    with transaction.atomic(using=alias):
        connection = connections[alias]
        connection.ensure_connection()
        raw = driver_connection(connection)
        if snapshot:
            raw.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        raw.execute("SELECT set_config('auditvault.tenant_id', %s, true)", (str(tenant_id),))
        yield raw


def driver_connection(wrapper: BaseDatabaseWrapper) -> psycopg.Connection[Any]:
    """The psycopg connection under Django's."""
    raw = wrapper.connection
    if not isinstance(raw, psycopg.Connection):
        raise TypeError("auditvault runs on psycopg 3 only")
    return raw


def forget_lost_connections(error: BaseException) -> None:
    """After a lost connection, drop every pooled one, so that the next request connects anew.

    When PostgreSQL restarts, all connections of a pool die at once, and each would cost a request its answer. The
    pool's own repair backs off for seconds; a new pool connects when it is asked.
    """
    cause = error.__cause__ if isinstance(error, DatabaseError) else error
    if not isinstance(cause, psycopg.OperationalError) or not _is_lost(cause):
        return
    for alias in settings.DATABASES:
        wrapper = connections[alias]
        wrapper.close()
        close_pool = getattr(wrapper, "close_pool", None)
        if close_pool is not None:
            close_pool()


def _is_lost(error: psycopg.OperationalError) -> bool:
    """Class 08 is a broken connection, 57P a server that goes; without a state the connection itself broke."""
    return error.sqlstate is None or error.sqlstate.startswith(("08", "57P"))
