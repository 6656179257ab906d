"""File-level backups of databases, and putting one back in its place, as whoever owns the server does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.integration.ledger.outage import cut_all, drop_connections
from tests.integration.ledger.superuser import superuser


def back_up(cluster: Any, *databases: str) -> None:
    """Copy these databases as they are now."""
    with superuser(cluster, "postgres") as connection:
        drop_connections()
        for database in databases:
            with _alone(connection, database):
                connection.execute(f"CREATE DATABASE {database}_old TEMPLATE {database}")


@contextmanager
def restored(cluster: Any, monkeypatch: Any, *databases: str) -> Iterator[None]:
    """Inside the block these are their backups, and this process is one that was started since."""
    with superuser(cluster, "postgres") as connection:
        for database in databases:
            _rename(connection, database, f"{database}_now")
            _rename(connection, f"{database}_old", database)
        start_anew(monkeypatch)
        try:
            yield
        finally:
            for database in databases:
                _rename(connection, database, f"{database}_old")
                _rename(connection, f"{database}_now", database)
                connection.execute(f"DROP DATABASE {database}_old")
            start_anew(monkeypatch)


def start_anew(monkeypatch: Any) -> None:
    """Go on as a process that has just started."""
    from auditvault.ledger.logs import log_ref
    from auditvault.vault.erasures import pending
    from tests.integration.vault.looking import forget_keys

    drop_connections()
    log_ref.cache_clear()
    forget_keys(monkeypatch)
    pending._keyring_heads._held.clear()


def _rename(connection: Any, old: str, new: str) -> None:
    drop_connections()
    with _alone(connection, old, named=new):
        connection.execute(f"ALTER DATABASE {old} RENAME TO {new}")


@contextmanager
def _alone(connection: Any, database: str, *, named: str = "") -> Iterator[None]:
    """Nobody is connected inside the block: threads that listen come back by themselves. `named` is its name then."""
    connection.execute(f"ALTER DATABASE {database} ALLOW_CONNECTIONS false")
    try:
        cut_all(connection, database)
        yield
    except BaseException:
        connection.execute(f"ALTER DATABASE {database} ALLOW_CONNECTIONS true")
        raise
    connection.execute(f"ALTER DATABASE {named or database} ALLOW_CONNECTIONS true")
