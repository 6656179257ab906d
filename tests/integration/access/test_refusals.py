"""Refusals: the same whether a thing is there or not, in a form of their own, and without what was sent."""

from __future__ import annotations

import json

import pytest

from auditvault.core.policy.roles import ALLOWED, Role
from tests.integration.access.operations import members, operations
from tests.integration.access.samples import able, ask, body_of, make_world, nobodys, values_of
from tests.integration.ledger.superuser import count, superuser

_made = []
SENT = "zq-what-was-sent-7f3a"
PROBLEM = {"type", "title", "status", "code", "detail"}


@pytest.fixture
def world(client, tenant, cluster, run_signer):
    """Made once."""
    if not _made:
        _made.append(make_world(client, tenant, cluster, run_signer))
    return _made[0]


def machine_operations():
    return [o for o in operations() if not o.is_page]


def without_right(operation):
    """Roles that may not do it."""
    if not operation.demand.acts:
        return []
    return [role for role in Role if not ALLOWED[role].intersection(operation.demand.acts)]


def missing(operation):
    return {name: nobodys(name) for name in (*operation.path_names, *operation.query_names)}


def test_whoever_may_not_is_told_the_same_whether_a_thing_is_there_or_not(client, world):
    different = {}
    for operation in machine_operations():
        for role in without_right(operation):
            headers = world.tenant.headers(role.value)
            for_real = ask(client, operation, values_of(operation, world), headers)
            for_none = ask(client, operation, missing(operation), headers)
            if (for_real.status_code, for_real.content) != (403, for_none.content):
                different[operation.name, role.value] = for_real.content, for_none.content

    assert different == {}


def problem_of(answer):
    """The members of a problem document; fails where the answer is none."""
    assert answer["Content-Type"] == "application/problem+json"
    assert answer["Cache-Control"] == "no-store"
    body = json.loads(answer.content)
    assert set(body) >= PROBLEM
    assert (body["status"], body["type"]) == (
        answer.status_code,
        f"urn:auditvault:problem:{body['code']}",
    )
    return body


METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND")


def test_another_method_is_refused_the_same_way_everywhere(client, world):
    wrong = {}
    by_path = {}
    for operation in machine_operations():
        by_path.setdefault(operation.path, []).append(operation)
    for path, found in by_path.items():
        if found[0].demand.who == "anybody":
            continue
        allowed = {operation.method for operation in found}
        allowed |= {"HEAD"} if "GET" in allowed else set()
        role = next(r for r in Role if r not in without_right(found[0]))
        for method in METHODS:
            if method in allowed:
                continue
            filled = path.format(**values_of(found[0], world))
            headers = able(world.tenant, found[0], role)
            answer = client.generic(method, filled, headers=headers)
            if (answer.status_code, answer.get("Allow")) != (405, ", ".join(sorted(allowed))):
                wrong[method, path] = answer.status_code, answer.get("Allow")
            elif path != "/v1/traces" and method != "HEAD":
                problem_of(answer)

    assert wrong == {}


def test_head_is_answered_as_get_without_a_body(client, world):
    wrong = {}
    for operation in machine_operations():
        if operation.method != "GET" or operation.demand.who == "anybody":
            continue
        for role in (
            without_right(operation)[0],
            next(r for r in Role if r not in without_right(operation)),
        ):
            path = operation.path.format(**values_of(operation, world))
            query = {name: values_of(operation, world)[name] for name in operation.query_names}
            headers = world.tenant.headers(role.value)
            got, head = (
                ask_for(path, query, headers=headers) for ask_for in (client.get, client.head)
            )
            if (head.status_code, head.content) != (got.status_code, b""):
                wrong[operation.name, role.value] = head.status_code

    assert wrong == {}


@pytest.mark.parametrize(
    "path",
    ["/api", "/api/", "/api/v1/", "/api/v1/{sent}", "/api/v1/logs/{sent}", "/api/v2/logs", "/v1/logs", "/v1/{sent}",
     "/tlog/{sent}/checkpoint", "/tlog/", "/api/v1/receipts/{sent}", "/api/v1/traces/{sent}/more"],
)  # fmt: skip
def test_an_unknown_path_is_a_problem_document_and_repeats_nothing(client, service, path):
    for method in ("GET", "POST", "OPTIONS", "DELETE"):
        answer = client.generic(method, path.format(sent=SENT))

        assert problem_of(answer)["code"] == "not_found"
        assert SENT not in answer.content.decode()


def for_sessions(operation):
    """Whether no token reaches its body; tests/integration/access_identity asks those with a session."""
    return operation.demand.who == "session"


