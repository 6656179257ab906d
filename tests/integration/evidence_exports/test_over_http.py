"""Exports over HTTP: for whoever asked, once, for a day, and like nothing at all for anybody else."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from uuid import uuid4

import pytest

from tests.integration.ingest.sending import chat, record
from tests.integration.ledger.superuser import superuser
from tests.own_key import opened_by_openssl, own_certificate
from tests.staff import make_person

URL = "/api/v1/evidence/exports"
NOT_THERE = (404, "export_not_found")


@pytest.fixture
def viewer(tenant):
    """Headers of somebody who may read headers, and examines no looks."""
    return make_person(tenant, "viewer").headers("viewer")


@pytest.fixture
def body():
    """All that tests record."""
    return {
        "started_from": "2020-01-01T00:00:00Z",
        "started_before": "2035-01-01T00:00:00Z",
        "certificate": own_certificate()[1],
    }


@pytest.fixture
def post(client):
    """`post(path, headers, body)` is the answer to JSON."""

    def send(path, headers, body):
        return client.post(
            f"{URL}{path}", json.dumps(body), content_type="application/json", headers=headers
        )

    return send


@pytest.fixture
def made(client, tenant, viewer, body, post):
    """The path of an export of the viewer's that is ready."""
    record(client, tenant, chat("a"))
    answer = post("", viewer, body)
    assert answer.status_code == 201, answer.content
    make()
    return f"{URL}/{answer.json()['id']}"


def make():
    from auditvault.evidence.exports.making import make_due

    make_due("eu")


def refused(answer):
    return answer.status_code, answer.json()["code"]


def parts_in(answer):
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def access(cluster, tenant, action):
    with superuser(cluster, "region_eu") as connection:
        rows = connection.execute(
            "SELECT header FROM access_event WHERE tenant_id = %s AND action = %s ORDER BY record_id",
            (tenant.tenant_id, action),
        ).fetchall()
    return [json.loads(bytes(row[0])) for row in rows]


def test_what_was_asked_for_is_fetched_and_opened_and_runs_no_formula(
    client, tenant, viewer, body, post, tmp_path, cluster
):
    # What begins with `=` is no name of a model and gets into no header; this is as far as a sender comes.
    formula = "@SUM/1+1"
    record(client, tenant, chat("a", attributes={"gen_ai.request.model": formula}), chat("b"))
    asked = post("", viewer, body).json()
    assert (asked["state"], asked["request"]["form"]) == ("queued", "csv")
    make()
    seen = client.get(f"{URL}/{asked['id']}", headers=viewer).json()
    assert (seen["state"], seen["rows"], seen["parts"]) == ("made", 2, 1)
    answer = client.get(f"{URL}/{asked['id']}/file", headers=viewer)
    assert answer["Content-Type"] == "application/zip"
    assert answer["Cache-Control"] == "no-store"
    assert b"gpt-4o" not in answer.content
    ((name, part),) = parts_in(answer).items()
    assert name == "part-1.p7m"
    text = opened_by_openssl(part, own_certificate()[0], tmp_path).decode()
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert {row["model_requested"] for row in rows} == {f"'{formula}", "gpt-4o"}
    assert {row["export"] for row in rows} == {asked["id"]}
    assert not any(c.startswith(("=", "+", "-", "@")) for row in rows for c in row.values())
    (look,) = access(cluster, tenant, "fetch_export")
    assert look["details"] == {"export": asked["id"]}


def test_it_is_fetched_once(client, made, viewer):
    assert client.get(f"{made}/file", headers=viewer).status_code == 200
    assert refused(client.get(f"{made}/file", headers=viewer)) == NOT_THERE
    assert client.get(made, headers=viewer).json()["state"] == "fetched"


def test_looking_whether_it_is_there_does_not_use_it_up(client, made, viewer):
    for _ in range(2):
        assert client.head(f"{made}/file", headers=viewer).status_code == 200
    assert client.get(f"{made}/file", headers=viewer).status_code == 200
    assert client.head(f"{made}/file", headers=viewer).status_code == 404


def test_whatever_a_client_accepts_it_gets_the_file(client, made, viewer):
    headers = {**viewer, "Accept": "application/zip"}
    assert client.get(f"{made}/file", headers=headers).status_code == 200


