"""Reading alerts over the API: the tenant's own, in pages, and recorded."""

from __future__ import annotations

import json

from tests.integration.ledger.superuser import superuser

URL = "/api/v1/access/alerts"


def looks(cluster, tenant):
    with superuser(cluster, "region_eu") as connection:
        rows = connection.execute(
            "SELECT header FROM access_event WHERE tenant_id = %s AND action = 'read_alerts'"
            " ORDER BY record_id",
            (tenant.tenant_id,),
        ).fetchall()
    return [json.loads(bytes(row[0])) for row in rows]


def test_alerts_are_read_in_pages_and_each_look_is_recorded(client, tenant, raise_alert, cluster):
    raised = [str(raise_alert(case=f"INC-{n}")) for n in range(3)]
    headers = tenant.headers("auditor")
    first = client.get(f"{URL}?limit=2", headers=headers).json()
    second = client.get(f"{URL}?limit=2&cursor={first['next_cursor']}", headers=headers).json()
    found = first["alerts"] + second["alerts"]
    assert [each["id"] for each in found] == raised[::-1]
    assert (found[0]["kind"], found[0]["details"]) == ("test", {"case": "INC-2"})
    assert second["next_cursor"] is None
    assert [(look["actor_role"], look["details"]) for look in looks(cluster, tenant)] == [
        ("auditor", {"rows": 2}),
        ("auditor", {"rows": 1}),
    ]


def test_another_tenants_alerts_are_not_there(client, tenant, other_tenant, raise_alert, cluster):
    raise_alert()
    answer = client.get(URL, headers=other_tenant.headers("auditor"))
    assert answer.json() == {"alerts": [], "next_cursor": None}
    assert looks(cluster, tenant) == []


def test_whoever_gives_roles_reads_them_and_a_viewer_does_not(client, tenant, raise_alert):
    raise_alert()
    answer = client.get(URL, headers=tenant.headers("security_admin"))
    assert len(answer.json()["alerts"]) == 1
    assert client.get(URL, headers=tenant.headers("viewer")).status_code == 403


def test_a_query_that_is_not_understood_is_refused(client, tenant):
    for query in ("kind=test", "limit=0", "limit=201", "cursor=x"):
        assert client.get(f"{URL}?{query}", headers=tenant.headers("auditor")).status_code == 400


def test_a_look_that_cannot_be_recorded_is_503(client, tenant, raise_alert, monkeypatch):
    from django.db import DatabaseError

    def fails(*_args, **_kwargs):
        raise DatabaseError

    raise_alert()
    monkeypatch.setattr("auditvault.access.events.services._prepare", fails)
    answer = client.get(URL, headers=tenant.headers("auditor"))
    assert (answer.status_code, answer.json()["code"]) == (503, "access_not_recorded")
