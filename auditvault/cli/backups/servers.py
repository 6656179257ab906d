"""A database that is backed up or restored: its address, sessions on it, and how a program is told of it.

Passwords go to programs in their environment, never in their arguments: `ps` shows those to everybody.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import Conninfo

from auditvault.core.errors import AuditvaultError

_CONNECT_SECONDS = 10
_PASSED_ON = ("PATH", "LANG", "LC_ALL", "TZ", "HOME", "LD_LIBRARY_PATH")


class DatabaseUnusableError(AuditvaultError):
    """The database cannot be reached, or does not let this role do what is needed."""

    code: ClassVar[str] = "backup_database_unusable"


class Database:
    """One database by its URL; not printed, because the URL holds a password."""

    __slots__ = ("_parameters", "_url", "name")

    def __init__(self, url: str, *, name: str | None = None) -> None:
        """`name` is another database on the same server."""
        try:
            self._parameters = {
                key: str(value) for key, value in conninfo_to_dict(url).items() if value is not None
            }
        except psycopg.ProgrammingError as error:
            raise DatabaseUnusableError("A URL for backups is no postgresql:// URL.") from error
        if name is not None:
            self._parameters["dbname"] = name
        self.name = self._parameters.get("dbname", "")
        self._parameters.setdefault("connect_timeout", str(_CONNECT_SECONDS))
        self._url = make_conninfo("", **self._parameters)

    def other(self, name: str) -> Database:
        """Another database on the same server, under the same role."""
        return Database(self._url, name=name)

    @property
    def environment(self) -> dict[str, str]:
        """The whole environment of a program of PostgreSQL's that works on this database."""
        known = {
            one.keyword.decode(): one.envvar.decode()
            for one in Conninfo.get_defaults()
            if one.envvar
        }
        told = {known[key]: value for key, value in self._parameters.items() if key in known}
        kept = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        return {"PATH": os.defpath} | kept | told | {"LC_MESSAGES": "C", "PGTZ": "UTC"}

    @contextmanager
    def session(self) -> Iterator[psycopg.Connection[Any]]:
        """A connection, each statement for itself; raises DatabaseUnusableError with the server's reason."""
        try:
            connection = psycopg.connect(self._url, autocommit=True)
        except psycopg.OperationalError as error:
            raise DatabaseUnusableError(
                f"The database {self.name} does not answer: {_reason(error)}"
            ) from error
        with connection:
            # It waits for programs that take hours: no server's habit of ending the idle may end it.
            connection.execute(
                "SET idle_in_transaction_session_timeout = 0; SET statement_timeout = 0"
            )
            try:
                yield connection
            except psycopg.Error as error:
                raise DatabaseUnusableError(f"{self.name}: {_reason(error)}") from error


def require_reader(connection: psycopg.Connection[Any]) -> None:
    """Raise unless the role sees every row: row security would leave out all tenants, and say nothing."""
    row = connection.execute(
        "SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user"
    ).fetchone()
    if row is None or not row[0]:
        raise DatabaseUnusableError(
            "The role of the backup URL must be superuser, or have BYPASSRLS and pg_read_all_data."
        )


def require_superuser(connection: psycopg.Connection[Any]) -> None:
    """Raise unless the role may make objects for other roles."""
    row = connection.execute(
        "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"
    ).fetchone()
    if row is None or not row[0]:
        raise DatabaseUnusableError("To restore, the role of the backup URL must be superuser.")


def _reason(error: psycopg.Error) -> str:
    """The server's first line: it names roles and tables, never a password; no DETAIL, which may repeat rows."""
    return (error.diag.message_primary or str(error)).strip().splitlines()[0]