def test_another_tenants_export_is_as_one_that_is_nobodys(
    client, tenant, other_tenant, made, post, cluster
):
    stranger = make_person(other_tenant, "auditor").headers("auditor")
    nobodys = f"{URL}/{uuid4()}"
    for ask in (
        lambda url: client.get(url, headers=stranger),
        lambda url: client.get(f"{url}/file", headers=stranger),
        lambda url: post(f"{url.removeprefix(URL)}/cancel", stranger, {}),
    ):
        theirs, none = ask(made), ask(nobodys)
        assert refused(theirs) == NOT_THERE
        assert theirs.content == none.content
    assert client.get(URL, headers=stranger).json()["exports"] == []
    found = access(cluster, other_tenant, "refused")
    assert [each["details"]["code"] for each in found] == ["export_not_found"] * 3
    assert made.rpartition("/")[2] not in json.dumps(found)
    assert access(cluster, tenant, "refused") == []


def test_a_colleague_neither_sees_nor_cancels_nor_fetches_it(client, tenant, made, viewer, post):
    colleague = make_person(tenant, "viewer").headers("viewer")
    assert client.get(URL, headers=colleague).json()["exports"] == []
    assert refused(client.get(made, headers=colleague)) == NOT_THERE
    assert refused(client.get(f"{made}/file", headers=colleague)) == NOT_THERE
    assert refused(post(f"{made.removeprefix(URL)}/cancel", colleague, {})) == NOT_THERE
    assert client.get(f"{made}/file", headers=viewer).status_code == 200


def test_an_auditor_sees_it_and_does_not_have_it(client, tenant, made, viewer, post):
    auditor = make_person(tenant, "auditor").headers("auditor")
    assert client.get(made, headers=auditor).json() == client.get(made, headers=viewer).json()
    assert refused(client.get(f"{made}/file", headers=auditor)) == NOT_THERE
    assert client.head(f"{made}/file", headers=auditor).status_code == 404
    assert refused(post(f"{made.removeprefix(URL)}/cancel", auditor, {})) == NOT_THERE
    assert client.get(f"{made}/file", headers=viewer).status_code == 200


def test_another_account_of_the_same_human_has_it(client, tenant, body, post):
    one = make_person(tenant, "viewer")
    record(client, tenant, chat("a"))
    path = f"{URL}/{post('', one.headers('viewer'), body).json()['id']}"
    make()
    other = make_person(tenant, "viewer", of=one).headers("viewer")
    assert client.get(f"{path}/file", headers=other).status_code == 200


def test_after_a_day_it_is_not_to_be_had(client, tenant, made, viewer, post, cluster):
    with superuser(cluster, "region_eu") as connection:
        connection.execute(
            "UPDATE evidence_export SET created_at = created_at - interval '2 days',"
            " expires_at = expires_at - interval '2 days' WHERE tenant_id = %s",
            (tenant.tenant_id,),
        )
    assert refused(client.get(f"{made}/file", headers=viewer)) == NOT_THERE
    assert client.head(f"{made}/file", headers=viewer).status_code == 404
    assert refused(post(f"{made.removeprefix(URL)}/cancel", viewer, {})) == NOT_THERE
    assert client.get(made, headers=viewer).json()["state"] == "expired"


def test_what_was_cancelled_is_not_to_be_had(client, made, viewer, post):
    answer = post(f"{made.removeprefix(URL)}/cancel", viewer, {})
    assert answer.json()["state"] == "cancelled"
    assert refused(client.get(f"{made}/file", headers=viewer)) == NOT_THERE
    assert refused(post(f"{made.removeprefix(URL)}/cancel", viewer, {})) == NOT_THERE


def test_a_single_factor_a_machine_or_another_role_is_not_enough(client, tenant, made, post, body):
    person = make_person(tenant, "viewer")
    for headers, code in (
        (person.headers("viewer", strong=False), "second_factor_required"),
        (tenant.headers("viewer"), "human_required"),
        (tenant.headers("ingest"), "access_denied"),
    ):
        assert refused(client.get(f"{made}/file", headers=headers)) == (403, code)
        assert refused(post("", headers, body)) == (403, code)


