"""A search that names somebody is a lookup: limited, counted, and of no use for guessing."""

from __future__ import annotations

import json

import pytest

from tests.integration.ingest.sending import chat, record
from tests.integration.ledger.superuser import superuser


def search(client, tenant, **filters):
    headers = tenant.headers("auditor")
    return client.post(
        "/api/v1/traces/search",
        data=json.dumps(filters),
        content_type="application/json",
        headers=headers,
    )


@pytest.fixture
def limits():
    from django.test import override_settings

    with override_settings(SUBJECTS_PER_DAY=3, ENUMERATION_MISSES=3, LOOKUPS_PER_CALLER=60):
        yield


@pytest.fixture
def crowd(client, tenant):
    record(client, tenant, *[chat("hello", user=f"user {n}") for n in range(5)])


def alerts(cluster, tenant):
    with superuser(cluster, "region_eu") as connection:
        rows = connection.execute(
            "SELECT kind FROM access_alert WHERE tenant_id = %s ORDER BY alert_id",
            (tenant.tenant_id,),
        ).fetchall()
    return [row[0] for row in rows]


def test_a_fourth_person_of_three_is_refused_and_those_found_are_found_again(
    client, tenant, limits, crowd, cluster
):
    for n in (0, 1, 2, 0):
        assert len(search(client, tenant, user=f"user {n}").json()["interactions"]) == 1
    refused = search(client, tenant, user="user 3")
    assert (refused.status_code, refused.json()["code"]) == (429, "subject_budget_spent")
    assert int(refused["Retry-After"]) > 0
    nobody = search(client, tenant, user="nobody")
    assert nobody.content == refused.content
    assert search(client, tenant, user="user 1").status_code == 200
    assert alerts(cluster, tenant) == ["subject_budget_spent"]


def test_a_refused_search_is_recorded_with_the_tag_and_not_the_name(
    client, tenant, limits, crowd, cluster
):
    for n in range(4):
        search(client, tenant, user=f"user {n}")
    with superuser(cluster, "region_eu") as connection:
        rows = connection.execute(
            "SELECT header FROM access_event WHERE tenant_id = %s AND outcome = 'denied'",
            (tenant.tenant_id,),
        ).fetchall()
    (header,) = [json.loads(bytes(row[0])) for row in rows]
    assert header["action"] == "search"
    assert set(header["details"]) == {"code", "user_tag"}
    assert "user 3" not in json.dumps(header)


def test_names_that_are_tried_one_after_the_other_are_told_of(client, tenant, limits, cluster):
    for n in range(5):
        assert search(client, tenant, email=f"guess{n}@example.org").json()["interactions"] == []
    assert alerts(cluster, tenant) == ["enumeration"]


def test_traces_that_are_tried_one_after_the_other_are_told_of(client, tenant, limits, cluster):
    headers = tenant.headers("auditor")
    for n in range(4):
        assert client.get(f"/api/v1/traces/{n:032x}", headers=headers).status_code == 404
    assert alerts(cluster, tenant) == ["enumeration"]


def test_searches_by_name_are_as_many_as_lookups(client, tenant, crowd):
    from django.test import override_settings

    with override_settings(LOOKUPS_PER_CALLER=2):
        codes = [search(client, tenant, user="user 1").status_code for _ in range(3)]
        assert codes == [200, 200, 429]
        assert search(client, tenant, model="gpt-4o").status_code == 200
