"""File-level backups of the region `us`, and putting one back in its place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.integration.ledger.outage import cut_all, drop_connections
from tests.integration.ledger.superuser import superuser

REGION = "region_us"
_NOW = "region_us_now"


def back_up(cluster: Any, name: str) -> None:
    """Copy the region's database, as files, into one of this name."""
    with superuser(cluster, "postgres") as connection:
        drop_connections()
        cut_all(connection, REGION)
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {REGION}")


@contextmanager
def restored(cluster: Any, backup: str) -> Iterator[None]:
    """Inside the block the region's database is this backup, and this process one that was started since."""
    with superuser(cluster, "postgres") as connection:
        _rename(connection, REGION, _NOW)
        _rename(connection, backup, REGION)
        try:
            yield
        finally:
            _rename(connection, REGION, backup)
            _rename(connection, _NOW, REGION)
            connection.execute(f"DROP DATABASE {backup}")


def _rename(connection: Any, old: str, new: str) -> None:
    from auditvault.ledger.logs import log_ref

    drop_connections()
    log_ref.cache_clear()
    cut_all(connection, old)
    connection.execute(f"ALTER DATABASE {old} RENAME TO {new}")
