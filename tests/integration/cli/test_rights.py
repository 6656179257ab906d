"""`auditvault role`, `human` and `token`: what the operator does is recorded as the operator's."""

from __future__ import annotations

import io
import json
from uuid import uuid4

import pytest

from tests.integration.ledger.superuser import superuser


@pytest.fixture
def run(service):
    """`run("role", "list", …)` is exit status and what was printed as JSON."""
    from django.core.management import call_command

    def call(*words):
        out, status = io.StringIO(), 0
        try:
            call_command(*map(str, words), "--json", stdout=out, stderr=io.StringIO())
        except SystemExit as stopped:
            status = stopped.code
        return status, json.loads(out.getvalue())

    return call


@pytest.fixture
def anna(service):
    from auditvault.access.models import User

    return User.objects.create_user(f"anna-{uuid4().hex[:12]}")


@pytest.fixture
def place(tenant):
    return ["--tenant", tenant.slug, "--region", "eu", "--case", "INC-1"]


def test_a_role_is_given_listed_and_taken_away(run, anna, tenant, place, cluster):
    assert run("role", "grant", anna.username, "viewer", *place)[0] == 0
    assert run("role", "grant", anna.username, "viewer", *place)[1]["state"] == "granted_already"
    _, listed = run("role", "list", "--tenant", tenant.slug)
    status, _ = run("role", "revoke", anna.username, "viewer", *place)

    assert (status, listed["people"][0]["roles"][0]["role"]) == (0, "viewer")
    with superuser(cluster, "region_eu") as connection:
        headers = connection.execute(
            "SELECT header FROM admin_event WHERE tenant_id = %s", (tenant.tenant_id,)
        ).fetchall()
    actors = [json.loads(bytes(header))["details"]["actor"] for (header,) in headers]
    assert actors == ["operator:cli", "operator:cli"]


def test_an_end_is_given(run, anna, place):
    assert run("role", "grant", anna.username, "examiner", *place)[1]["error"] == "role_end_invalid"
    status, _ = run("role", "grant", anna.username, "examiner", *place, "--until", "2027-06-30")
    assert status == 0


def test_what_is_refused_is_exit_status_1(run, anna, place):
    assert run("role", "grant", "nobody-of-that-name", "viewer", *place) == (
        1,
        {"error": "account_unknown", "message": "There is no such account."},
    )
    assert run("role", "revoke", anna.username, "viewer", *place)[1]["error"] == "role_not_held"


def test_a_tenants_own_role_is_made_changed_and_retired(run, tenant):
    place = ["--tenant", tenant.slug, "--case", "INC-1"]
    made = run("role", "define", "helper", "--act", "read_headers", *place)
    changed = run("role", "change", "helper", "--act", "place_hold", *place)
    gone = run("role", "retire", "helper", *place)

    assert [each[1]["state"] for each in (made, changed, gone)] == ["defined", "changed", "retired"]
    (listed,) = run("role", "list", "--tenant", tenant.slug)[1]["roles"]
    assert listed == {"role": "custom:helper", "acts": ["place_hold"], "is_retired": True}


def test_accounts_are_linked_and_unlinked(run, anna):
    from auditvault.access.models import User

    second = User.objects.create_user(f"{anna.username}-admin")
    linked = run("human", "link", anna.username, second.username, "--case", "INC-1")[1]
    shown = run("human", "show", anna.username)[1]
    unlinked = run("human", "unlink", second.username, "--case", "INC-2")[1]

    counts = [len(each["accounts"]) for each in (linked, shown, unlinked)]
    assert counts == [2, 2, 1]


def test_a_token_is_made_rotated_listed_and_revoked(run, tenant):
    place = ["--tenant", tenant.slug, "--region", "eu", "--role", "ingest"]
    token = run("token", "create", *place)[1]["token"]
    new = run("token", "rotate", token.split("_")[1], "--overlap", "2d")[1]["token"]
    revoked = run("token", "revoke", new.split("_")[1])

    assert revoked[0] == 0
    listed = {
        each["id"]: each for each in run("token", "list", "--tenant", tenant.slug)[1]["tokens"]
    }
    assert listed[token.split("_")[1]]["successor"] == new.split("_")[1]
    assert listed[new.split("_")[1]]["revoked_at"] is not None
    assert run("token", "rotate", "0" * 12)[1]["error"] == "token_not_found"


def test_a_persons_token_is_made(run, anna, tenant, place):
    run("role", "grant", anna.username, "viewer", *place)
    scope = ["--tenant", tenant.slug, "--region", "eu", "--person", anna.username]

    assert run("token", "create", *scope, "--role", "viewer")[0] == 0
    assert run("token", "create", *scope, "--role", "engineer")[1]["error"] == (
        "token_request_invalid"
    )
