"""The application's database role tries every way round append-only and the fence between tenants.

The fence is against our own bugs, not against whoever holds the application's password: the application works for
every tenant, so it may name any tenant it likes, and one test says so.
"""

from __future__ import annotations

import psycopg
import pytest

from tests.integration.ledger.attempts import (
    REFUSED,
    act_for,
    columns,
    not_refused,
    outcome,
    parents,
    tables,
    tenant_tables,
    went_through,
)
from tests.integration.ledger.superuser import log_number, superuser

NOBODY = "00000000-0000-0000-0000-000000000001"
# Due work is no record: the application claims it by updating its row.
CHANGEABLE = {"scheduled_job"}


@pytest.fixture
def app(connect, everywhere):
    connection = connect("app")
    act_for(connection, everywhere.tenant_id)
    return connection


@pytest.fixture
def keys(connect, everywhere):
    connection = connect("app", keys=True)
    act_for(connection, everywhere.tenant_id)
    return connection


@pytest.fixture
def log_id(everywhere, cluster):
    with superuser(cluster, "region_eu") as connection:
        return log_number(connection, everywhere.tenant_id, "interactions")


def changes(connection):
    """A change of each kind of every table and partition."""
    for table in tables(connection):
        if table in CHANGEABLE:
            continue
        column = columns(connection, table)[-1]
        yield f"UPDATE {table} SET {column} = {column}"
        yield f"DELETE FROM {table}"
        yield f"TRUNCATE {table}"
        yield f"TRUNCATE {table} CASCADE"
        yield f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"
        yield f"SELECT * FROM {table} FOR UPDATE"
        yield f"MERGE INTO {table} USING (SELECT 1) AS x ON true WHEN MATCHED THEN DELETE"


@pytest.mark.parametrize("database", ["app", "keys"])
def test_no_row_can_be_changed(request, database):
    connection = request.getfixturevalue(database)
    assert not_refused(connection, list(changes(connection))) == {}


@pytest.mark.parametrize("database", ["app", "keys"])
def test_no_table_can_be_altered(request, database):
    connection = request.getfixturevalue(database)
    statements = [
        pattern.format(table)
        for table in tables(connection)
        for pattern in (
            "ALTER TABLE {} DISABLE TRIGGER ALL",
            "ALTER TABLE {} DISABLE ROW LEVEL SECURITY",
            "ALTER TABLE {} OWNER TO auditvault_app",
            "ALTER TABLE {} ADD COLUMN more text",
            "DROP TABLE {} CASCADE",
            "DROP TRIGGER refuse_change ON {}",
            "DROP POLICY tenant_fence ON {}",
            "CREATE POLICY wide ON {} FOR ALL USING (true)",
            "CREATE RULE aside AS ON INSERT TO {} DO INSTEAD NOTHING",
            (
                "CREATE TRIGGER mine BEFORE INSERT ON {} FOR EACH ROW"
                " EXECUTE FUNCTION suppress_redundant_updates_trigger()"
            ),
        )
    ]
    assert went_through(connection, statements) == []


def test_no_partition_can_be_taken_off(app):
    statements = [
        f"ALTER TABLE {parent} DETACH PARTITION {partition}"
        for partition, parent in parents(app).items()
    ]
    assert not_refused(app, statements) == {}


def test_no_partition_can_be_read_past_the_fence(app):
    statements = [
        pattern.format(partition)
        for partition in parents(app)
        for pattern in ("SELECT 1 FROM {}", "TABLE {}", "COPY {} TO STDOUT")
    ]
    assert not_refused(app, statements) == {}


@pytest.mark.parametrize("database", ["app", "keys"])
def test_no_right_can_be_raised(request, database):
    connection = request.getfixturevalue(database)
    statements = [
        "SET session_replication_role = replica",
        "SET ROLE auditvault_owner",
        "SET ROLE auditvault_retention",
        "SET ROLE auditvault_signer",
        "SET SESSION AUTHORIZATION auditvault_owner",
        "ALTER ROLE auditvault_app BYPASSRLS",
        "GRANT auditvault_owner TO auditvault_app",
        "CREATE ROLE helper",
        "CREATE TABLE public.mine (a int)",
        "CREATE TEMP TABLE mine (a int)",
        "CREATE SCHEMA mine",
        "CREATE FUNCTION public.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        (
            "CREATE OR REPLACE FUNCTION public.auditvault_tenant() RETURNS uuid LANGUAGE sql"
            " AS 'SELECT NULL::uuid'"
        ),
        "DROP FUNCTION auditvault_tenant() CASCADE",
        "CREATE EXTENSION pg_prewarm",
        "SELECT pg_read_file('postgresql.conf')",
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "SELECT rolpassword FROM pg_authid",
        "SELECT pg_reload_conf()",
    ]
    assert not_refused(connection, statements) == {}


