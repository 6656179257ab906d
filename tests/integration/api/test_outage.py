"""A database that is away: 503 with Retry-After, nothing half-written, and service again once it is back."""

from __future__ import annotations

import json

import pytest
from google.rpc import status_pb2

from tests.integration.ingest.sending import (
    JSON,
    PROTOBUF,
    chat,
    json_of,
    protobuf_of,
    record,
    send,
)
from tests.integration.ledger.outage import cut_all, drop_connections, unreachable
from tests.integration.ledger.superuser import counts, superuser

BUILDERS = {PROTOBUF: protobuf_of, JSON: json_of}
DATABASES = ["auditvault_control", "region_eu", "keys_eu"]
every_database = pytest.mark.parametrize("database", DATABASES)


@pytest.fixture
def prepared(client, tenant, service):
    """A tenant whose logs and keys exist; connections are open and keys are cached."""
    record(client, tenant, chat("before"))
    tenant.headers("engineer")
    return tenant


@pytest.fixture
def forgetful(monkeypatch, service):
    """A process that has just started: it holds no key."""
    from auditvault.vault.keyring import services

    monkeypatch.setattr(services, "_keyrings", {})


@every_database
@pytest.mark.parametrize("content_type", [PROTOBUF, JSON])
def test_traces_are_answered_503_and_when_to_come_back(
    client, prepared, cluster, forgetful, database, content_type
):
    body = BUILDERS[content_type](chat("during"))
    with unreachable(cluster, database):
        answer = send(client, prepared, body, content_type)
    assert (answer.status_code, answer["Content-Type"]) == (503, content_type)
    assert int(answer["Retry-After"]) > 0


@every_database
def test_the_503_of_traces_is_a_status_that_names_no_database(
    client, prepared, cluster, forgetful, database
):
    with unreachable(cluster, database):
        answer = send(client, prepared, protobuf_of(chat("during")))
    status = status_pb2.Status.FromString(answer.content)
    assert status.code == 14
    assert database not in status.message


@every_database
def test_nothing_is_half_written_while_a_database_is_away(
    client, prepared, cluster, forgetful, database
):
    before = counts(cluster, prepared.tenant_id)
    with unreachable(cluster, database):
        send(client, prepared, protobuf_of(chat("during", user="somebody new")))
    written = {
        table: number - before[table]
        for table, number in counts(cluster, prepared.tenant_id).items()
        if number != before[table]
    }
    # A name without content is harmless, and is committed before the key it needs.
    assert set(written) <= {"vault_subject", "vault_identifier"}


@every_database
def test_the_same_request_is_recorded_once_the_database_is_back(
    client, prepared, cluster, forgetful, database
):
    body = protobuf_of(chat("during"))
    with unreachable(cluster, database):
        send(client, prepared, body)
        drop_connections()
    assert send(client, prepared, body).status_code == 200
    assert counts(cluster, prepared.tenant_id)["traces_header"] == 2


@every_database
@pytest.mark.parametrize(
    ("path", "role", "body"),
    [
        ("/api/v1/traces/search", "engineer", {"user": "somebody"}),
        (
            "/api/v1/resolve",
            "investigator",
            {
                "content_hash": "sha256:" + "0" * 64,
                "purpose": {"code": "INCIDENT", "case": "INC-1", "reason": "A complaint came in"},
            },
        ),
    ],
)
def test_reading_is_answered_503_and_when_to_come_back(
    client, prepared, cluster, forgetful, database, path, role, body
):
    headers = prepared.headers(role) if role == "engineer" else prepared.cleared()
    with unreachable(cluster, database):
        answer = client.post(path, json.dumps(body), content_type=JSON, headers=headers)
    assert (answer.status_code, answer["Content-Type"]) == (503, "application/problem+json")
    assert int(answer["Retry-After"]) > 0


@every_database
def test_readyz_names_the_database_that_is_away(client, service, cluster, database):
    with unreachable(cluster, database):
        answer = client.get("/readyz")
    alias = "default" if database == "auditvault_control" else database
    assert answer.status_code == 503
    assert [name for name, said in answer.json()["checks"].items() if said != "ok"] == [alias]


def test_healthz_answers_while_a_database_is_away(client, service, cluster):
    with unreachable(cluster, "region_eu"):
        assert client.get("/healthz").status_code == 200


def test_metrics_without_a_database_are_no_500(client, service, cluster):
    with unreachable(cluster, "region_eu"):
        client.raise_request_exception = False
        assert client.get("/metrics").status_code == 503


@every_database
def test_a_restart_of_the_server_costs_a_sender_nothing(client, prepared, cluster, database):
    with superuser(cluster, "postgres") as connection:
        cut_all(connection, database)
    begin_request()
    assert send(client, prepared, protobuf_of(chat("after"))).status_code == 200


def begin_request():
    """What a server does when a request begins; Django's test client leaves it out."""
    from django.db import close_old_connections

    close_old_connections()
