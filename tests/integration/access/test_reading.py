"""What reading records: a receipt and a list of entries each, what proves them once a window, with how often."""

from __future__ import annotations

import json

import pytest

from tests.integration.ledger.superuser import superuser

from .samples import make_world


@pytest.fixture
def world(client, tenant, cluster, run_signer):
    """Each test's own: its records are counted."""
    return make_world(client, tenant, cluster, run_signer)


@pytest.fixture
def records(cluster, world):
    """`records()` are the access records since the test began, oldest first."""

    def since():
        with superuser(cluster, "region_eu") as connection:
            rows = connection.execute(
                "SELECT convert_from(header, 'UTF8')::json FROM access_event"
                " WHERE tenant_id = %s ORDER BY record_id",
                (world.tenant.tenant_id,),
            ).fetchall()
        return [row[0] for row in rows]

    before = len(since())
    return lambda: since()[before:]


def details(found):
    return [(record["action"], record["details"]) for record in found]


def test_each_receipt_that_shows_a_header_is_recorded(client, world, records):
    path = f"/api/v1/receipts/{world.interaction_id}"
    for _ in range(2):
        assert client.get(path, headers=world.tenant.headers("auditor")).status_code == 200

    seen = ("view_receipt", {"record": world.interaction_id, "rows": 1})
    assert details(records()) == [seen, seen]
    assert {record["actor_role"] for record in records()} == {"auditor"}


def test_a_receipt_that_is_not_there_is_recorded_with_no_rows(client, world, records):
    nobodys = "01a20b04-4699-7f93-8be8-716ef9b10dee"
    answer = client.get(f"/api/v1/receipts/{nobodys}", headers=world.tenant.headers("auditor"))

    assert answer.status_code == 404
    assert details(records()) == [("view_receipt", {"record": nobodys, "rows": 0})]


def test_a_trace_that_is_not_there_is_recorded_with_no_rows(client, world, records):
    client.get(f"/api/v1/traces/{'ab' * 16}", headers=world.tenant.headers("viewer"))

    assert details(records()) == [("view_trace", {"trace_id": "ab" * 16, "rows": 0})]


def test_a_list_of_entries_is_recorded_with_its_range_and_rows(client, world, records):
    path = f"/api/v1/logs/{world.log_id}/entries?start=0&end=9"
    for _ in range(2):
        client.get(path, headers=world.tenant.headers("log_admin"))

    seen = {"log": world.log, "start": 0, "end": 9, "rows": 1}
    assert details(records()) == [("list_entries", seen), ("list_entries", seen)]


def test_what_proves_a_log_is_recorded_once_a_window_by_caller_and_log(client, world, records):
    headers = world.tenant.headers("auditor")
    for _ in range(3):
        for path in (
            f"/api/v1/logs/{world.log_id}/checkpoint",
            f"/api/v1/logs/{world.log_id}/proof/inclusion?index=0&size=1",
            f"/tlog/{world.log}/checkpoint",
            f"/tlog/{world.log}/tile/0/000.p/1",
            f"/tlog/{world.log}/tile/entries/000.p/1",
        ):
            assert client.get(path, headers=headers).status_code == 200
    client.get(f"/tlog/{world.log}/checkpoint", headers=world.tenant.headers("log_admin"))

    found = records()
    assert details(found) == [("read_proofs", {"log": world.log})] * 2
    assert len({record["actor"] for record in found}) == 2


def test_the_next_window_says_how_many_reads_the_last_one_had(client, world, records, cluster):
    headers, path = world.tenant.headers("auditor"), f"/tlog/{world.log}/checkpoint"
    for _ in range(4):
        client.get(path, headers=headers)
    with superuser(cluster, "region_eu") as connection:
        connection.execute(
            "UPDATE access_window SET window_at = window_at - interval '2 hours' WHERE tenant_id = %s",
            (world.tenant.tenant_id,),
        )
    client.get(path, headers=headers)

    _, (_, second) = details(records())
    assert second["before_uses"] == 4