def test_functions_of_other_roles_cannot_be_called(keys):
    statements = [
        "SELECT keyring_retire(ARRAY[]::uuid[])",
        "SELECT keyring_reinstate(ARRAY[]::uuid[])",
        "SELECT keyring_destroy_retired(ARRAY[]::uuid[])",
    ]
    assert not_refused(keys, statements) == {}


def test_functions_of_migrations_cannot_be_called(app):
    statements = ["SELECT auditvault_fence('ledger_entry', false)"]
    assert not_refused(app, statements) == {}


@pytest.mark.parametrize("database", ["app", "keys"])
def test_without_a_tenant_no_row_is_seen(request, database):
    connection = request.getfixturevalue(database)
    act_for(connection, None)
    seen = {
        table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        for table in tenant_tables(connection, partitions=False)
    }
    assert set(seen.values()) == {0}


@pytest.mark.parametrize("database", ["app", "keys"])
def test_only_rows_of_the_named_tenant_are_seen(
    request, everywhere, other_tenant, client, database
):
    connection = request.getfixturevalue(database)
    others = {
        table: connection.execute(
            f"SELECT count(*) FROM {table} WHERE tenant_id <> %s", (everywhere.tenant_id,)
        ).fetchone()[0]
        for table in tenant_tables(connection, partitions=False)
    }
    assert set(others.values()) == {0}


@pytest.mark.parametrize("database", ["app", "keys"])
def test_the_named_tenants_own_rows_are_seen_in_every_table(request, database):
    """Else the tests beside this one would pass on empty tables."""
    connection = request.getfixturevalue(database)
    empty = [
        table
        for table in tenant_tables(connection, partitions=False)
        if connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] == 0
    ]
    assert empty == []


def test_another_tenant_is_seen_by_naming_it(app, everywhere, other_tenant):
    """By design: the application works for every tenant. The fence catches a query that forgot whose it is."""
    act_for(app, other_tenant.tenant_id)
    assert app.execute("SELECT count(*) FROM ledger_entry").fetchone() == (0,)
    act_for(app, everywhere.tenant_id)
    assert app.execute("SELECT count(*) FROM ledger_entry").fetchone()[0] > 0


def test_row_level_security_cannot_be_switched_off(app):
    with app.transaction(force_rollback=True):
        app.execute("SET LOCAL row_security = off")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            app.execute("SELECT * FROM ledger_entry")


def places(connection):
    """(table or partition, columns, a query of one row that fits into it) for every place of tenants' rows."""
    for table in tenant_tables(connection, partitions=False):
        names = columns(connection, table)
        held = connection.execute(
            f"SELECT DISTINCT tableoid::regclass::text FROM {table}"
        ).fetchall()
        for place in {table, *(row[0] for row in held)}:
            values = ", ".join("%s::uuid AS tenant_id" if n == "tenant_id" else n for n in names)
            fits = "" if place == table else f" WHERE tableoid = '{place}'::regclass"
            source = table + fits
            if table == "vault_object":
                # Its ciphertext is read from a view alone; where a row lies, only the table says.
                source = f"vault_kept WHERE object_id IN (SELECT object_id FROM {table}{fits})"
            if table == "vault_rendering":
                # Nor is this ciphertext; another will do.
                values = values.replace("envelope", "'x'::bytea AS envelope")
            yield place, ", ".join(names), f"SELECT {values} FROM {source} LIMIT 1"


@pytest.mark.parametrize("database", ["app", "keys"])
def test_no_row_of_another_tenant_can_be_written(request, other_tenant, database):
    connection = request.getfixturevalue(database)
    statements = [
        f"INSERT INTO {place} ({names}) OVERRIDING SYSTEM VALUE {row}"
        for place, names, row in places(connection)
    ]
    assert not_refused(connection, statements, (other_tenant.tenant_id,)) == {}


@pytest.mark.parametrize("database", ["app", "keys"])
def test_no_row_can_be_written_without_a_tenant(request, database):
    """The row is read while it can be seen, and written when no tenant is named any more."""
    connection = request.getfixturevalue(database)
    statements = [
        f"WITH seen AS MATERIALIZED ({row}), unnamed AS MATERIALIZED"
        " (SELECT set_config('auditvault.tenant_id', '', true) AS nobody FROM seen)"
        f" INSERT INTO {place} ({names}) OVERRIDING SYSTEM VALUE"
        f" SELECT {names} FROM seen, unnamed WHERE nobody = ''"
        for place, names, row in places(connection)
    ]
    assert not_refused(connection, statements, (NOBODY,)) == {}


