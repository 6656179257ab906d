"""The operator's log, which is of no tenant, is verified like any: header, columns and what no entry commits to."""

from __future__ import annotations

from types import SimpleNamespace
from uuid import UUID, uuid4

import pytest

from tests.integration.evidence.verdict import findings
from tests.integration.ledger.superuser import tampering

OPERATOR = SimpleNamespace(tenant_id=UUID(int=0))


@pytest.fixture
def event(service, run_signer):
    """The newest of two operations in the region us."""
    from auditvault.ledger.admin.services import record_operation

    record_operation(region="us", action="test.first", details={})
    newest = record_operation(region="us", action="test.made", details={"figure": 1})
    run_signer()
    return newest


@pytest.fixture
def forger(cluster, event):
    with tampering(cluster, OPERATOR.tenant_id, "region_us") as connection:
        yield connection


def place(connection, event):
    """The index of the entry that commits to it."""
    row = connection.execute(
        "SELECT idx FROM ledger_entry WHERE tenant_id = %s AND record_id = %s",
        (OPERATOR.tenant_id, event),
    ).fetchone()
    return row[0]


def test_the_operators_log_holds(event):
    assert findings(OPERATOR, with_memory=False) == {}


def test_an_edited_operation_is_named(forger, event):
    forger.execute(
        "UPDATE admin_event SET header = replace(convert_from(header, 'UTF8'), '1}', '2}')::bytea"
        " WHERE record_id = %s",
        (event,),
    )
    found = findings(OPERATOR, with_memory=False)
    assert found == {"admin": {"header_commitment": place(forger, event)}}


def test_an_operation_that_was_taken_away_is_named(forger, event):
    forger.execute("DELETE FROM admin_event WHERE record_id = %s", (event,))
    found = findings(OPERATOR, with_memory=False)
    assert found == {"admin": {"header_missing": place(forger, event)}}


@pytest.mark.parametrize(
    "change", ["action = 'test.other'", "recorded_at = recorded_at + interval '1 second'"]
)
def test_an_edited_search_column_is_named(forger, event, change):
    forger.execute(f"UPDATE admin_event SET {change} WHERE record_id = %s", (event,))
    found = findings(OPERATOR, with_memory=False)
    assert found == {"admin": {"header_columns": place(forger, event)}}


def test_an_operation_that_no_entry_records_is_found(forger, event):
    forger.execute(
        "INSERT INTO admin_event SELECT tenant_id, %s, recorded_at, action, opening, header"
        " FROM admin_event WHERE record_id = %s",
        (uuid4(), event),
    )
    found = findings(OPERATOR, with_memory=False)
    assert found == {"admin": {"header_unrecorded": place(forger, event) + 1}}