def test_following_the_access_log_does_not_make_it_longer(client, world, records, cluster):
    """Its tiles, as a client of C2SP tlog-tiles fetches them for as long as it lives."""
    with superuser(cluster, "region_eu") as connection:
        (origin,) = connection.execute(
            "SELECT origin FROM ledger_log WHERE tenant_id = %s AND kind = 'access'",
            (world.tenant.tenant_id,),
        ).fetchone()
    log = origin.rpartition("/")[2]
    for _ in range(20):
        client.get(f"/tlog/{log}/checkpoint", headers=world.tenant.headers("auditor"))

    assert details(records()) == [("read_proofs", {"log": log})]


def test_a_senders_receipts_are_recorded_once_a_window(client, world, records):
    path = f"/api/v1/receipts/{world.interaction_id}"
    for _ in range(3):
        for asked in (path, f"{path}/tlog-proof"):
            assert client.get(asked, headers=world.tenant.headers("ingest")).status_code == 200

    assert details(records()) == [("read_proofs", {})]


@pytest.mark.parametrize(
    "path",
    ["/api/v1/logs", "/api/v1/logs/{log_id}/checkpoint", "/api/v1/logs/{log_id}/entries?start=0&end=1",
     "/tlog/{log}/checkpoint", "/tlog/{log}/tile/entries/000.p/1", "/api/v1/receipts/{interaction_id}"],
)  # fmt: skip
def test_what_cannot_be_recorded_is_not_read(client, world, monkeypatch, path):
    from django.db import DatabaseError

    def fails(*_args, **_kwargs):
        raise DatabaseError

    monkeypatch.setattr("auditvault.access.windows.services.access_log", fails)
    monkeypatch.setattr("auditvault.access.events.services.access_log", fails)
    answer = client.get(
        path.format(log_id=world.log_id, log=world.log, interaction_id=world.interaction_id),
        headers=world.tenant.headers("auditor"),
    )

    assert (answer.status_code, json.loads(answer.content)["code"]) == (503, "access_not_recorded")


def test_a_read_that_fails_before_its_commit_is_neither_counted_nor_recorded(
    client, world, records, monkeypatch, cluster
):
    """The count and the record are one transaction: both or neither."""
    from auditvault.access.windows import services

    real = services.record_within

    def fails_after(*args, **kwargs):
        real(*args, **kwargs)
        raise services.DatabaseError

    with monkeypatch.context() as patch:
        patch.setattr(services, "record_within", fails_after)
        headers = world.tenant.headers("auditor")
        assert client.get("/api/v1/logs", headers=headers).status_code == 503

    assert records() == []
    with superuser(cluster, "region_eu") as connection:
        (used,) = connection.execute(
            "SELECT count(*) FROM access_window WHERE tenant_id = %s", (world.tenant.tenant_id,)
        ).fetchone()
    assert used == 0


def test_who_comes_second_waits_until_the_first_is_recorded(world, cluster):
    """The row of the window is locked until its record is committed."""
    import psycopg

    url = cluster.environment("web")["AUDITVAULT_REGION_EU_URL"]
    with psycopg.connect(url) as first, psycopg.connect(url, autocommit=True) as second:
        for connection in (first, second):
            connection.execute(
                "SELECT set_config('auditvault.tenant_id', %s, false)",
                (str(world.tenant.tenant_id),),
            )
        count_use = "SELECT used FROM auditvault_count_use('token:x', 'read_proofs 1', 3600)"
        assert first.execute(count_use).fetchone() == (1,)
        second.execute("SET lock_timeout = '50ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            second.execute(count_use)
        first.commit()
        assert second.execute(count_use).fetchone() == (2,)


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO access_window VALUES (auditvault_tenant(), 'token:x', 'x', now(), 0)",
        "UPDATE access_window SET used = 0",
        "DELETE FROM access_window",
    ],
)
def test_the_application_cannot_change_counts_but_by_counting(world, cluster, statement):
    import psycopg

    url = cluster.environment("web")["AUDITVAULT_REGION_EU_URL"]
    with psycopg.connect(url) as connection:
        connection.execute(
            "SELECT set_config('auditvault.tenant_id', %s, false)", (str(world.tenant.tenant_id),)
        )
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement)