@pytest.mark.parametrize(
    "more",
    [
        {"tenant_id": str(uuid4())}, {"human": str(uuid4())}, {"actor": "user:1"}, {"state": "made"},
        {"expires_at": "2099-01-01T00:00:00Z"}, {"region": "us"}, {"rows": 1}, {"model": "gpt-4o"},
    ],
)  # fmt: skip
def test_nothing_else_can_be_assigned(client, viewer, body, post, more):
    answer = post("", viewer, {**body, **more})
    assert refused(answer) == (400, "request_invalid")
    assert post("/plan", viewer, {**body, **more}).status_code == 400
    assert client.get(URL, headers=viewer).json()["exports"] == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"certificate": "none"}, (400, "export_certificate_invalid")),
        ({"certificate": "\0"}, (400, "request_invalid")),
        ({"trace_id": "ab" * 16}, (422, "export_empty")),
        ({"started_from": "2034-01-01T00:00:00Z"}, (422, "export_empty")),
        ({"started_from": "yesterday"}, (400, "request_invalid")),
        ({"approval_id": str(uuid4())}, (404, "approval_not_found")),
        ({"form": "xlsx"}, (400, "request_invalid")),
    ],
)
def test_what_cannot_be_exported_is_refused_and_nothing_queued(
    client, tenant, viewer, body, post, change, expected
):
    record(client, tenant, chat("a"))
    assert refused(post("", viewer, {**body, **change})) == expected
    assert client.get(URL, headers=viewer).json()["exports"] == []


def test_many_rows_take_an_approval_of_their_plan(client, tenant, body, post, cluster):
    from django.test import override_settings

    record(client, tenant, chat("a"), chat("b"))
    auditor = make_person(tenant, "auditor").headers("auditor")
    officer = make_person(tenant, "privacy_officer").headers("privacy_officer")

    def send(path, headers, body):
        return client.post(
            f"/api/v1/access/approvals{path}",
            json.dumps(body),
            content_type="application/json",
            headers=headers,
        )

    with override_settings(EXPORT_ROWS_ALONE=1):
        assert refused(post("", auditor, body)) == (409, "approval_missing")
        planned = post("/plan", auditor, body).json()
        assert (planned["rows"], planned["needs_approval"]) == (2, True)
        asked = send("", auditor, {"plan": planned["plan"], "case": "INC-1"}).json()
        bulk = {**body, "approval_id": asked["id"]}
        assert refused(post("", auditor, bulk)) == (409, "approval_missing")
        assert send(f"/{asked['id']}/approve", officer, {}).status_code == 200
        assert refused(post("", auditor, {**bulk, "form": "jsonl"})) == (409, "approval_drifted")
        assert post("", auditor, bulk).status_code == 201
        assert refused(post("", auditor, bulk)) == (409, "approval_not_open")
    assert [each["details"]["rows"] for each in access(cluster, tenant, "plan_export")] == [2]


def test_the_list_is_paged_and_each_stands_in_it_once(client, tenant, viewer, body, post):
    record(client, tenant, chat("a"))
    ids = [post("", viewer, body).json()["id"] for _ in range(3)]
    found, cursor = [], ""
    while cursor is not None:
        more = f"&cursor={cursor}" if cursor else ""
        page = client.get(f"{URL}?limit=2{more}", headers=viewer).json()
        found += [each["id"] for each in page["exports"]]
        cursor = page["next_cursor"]
    assert found == ids[::-1]
    assert refused(client.get(f"{URL}?cursor=x", headers=viewer)) == (400, "cursor_invalid")


def test_a_look_that_cannot_be_recorded_gives_nothing_out(client, made, viewer, monkeypatch):
    from django.db import DatabaseError

    def fails(*_args, **_kwargs):
        raise DatabaseError

    with monkeypatch.context() as broken:
        broken.setattr("auditvault.access.events.services._prepare", fails)
        answer = client.get(f"{made}/file", headers=viewer)
    assert refused(answer) == (503, "access_not_recorded")
    assert client.get(f"{made}/file", headers=viewer).status_code == 200


def test_parts_that_are_deleted_right_after_are_with_who_fetched(client, made, viewer, monkeypatch):
    from auditvault.evidence.exports import making, services

    real = services.record_act

    def then_forgotten(**how):
        record_id = real(**how)
        making.forget_parts("eu")
        return record_id

    monkeypatch.setattr(services, "record_act", then_forgotten)
    assert list(parts_in(client.get(f"{made}/file", headers=viewer))) == ["part-1.p7m"]
