"""Takes a database away from everybody but the superuser, and gives it back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.integration.ledger.superuser import superuser


@contextmanager
def unreachable(cluster: Any, database: str) -> Iterator[None]:
    """Inside the block the database takes no connection, and those there were are cut."""
    with superuser(cluster, "postgres") as connection:
        connection.execute(f"ALTER DATABASE {database} ALLOW_CONNECTIONS false")
        try:
            cut_all(connection, database)
            yield
        finally:
            connection.execute(f"ALTER DATABASE {database} ALLOW_CONNECTIONS true")
            drop_connections()


def cut_all(connection: Any, database: str) -> None:
    """End every other connection to the database, as a restart of the server does."""
    connection.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        " WHERE datname = %s AND pid <> pg_backend_pid()",
        (database,),
    )


def drop_connections() -> None:
    """What a server does at the end of each request; Django's test client leaves it out."""
    from django.db import connections

    for connection in connections.all(initialized_only=True):
        connection.close()
