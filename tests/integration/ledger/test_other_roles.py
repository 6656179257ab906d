"""What the owner's, the signer's and the retention role cannot do."""

from __future__ import annotations

import pytest

from tests.integration.ledger.attempts import (
    REFUSED,
    columns,
    not_refused,
    outcome,
    parents,
    tables,
    tenant_tables,
)

FENCED_BY_TRIGGER = (
    "ledger_log",
    "ledger_entry",
    "ledger_tile",
    "ledger_checkpoint",
    "ledger_prune",
    "ledger_pruned",
    "traces_header",
    "access_event",
)


def test_the_owner_changes_no_record_by_mistake(connect, everywhere):
    owner = connect("owner")
    of = parents(owner)
    statements = []
    for table in tables(owner):
        if of.get(table, table) not in FENCED_BY_TRIGGER:
            continue
        column = columns(owner, table)[-1]
        statements.append(f"TRUNCATE {table}")
        if owner.execute(f"SELECT EXISTS (SELECT FROM {table})").fetchone()[0]:
            statements += [f"UPDATE {table} SET {column} = {column}", f"DELETE FROM {table}"]
    assert len(statements) > 3 * len(FENCED_BY_TRIGGER)
    # A foreign key answers for the table of logs before its trigger is asked.
    left = not_refused(owner, [item for item in statements if item != "TRUNCATE ledger_log"])
    assert left == {}


def test_the_owner_removes_no_head(connect, everywhere):
    owner = connect("owner")
    assert not_refused(owner, ["DELETE FROM ledger_head", "TRUNCATE ledger_head"]) == {}


def test_the_owner_switches_no_trigger_off_by_a_setting(connect, service):
    assert outcome(connect("owner"), "SET session_replication_role = replica") == REFUSED


@pytest.fixture
def signer(connect, everywhere):
    return connect("signer")


def test_the_signer_reads_the_log_and_nothing_else(signer):
    readable = {
        table
        for table in tables(signer)
        if outcome(signer, f"SELECT 1 FROM {table} LIMIT 1") == "done"
    }
    assert readable == {
        "ledger_log",
        "ledger_head",
        "ledger_entry",
        "ledger_tile",
        "ledger_checkpoint",
        "admin_event",  # of which it sees the records of keys: test_signer_rotation
    }


def test_the_signer_changes_nothing(signer):
    statements = []
    for table in tables(signer):
        column = columns(signer, table)[-1]
        statements += [
            f"UPDATE {table} SET {column} = {column}",
            f"DELETE FROM {table}",
            f"TRUNCATE {table}",
        ]
    assert not_refused(signer, statements) == {}


def test_the_signer_adds_checkpoints_only(signer):
    statements = [
        f"INSERT INTO {table} OVERRIDING SYSTEM VALUE SELECT * FROM {table}"
        for table in tables(signer)
        if table != "ledger_checkpoint"
    ]
    assert not_refused(signer, statements) == {}


def test_the_signer_calls_no_function_that_writes(signer):
    statements = [
        "SELECT ledger_open_log('access', 'x/eu/y', 256)",
        "SELECT * FROM ledger_lock_head(1)",
        "SELECT ledger_advance_head(1, 0, 1, '', '', now())",
        "SELECT ledger_ensure_partition(1, 0)",
        "SELECT auditvault_ensure_month('traces_header', '2027-01-01')",
        "SET session_replication_role = replica",
        "SET ROLE auditvault_owner",
        "CREATE TABLE public.mine (a int)",
        "CREATE TEMP TABLE mine (a int)",
    ]
    assert not_refused(signer, statements) == {}


@pytest.fixture(params=["region", "keys"])
def retention(connect, everywhere, request):
    return connect("retention", keys=request.param == "keys")


def test_retention_changes_nothing_directly(retention):
    statements = []
    for table in tables(retention):
        column = columns(retention, table)[-1]
        statements += [
            f"UPDATE {table} SET {column} = {column}",
            f"DELETE FROM {table}",
            f"TRUNCATE {table}",
            f"INSERT INTO {table} OVERRIDING SYSTEM VALUE SELECT * FROM {table}",
        ]
    assert not_refused(retention, statements) == {}


def test_retention_reads_which_keys_are_in_use_and_no_ciphertext_no_key_and_no_record(retention):
    readable = {
        column
        for table in tenant_tables(retention)
        for column in columns(retention, table)
        if outcome(retention, f"SELECT {column} FROM {table} LIMIT 1") == "done"
    }
    assert readable <= {
        "tenant_id",
        "subject_id",
        "key_id",
        "data_class",
        "version",
        "created_at",
        "retired_at",
        "epoch",
    }


def test_retention_calls_no_function_of_the_application(connect, service):
    statements = [
        "SELECT ledger_open_log('access', 'x/eu/y', 256)",
        "SELECT * FROM ledger_lock_head(1)",
        "SELECT ledger_advance_head(1, 0, 1, '', '', now())",
        "SELECT ledger_ensure_partition(1, 0)",
        "SELECT auditvault_ensure_month('traces_header', '2027-01-01')",
        "SELECT * FROM ledger_all_logs()",
        "SET ROLE auditvault_owner",
        "CREATE TEMP TABLE mine (a int)",
    ]
    assert not_refused(connect("retention"), statements) == {}


def test_retention_retires_no_young_key_and_destroys_no_key_in_use(connect, everywhere):
    keys = connect("retention", keys=True)
    rows = keys.execute(
        "SELECT key_id FROM keyring_subject_key WHERE tenant_id = %s", (everywhere.tenant_id,)
    ).fetchall()
    ids = [row[0] for row in rows]
    assert ids
    retired = keys.execute("SELECT keyring_retire(%s)", (ids,)).fetchone()
    destroyed = keys.execute("SELECT keyring_destroy_retired(%s)", (ids,)).fetchone()
    assert (retired, destroyed) == ((0,), (0,))
