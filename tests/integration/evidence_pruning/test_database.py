"""What the database itself demands before anything goes: nothing that a caller says is believed."""

from __future__ import annotations

import psycopg
import pytest

from tests.integration.evidence_pruning.old_logs import (
    DATABASE,
    OLD,
    YOUNG,
    fill,
    rows,
    run,
)
from tests.integration.ledger.superuser import tampering


@pytest.fixture
def connect(cluster, service):
    opened = []

    def open_as(role):
        purpose, name = {
            "app": ("web", "AUDITVAULT_REGION_US_URL"),
            "retention": ("worker", "AUDITVAULT_RETENTION_US_URL"),
            "signer": ("signer", "AUDITVAULT_SIGNER_US_URL"),
            "owner": ("owner", "AUDITVAULT_REGION_US_URL"),
        }[role]
        connection = psycopg.connect(cluster.environment(purpose)[name], autocommit=True)
        opened.append(connection)
        return connection

    yield open_as
    for connection in opened:
        connection.close()


def refusal(connection, log, previous=0):
    """The code with which the function refuses."""
    with pytest.raises(psycopg.DatabaseError) as refused:
        connection.execute("SELECT * FROM evidence_prune(%s, %s)", (log.log_id, previous))
    return refused.value.diag.message_detail


@pytest.fixture
def pending(expired, policy):
    run(expired, policy)
    return expired


@pytest.mark.parametrize("role", ["app", "signer"])
@pytest.mark.parametrize(
    "call",
    [
        "evidence_prune({log}, 0)",
        "evidence_prune_preview({log}, 0, 256)",
        "evidence_prune_contents({log}, 0, 256)",
        "evidence_prune_headers(NULL, NULL)",
        "evidence_prune_check(NULL, NULL)",
    ],
)
def test_only_the_retention_role_may_call_the_functions(pending, connect, run_signer, role, call):
    run_signer()
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        connect(role).execute(f"SELECT * FROM {call.format(log=pending.log_id)}")


def test_the_retention_role_calls_no_part_of_the_function_alone(pending, connect):
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        connect("retention").execute("SELECT evidence_prune_headers(NULL, NULL)")


@pytest.mark.parametrize("role", ["app", "retention"])
@pytest.mark.parametrize("table", ["traces_header", "access_event", "admin_event"])
def test_the_setting_lets_no_role_of_the_service_remove_headers(pending, connect, role, table):
    connection = connect(role)
    connection.execute("SET auditvault.pruning = 'on'")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(f"DELETE FROM {table}")


def test_the_owner_removes_no_header_by_mistake(pending, connect):
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        connect("owner").execute("DELETE FROM traces_header")


@pytest.mark.parametrize("table", ["ledger_prune", "ledger_pruned"])
def test_the_retention_role_writes_no_prune(pending, connect, table):
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        connect("retention").execute(f"INSERT INTO {table} SELECT * FROM {table}")


def test_the_application_cannot_say_that_something_was_pruned(pending, connect):
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        connect("app").execute("INSERT INTO ledger_pruned SELECT * FROM ledger_pruned")


def test_what_was_not_recorded_is_not_dropped(expired, connect):
    assert refusal(connect("retention"), expired) == "prune_refused"


def test_what_no_checkpoint_covers_is_not_dropped(pending, connect, cluster, tenant):
    assert refusal(connect("retention"), pending) == "prune_not_anchored"
    assert rows(cluster, tenant, "ledger_entry") == OLD + YOUNG + 1


def test_content_that_remains_is_found_by_the_database_too(
    client, tenant, run_signer, monkeypatch, cluster, connect, policy
):
    from auditvault.evidence.pruning import services

    log = fill(client, tenant, run_signer, monkeypatch)
    monkeypatch.setattr(services, "check_release", lambda **_: None)
    run(log, policy)
    run_signer()
    assert refusal(connect("retention"), log) == "prune_content_remains"
    assert run(log, policy)[1]["error"] == "prune_content_remains"
    assert rows(cluster, tenant, "traces_header") == OLD + YOUNG


@pytest.mark.parametrize(
    "change",
    [
        {"minimum": 768, "idx": 900},
        {"idx": 619},
        {"record_id": "00000000-0000-7000-8000-000000000000"},
        {"entry": b"{}"},
        {"last_at": "2020-01-01T00:00:00Z"},
        {"cutoff": "2100-01-01T00:00:00Z"},
        {"previous": 256},
    ],
    ids=str,
)
def test_a_record_that_does_not_agree_with_the_log_drops_nothing(
    pending, run_signer, connect, cluster, tenant, change
):
    run_signer()
    with tampering(cluster, tenant.tenant_id, DATABASE) as connection:
        changes = ", ".join(f"{column} = %s" for column in change)
        connection.execute(
            f"UPDATE ledger_prune SET {changes} WHERE log_id = %s",
            (*change.values(), pending.log_id),
        )
        previous = change.get("previous", 0)
        assert refusal(connect("retention"), pending, previous) == "prune_refused"
        assert rows(cluster, tenant, "ledger_entry") == OLD + YOUNG + 1


def test_a_minimum_inside_a_partition_drops_nothing(pending, run_signer, connect, cluster, tenant):
    run_signer()
    with tampering(cluster, tenant.tenant_id, DATABASE) as connection:
        connection.execute(
            "UPDATE ledger_log SET partition_entries = 1024 WHERE log_id = %s", (pending.log_id,)
        )
        assert refusal(connect("retention"), pending) == "prune_refused"


def test_the_command_refuses_a_record_that_its_entry_does_not_commit_to(
    pending, policy, run_signer, cluster, tenant
):
    run_signer()
    with tampering(cluster, tenant.tenant_id, DATABASE) as connection:
        connection.execute(
            "UPDATE ledger_prune SET header = replace(convert_from(header, 'UTF8'),"
            " 'retention-2026', 'retention-2025')::bytea WHERE log_id = %s",
            (pending.log_id,),
        )
        assert run(pending, policy)[1]["error"] == "prune_refused"


def test_the_command_refuses_columns_that_the_record_does_not_say(
    pending, policy, run_signer, cluster, tenant
):
    run_signer()
    with tampering(cluster, tenant.tenant_id, DATABASE) as connection:
        connection.execute(
            "UPDATE ledger_prune SET minimum = 256 WHERE log_id = %s", (pending.log_id,)
        )
        assert run(pending, policy)[1]["error"] == "prune_refused"


def test_partitions_of_other_logs_are_not_touched(
    pending, policy, run_signer, cluster, other_tenant, client, monkeypatch
):
    fill(client, other_tenant, run_signer, monkeypatch)
    assert run(pending, policy)[1]["state"] == "pruned"
    assert rows(cluster, other_tenant, "ledger_entry") == OLD + YOUNG
    assert rows(cluster, other_tenant, "traces_header") == OLD + YOUNG