def test_copy_into_a_partition_cannot_write_another_tenants_row(app, other_tenant, log_id):
    row = f"{other_tenant.tenant_id}\t{log_id}\t9\t{NOBODY}\t\\\\x{'00' * 32}\t\\\\x00\n"
    with (
        pytest.raises(psycopg.errors.InsufficientPrivilege),
        app.cursor() as cursor,
        cursor.copy(f"COPY ledger_entry_{log_id}_0 FROM STDIN") as copy,
    ):
        copy.write(row)


def test_a_log_is_opened_for_no_tenant_never(app):
    act_for(app, None)
    assert outcome(app, "SELECT ledger_open_log('access', 'x/eu/y', 256)") == REFUSED


@pytest.mark.parametrize("kind", ["", "other", "Access"])
def test_a_log_of_an_unknown_kind_is_not_opened(app, kind):
    assert outcome(app, "SELECT ledger_open_log(%s, 'x/eu/y', 256)", (kind,)) == "23514"


def test_opening_a_log_again_gives_the_same_one(app, log_id):
    found = app.execute("SELECT ledger_open_log('interactions', 'x/eu/other', 512)").fetchone()
    assert found == (log_id,)


def head(connection, log_id):
    return connection.execute(
        "SELECT size, range, last_leaf, last_at FROM ledger_head WHERE log_id = %s", (log_id,)
    ).fetchone()


def moved(connection, log_id, **changes):
    """The outcome of moving the head from where it is to where it is, but for `changes`."""
    size, range_, leaf, at = head(connection, log_id)
    given = {"from": size, "to": size, "range": range_, "leaf": leaf, "at": at} | changes
    return outcome(
        connection,
        "SELECT ledger_advance_head(%s, %s, %s, %s, %s, %s)",
        (log_id, given["from"], given["to"], given["range"], given["leaf"], given["at"]),
    )


def test_a_head_does_not_move_back(app, log_id):
    size = head(app, log_id)[0]
    before = app.execute(
        "SELECT leaf_hash FROM ledger_entry WHERE log_id = %s AND idx = %s", (log_id, size - 2)
    ).fetchone()[0]
    assert moved(app, log_id, to=size - 1, leaf=before) == "40001"


def test_a_head_does_not_stay(app, log_id):
    assert moved(app, log_id) == "40001"


def test_a_head_does_not_move_from_where_it_is_not(app, log_id):
    size = head(app, log_id)[0]
    assert moved(app, log_id, **{"from": size - 1}) == "40001"


def test_a_head_does_not_move_onto_a_leaf_that_is_not_there(app, log_id):
    size = head(app, log_id)[0]
    assert moved(app, log_id, to=size + 1) == "40001"


def test_a_head_does_not_move_onto_another_leaf_than_the_one_there(app, log_id):
    size, _, leaf, _ = head(app, log_id)
    with app.transaction(force_rollback=True):
        app.execute(
            f"INSERT INTO ledger_entry_{log_id}_{size // 262144} SELECT auditvault_tenant(), %s, %s, %s, %s, 'x'",
            (log_id, size, NOBODY, bytes(32)),
        )
        assert moved(app, log_id, to=size + 1, leaf=leaf) == "40001"


def test_time_does_not_move_back(app, log_id):
    size, _, leaf, _ = head(app, log_id)
    with app.transaction(force_rollback=True):
        app.execute(
            f"INSERT INTO ledger_entry_{log_id}_{size // 262144} SELECT auditvault_tenant(), %s, %s, %s, %s, 'x'",
            (log_id, size, NOBODY, leaf),
        )
        assert moved(app, log_id, to=size + 1, at="2020-01-01") == "40001"


def test_another_tenants_head_is_neither_locked_nor_moved(app, other_tenant, log_id):
    _, _, leaf, _ = head(app, log_id)
    act_for(app, other_tenant.tenant_id)
    assert app.execute("SELECT * FROM ledger_lock_head(%s)", (log_id,)).fetchall() == []
    state = outcome(
        app,
        "SELECT ledger_advance_head(%s, 260, 261, '', %s, now())",
        (log_id, leaf),
    )
    assert state == "40001"


def test_another_tenants_log_gets_no_partition(app, other_tenant, log_id):
    act_for(app, other_tenant.tenant_id)
    state = outcome(app, "SELECT ledger_ensure_partition(%s, 262144)", (log_id,))
    assert state == "P0002"  # no_data_found


@pytest.mark.parametrize(
    "table",
    ["ledger_head", "scheduled_job", "pg_authid", "public.traces_header", "x; DROP TABLE y"],
)
def test_months_are_made_for_monthly_tables_only(app, table):
    assert outcome(app, "SELECT auditvault_ensure_month(%s, '2027-01-01')", (table,)) != "done"
