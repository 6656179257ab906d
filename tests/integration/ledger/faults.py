"""Makes one statement of a request fail: before it ran, after it ran, or by ending the server's process behind it."""

from __future__ import annotations

from typing import Any, Literal, Self

import psycopg

from tests.integration.ledger.superuser import superuser

How = Literal["before", "after", "killed before", "killed after"]


class Plan:
    """Counts statements, and lets number `at` fail."""

    def __init__(self, cluster: Any, at: int, how: How) -> None:
        self._cluster = cluster
        self._at = at
        self._how = how
        self.seen = 0

    @property
    def happened(self) -> bool:
        """Whether the statement was reached."""
        return self.seen >= self._at

    def run(self, connection: psycopg.Connection[Any], work: Any) -> Any:
        """Run one statement, or not."""
        self.seen += 1
        if self.seen != self._at:
            return work()
        if self._how == "before":
            raise psycopg.OperationalError("made to fail")
        if self._how == "killed before":
            kill(self._cluster, connection)
        result = work()
        if self._how == "after":
            raise psycopg.OperationalError("made to fail")
        if self._how == "killed after":
            kill(self._cluster, connection)
        return result


def kill(cluster: Any, connection: psycopg.Connection[Any]) -> None:
    """End the server's process behind a connection, and wait until it has gone."""
    with superuser(cluster, "postgres") as owner:
        owner.execute("SELECT pg_terminate_backend(%s, 5000)", (connection.info.backend_pid,))


class FaultyConnection:
    """A psycopg connection whose statements go through a plan."""

    def __init__(self, connection: psycopg.Connection[Any], plan: Plan) -> None:
        self._connection = connection
        self._plan = plan

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    @property
    def pgconn(self) -> Any:
        return _FaultyLink(self._connection, self._plan)

    def execute(self, *words: Any, **options: Any) -> Any:
        return self._plan.run(self._connection, lambda: self._connection.execute(*words, **options))

    def cursor(self, *words: Any, **options: Any) -> Any:
        return _FaultyCursor(self._connection.cursor(*words, **options), self._plan)


class _FaultyLink:
    """What `tenant_scope` begins a transaction with, and prepared statements run through."""

    def __init__(self, connection: psycopg.Connection[Any], plan: Plan) -> None:
        self._connection = connection
        self._plan = plan

    def exec_(self, command: bytes) -> Any:
        return self._plan.run(self._connection, lambda: self._connection.pgconn.exec_(command))

    def prepare(self, *words: Any) -> Any:
        return self._plan.run(self._connection, lambda: self._connection.pgconn.prepare(*words))

    def exec_prepared(self, *words: Any) -> Any:
        return self._plan.run(
            self._connection, lambda: self._connection.pgconn.exec_prepared(*words)
        )


class _FaultyCursor:
    def __init__(self, cursor: psycopg.Cursor[Any], plan: Plan) -> None:
        self._cursor = cursor
        self._plan = plan

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._cursor.close()

    def execute(self, *words: Any, **options: Any) -> Any:
        return self._plan.run(
            self._cursor.connection, lambda: self._cursor.execute(*words, **options)
        )

    def executemany(self, *words: Any, **options: Any) -> Any:
        return self._plan.run(
            self._cursor.connection, lambda: self._cursor.executemany(*words, **options)
        )

    def copy(self, *words: Any, **options: Any) -> Any:
        return _FaultyCopy(self._cursor, self._plan, words, options)


class _FaultyCopy:
    """Collects what is written, and copies it in one step."""

    def __init__(self, cursor: Any, plan: Plan, words: Any, options: Any) -> None:
        self._cursor, self._plan, self._words, self._options = cursor, plan, words, options
        self._parts: list[bytes] = []

    def __enter__(self) -> Self:
        return self

    def write(self, data: bytes) -> None:
        self._parts.append(bytes(data))

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._plan.run(self._cursor.connection, self._copy)

    def _copy(self) -> None:
        with self._cursor.copy(*self._words, **self._options) as copy:
            for part in self._parts:
                copy.write(part)
