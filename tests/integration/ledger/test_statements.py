"""Prepared statements of the hot path: bound values, arrays, errors, and what a rollback leaves."""

from __future__ import annotations

import psycopg
import pytest

from auditvault.ledger.copying import int4, int8
from auditvault.ledger.scope import region_alias, tenant_scope
from auditvault.ledger.statements import BYTEA_OID, TEXT_OID, Statement, array

DIVIDE = Statement("SELECT 6 / $1::int")


@pytest.fixture
def scope(service, tenant):
    """`with scope() as connection:` is a transaction for the tenant."""
    return lambda: tenant_scope(region_alias("eu"), tenant.tenant_id, keep_plans=True)


def test_a_statement_gives_back_its_fields_in_binary(scope):
    statement = Statement("SELECT $1::bigint + 1, $2::bytea, NULL::text")
    with scope() as connection:
        assert statement.run(connection, int8(2**40), b"\0'\\") == [
            (int8(2**40 + 1), b"\0'\\", None)
        ]


def test_a_statement_is_prepared_once_and_bound_each_time(scope):
    with scope() as connection:
        names = "SELECT count(*) FROM pg_prepared_statements WHERE statement = 'SELECT 6 / $1::int'"
        assert DIVIDE.run(connection, int4(2)) == [(int4(3),)]
        assert DIVIDE.run(connection, int4(3)) == [(int4(2),)]
        assert connection.execute(names).fetchone() == (1,)


def test_arrays_keep_their_order_and_their_nulls(scope):
    statement = Statement("SELECT a, b FROM unnest($1::text[], $2::bytea[]) AS t (a, b)")
    with scope() as connection:
        rows = statement.run(
            connection,
            array(TEXT_OID, ["é".encode(), b"", None]),
            array(BYTEA_OID, [None, b"\0", b"x" * 5000]),
        )
    assert rows == [("é".encode(), None), (b"", b"\0"), (None, b"x" * 5000)]


def test_an_empty_array_is_one(scope):
    statement = Statement("SELECT cardinality($1::bytea[])")
    with scope() as connection:
        assert statement.run(connection, array(BYTEA_OID, [])) == [(int4(0),)]


def test_an_error_is_psycopgs_and_ends_the_transaction(scope):
    with pytest.raises(psycopg.errors.DivisionByZero), scope() as connection:
        DIVIDE.run(connection, int4(0))


def test_a_statement_works_again_after_a_rollback(scope):
    """psycopg, once it has prepared something itself, has told the server to forget everything."""
    with scope() as connection:
        connection.execute("SELECT %s::int", (1,), prepare=True)
        DIVIDE.run(connection, int4(2))
    with pytest.raises(psycopg.errors.DivisionByZero), scope() as connection:
        DIVIDE.run(connection, int4(0))
    with scope() as connection:
        assert DIVIDE.run(connection, int4(2)) == [(int4(3),)]