BAD = {
    "no JSON": (f"{{{SENT}", "application/json"),
    "a list": (f'["{SENT}"]', "application/json"),
    "an unknown member": (json.dumps({SENT: SENT}), "application/json"),
    "another type": (SENT, "text/plain"),
    "deep": ("[" * 100_000, "application/json"),
    "not UTF-8": (b"\xff\xfe" + SENT.encode(), "application/json"),
}


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_body_is_refused_and_not_repeated(client, world, bad):
    data, content_type = BAD[bad]
    seen = {}
    for operation in machine_operations():
        if operation.body is None or operation.path == "/v1/traces" or for_sessions(operation):
            continue
        role = next(r for r in Role if r not in without_right(operation))
        path = operation.path.format(**values_of(operation, world))
        answer = client.generic(
            operation.method, path, data, content_type=content_type,
            headers=able(world.tenant, operation, role),
        )  # fmt: skip
        problem_of(answer)
        seen[operation.name] = answer.status_code
        # The name of an unknown member is the one thing that is repeated, so that it can be corrected.
        repeated = answer.content.decode().replace(f'"{SENT}":["unknown_member"]', "")
        assert SENT not in repeated, operation.name

    assert set(seen.values()) <= {400, 415}, seen


def test_an_unknown_member_is_refused_wherever_it_stands(client, world):
    """Mass assignment: nothing is taken that is not a member of the request."""
    taken = {}
    for operation in machine_operations():
        if operation.body is None or operation.path == "/v1/traces" or for_sessions(operation):
            continue
        role = next(r for r in Role if r not in without_right(operation))
        known = {place[-1] for place in members(operation.body)}
        for body in with_unknown_members(body_of(operation), known):
            answer = ask(
                client,
                operation,
                values_of(operation, world),
                able(world.tenant, operation, role),
                body,
            )
            if answer.status_code != 400 or "unknown_member" not in answer.content.decode():
                taken[operation.name] = body, answer.status_code

    assert taken == {}


def with_unknown_members(body, known):
    """The body with a further member at the top, and in each object in it."""
    for name in {"is_admin", "tenant_id", "roles", "__proto__"} - known:
        yield {**body, name: "1"}
    for name, inner in body.items():
        if isinstance(inner, dict):
            yield {**body, name: {**inner, "tenant_id": "1"}}


@pytest.mark.parametrize("accept", ["text/html", "image/png", "application/xml;q=0.9"])
def test_another_form_than_there_is_is_a_problem_document(client, tenant, accept):
    answer = client.get("/api/v1/logs", headers=tenant.headers("auditor") | {"Accept": accept})

    assert problem_of(answer)["code"] == "not_acceptable"


def refusals(cluster, tenant):
    with superuser(cluster, "region_eu") as connection:
        rows = connection.execute(
            "SELECT convert_from(header, 'UTF8')::json FROM access_event"
            " WHERE tenant_id = %s AND action = 'refused' ORDER BY record_id",
            (tenant.tenant_id,),
        ).fetchall()
        entries = count(connection, "access_event", tenant.tenant_id)
    return [row[0] for row in rows], entries


def test_a_refusal_is_recorded_with_the_operation_and_nothing_that_was_sent(
    client, tenant, cluster
):
    client.get(f"/api/v1/traces/{'ab' * 16}?{SENT}={SENT}", headers=tenant.headers("ingest"))

    (record,), _ = refusals(cluster, tenant)
    assert (record["outcome"], record["details"]) == (
        "denied",
        {"operation": "GET /api/v1/traces/{trace_id}", "code": "access_denied"},
    )
    assert record["actor"].startswith("token:")
    assert SENT not in json.dumps(record)


def test_whoever_hammers_does_not_flood_the_log(client, tenant, cluster):
    for _ in range(30):
        client.get("/api/v1/logs", headers=tenant.headers("viewer"))

    found, entries = refusals(cluster, tenant)
    assert (len(found), entries) == (1, 1)


def test_the_first_refusal_of_the_next_window_says_how_many_there_were(client, tenant, cluster):
    for _ in range(3):
        client.get("/api/v1/logs", headers=tenant.headers("viewer"))
    with superuser(cluster, "region_eu") as connection:
        connection.execute(
            "UPDATE access_window SET window_at = window_at - interval '2 hours' WHERE tenant_id = %s",
            (tenant.tenant_id,),
        )
    client.get("/api/v1/logs", headers=tenant.headers("viewer"))

    (_, second), _ = refusals(cluster, tenant)
    assert second["details"]["before_uses"] == 3
    assert second["details"]["before_at"].endswith("Z")


def test_a_region_that_is_not_the_callers_is_recorded_where_the_caller_is(client, tenant, cluster):
    for method, path in (("get", "/api/v1/logs"), ("post", "/v1/traces")):
        role = "auditor" if method == "get" else "ingest"
        headers = tenant.headers(role) | {"Auditvault-Region": "us"}
        assert getattr(client, method)(path, headers=headers).status_code == 403

    found, _ = refusals(cluster, tenant)
    assert {record["details"]["code"] for record in found} == {"region_denied"}
    assert len(found) == 2


def test_a_refusal_that_cannot_be_recorded_is_503(client, tenant, monkeypatch):
    from django.db import DatabaseError

    def fails(*_args, **_kwargs):
        raise DatabaseError

    monkeypatch.setattr("auditvault.access.windows.services.access_log", fails)
    answer = client.get("/api/v1/logs", headers=tenant.headers("viewer"))

    assert (answer.status_code, problem_of(answer)["code"]) == (503, "access_not_recorded")
