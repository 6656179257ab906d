"""Whoever gives roles does so over the API, on their own tenant and region; everybody else is refused alike."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from auditvault.core.policy.roles import Role
from tests.integration.access.conftest import *  # noqa: F403  # the same people
from tests.integration.ingest.sending import JSON, post

PEOPLE, ROLES, TOKENS = (f"/api/v1/access/{name}" for name in ("people", "roles", "tokens"))
SOON = (datetime.now(UTC) + timedelta(days=5)).isoformat()
TOKEN = {"regions": ["eu"], "roles": ["ingest"], "lifetime_seconds": 3600}


@pytest.fixture
def admin(account):
    return account("security_admin")


@pytest.fixture
def headers(admin, strong_headers):
    return strong_headers(admin, "security_admin")


@pytest.fixture
def admin_everywhere(access, admin, tenant, strong_headers):
    """Headers of the same admin, who gives roles in `us` as well."""
    access.people.grant_role(
        username=admin.username, tenant_slug=tenant.slug, region="us", role="security_admin"
    )
    headers = strong_headers(admin, "security_admin", regions=("eu", "us"))
    return headers | {"Auditvault-Region": "eu"}


def roles_of(user):
    return f"{PEOPLE}/{user.public_id}/roles"


def give(client, user, role, headers, **more):
    return post(client, roles_of(user), {"role": role, "case": "INC-1", **more}, headers)


def people(client, headers, **query):
    return client.get(PEOPLE, query, headers=headers)


def test_a_role_is_given_seen_and_taken_away(client, account, headers):
    user = account("viewer")

    given = give(client, user, "engineer", headers, ends_at=SOON)
    (seen,) = [
        p for p in people(client, headers).json()["people"] if p["id"] == str(user.public_id)
    ]
    taken = client.delete(f"{roles_of(user)}?role=engineer&case=INC-2", headers=headers)

    assert (given.status_code, taken.status_code) == (201, 200)
    assert [held["role"] for held in seen["roles"]] == ["engineer", "viewer"]
    assert give(client, user, "viewer", headers).json() == {"record": None}


def test_a_tenants_people_are_listed_page_by_page(client, account, headers, other_tenant):
    users = {str(account("viewer").public_id) for _ in range(3)}
    account("viewer", place=other_tenant)

    first = people(client, headers, limit=2).json()
    second = people(client, headers, limit=2, after=first["next_after"]).json()

    found = [person["id"] for page in (first, second) for person in page["people"]]
    assert (len(found), users <= set(found), second["next_after"]) == (4, True, None)


def test_a_look_at_people_is_recorded(client, headers, cluster, tenant):
    people(client, headers)

    with superuser(cluster, "region_eu") as connection:  # noqa: F405
        found = connection.execute(
            "SELECT action FROM access_event WHERE tenant_id = %s", (tenant.tenant_id,)
        ).fetchall()
    assert found == [("list_people",)]


ENDPOINTS = {
    "people": ("get", PEOPLE, None),
    "grant": ("post", f"{PEOPLE}/{uuid4()}/roles", {"role": "viewer", "case": "INC-1"}),
    "revoke": ("delete", f"{PEOPLE}/{uuid4()}/roles?role=viewer&case=INC-1", None),
    "roles": ("get", ROLES, None),
    "define": ("post", ROLES, {"name": "helper", "acts": ["read_headers"], "case": "INC-1"}),
    "change": ("put", f"{ROLES}/helper", {"acts": ["read_headers"], "case": "INC-1"}),
    "retire": ("delete", f"{ROLES}/helper?case=INC-1", None),
    "tokens": ("get", TOKENS, None),
    "make token": ("post", TOKENS, TOKEN),
    "rotate": ("post", f"{TOKENS}/{'0' * 12}/rotate", {"overlap_seconds": 0}),
    "revoke token": ("post", f"{TOKENS}/{'0' * 12}/revoke", {}),
}
LOOKS = {"people", "roles", "tokens"}


def ask(client, name, headers):
    method, path, body = ENDPOINTS[name]
    how = {} if body is None else {"data": body, "content_type": JSON}
    return getattr(client, method)(path, headers=headers, **how)


@pytest.mark.parametrize("name", ENDPOINTS)
def test_only_who_gives_roles_is_let_in(client, tenant, name):
    others = [role.value for role in Role if role is not Role.SECURITY_ADMIN]

    assert {ask(client, name, tenant.headers(role)).status_code for role in others} == {403}
    assert ask(client, name, {}).status_code == 401


@pytest.mark.parametrize("name", set(ENDPOINTS) - LOOKS)
def test_a_machine_changes_no_rights(client, tenant, name):
    answer = ask(client, name, tenant.headers("security_admin"))
    assert (answer.status_code, answer.json()["code"]) == (403, "human_required")


@pytest.mark.parametrize("name", set(ENDPOINTS) - LOOKS)
def test_every_change_takes_a_second_factor(client, admin, strong_headers, name):
    answer = ask(client, name, strong_headers(admin, "security_admin", strong=False))
    assert (answer.status_code, answer.json()["code"]) == (403, "second_factor_required")


@pytest.mark.parametrize("name", ["define", "change", "retire"])
def test_who_gives_roles_in_one_region_changes_no_role_for_all(client, headers, name):
    answer = ask(client, name, headers)
    assert (answer.status_code, answer.json()["code"]) == (403, "every_region_required")


def test_nobody_gives_to_themselves_or_to_another_account_of_theirs(
    client, access, account, admin, headers
):
    second = account("viewer", of=admin)

    for user in (admin, second):
        answer = give(client, user, "log_admin", headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "role_own")


def test_a_region_where_one_gives_no_roles_is_refused(client, account, headers):
    answer = give(client, account("viewer"), "engineer", headers | {"Auditvault-Region": "us"})
    assert (answer.status_code, answer.json()["code"]) == (403, "region_denied")


def test_people_of_another_tenant_look_like_nobody(client, account, headers, other_tenant):
    stranger = account("viewer", place=other_tenant)
    theirs = give(client, stranger, "viewer", headers)
    nobodys = post(
        client, f"{PEOPLE}/{uuid4()}/roles", {"role": "viewer", "case": "INC-1"}, headers
    )

    assert (theirs.status_code, theirs.content) == (404, nobodys.content)
    theirs = client.delete(f"{roles_of(stranger)}?role=viewer&case=INC-1", headers=headers)
    assert (theirs.status_code, theirs.content) == (404, nobodys.content)


@pytest.mark.parametrize(
    "extra",
    [
        {"is_superuser": True},
        {"is_staff": True},
        {"human": str(uuid4())},
        {"public_id": str(uuid4())},
        {"actor": "operator:cli"},
        {"tenant": "demo"},
        {"region": "us"},
        {"giver": None},
    ],
)
def test_a_member_that_is_none_of_the_request_is_refused(client, access, account, headers, extra):
    user = account("viewer")
    answer = give(client, user, "engineer", headers, **extra)

    assert (answer.status_code, answer.json()["code"]) == (400, "request_invalid")
    token = post(client, TOKENS, TOKEN | extra, headers)
    assert token.status_code == 400
    user.refresh_from_db()
    assert (user.is_superuser, user.is_staff) == (False, False)


def test_what_must_be_in_two_hands_is_refused(client, account, headers):
    answer = give(client, account("auditor"), "investigator", headers)
    assert (answer.status_code, answer.json()["code"]) == (403, "duties_not_separate")


def test_a_tenants_own_role_is_made_changed_given_and_retired(client, account, admin_everywhere):
    user = account("viewer")
    made = ask(client, "define", admin_everywhere)
    given = give(client, user, "custom:helper", admin_everywhere)
    changed = ask(client, "change", admin_everywhere)
    gone = ask(client, "retire", admin_everywhere)
    again = ask(client, "define", admin_everywhere)

    statuses = [answer.status_code for answer in (made, given, changed, gone, again)]
    assert statuses == [201, 201, 200, 200, 409]
    listed = client.get(ROLES, headers=admin_everywhere).json()["roles"][-1]
    assert listed == {"role": "custom:helper", "acts": ["read_headers"], "is_retired": True}


def test_a_change_that_smuggles_a_conflict_in_is_refused(client, account, admin_everywhere):
    user = account("investigator")
    ask(client, "define", admin_everywhere)
    give(client, user, "custom:helper", admin_everywhere)
    body = {"acts": ["approve_grant"], "case": "INC-1"}

    answer = client.put(f"{ROLES}/helper", body, content_type=JSON, headers=admin_everywhere)

    assert (answer.status_code, answer.json()["code"]) == (403, "duties_not_separate")


def test_a_token_is_made_rotated_and_revoked(client, headers):
    made = post(client, TOKENS, TOKEN, headers).json()
    turned = post(client, f"{TOKENS}/{made['id']}/rotate", {"overlap_seconds": 60}, headers).json()
    revoked = post(client, f"{TOKENS}/{turned['id']}/revoke", {}, headers)

    listed = {each["id"]: each for each in client.get(TOKENS, headers=headers).json()["tokens"]}
    assert revoked.status_code == 204
    assert listed[made["id"]]["successor"] == turned["id"]
    assert listed[turned["id"]]["revoked_at"] is not None
    bearer = {"Authorization": f"Bearer {turned['token']}"}
    assert client.post("/v1/traces", headers=bearer).status_code == 401


def test_no_secret_is_listed(client, headers):
    made = post(client, TOKENS, TOKEN, headers).json()
    listed = client.get(TOKENS, headers=headers).content.decode()
    assert made["token"].split("_", 2)[2] not in listed
    assert "hash" not in listed


def test_another_tenants_token_looks_like_none(client, headers, other_tenant):
    theirs = other_tenant.token("ingest").split("_")[1]

    for act, body in (("rotate", {"overlap_seconds": 0}), ("revoke", {})):
        answers = [
            post(client, f"{TOKENS}/{token}/{act}", body, headers) for token in (theirs, "0" * 12)
        ]
        assert {answer.status_code for answer in answers} == {404}
        assert answers[0].content == answers[1].content
    bearer = other_tenant.headers("ingest")
    assert client.post("/v1/traces", headers=bearer).status_code != 401


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        "text",
        {"role": "viewer"},
        {"role": "viewer", "case": "a b"},
        {"role": "viewer", "case": "x" * 65},
        {"role": "view\x00er", "case": "INC-1"},
        {"role": ["viewer"], "case": "INC-1"},
        {"role": "viewer", "case": "INC-1", "ends_at": "soon"},
        {"role": "viewer", "case": "INC-1", "ends_at": "0001-01-01T00:00:00Z"},
        {"role": "viewer", "case": "INC-1", "ends_at": "9999-12-31T23:59:59-12:00"},
        {"role": "examiner", "case": "INC-1"},
        {"role": "ingest", "case": "INC-1"},
        {"role": "custom:none", "case": "INC-1"},
    ],
)
def test_a_grant_of_another_form_is_400(client, account, headers, body):
    answer = post(client, roles_of(account("viewer")), body, headers)
    assert (answer.status_code, answer["Content-Type"]) == (400, "application/problem+json")


@pytest.mark.parametrize(
    "change",
    [
        {"roles": []},
        {"roles": ["root"]},
        {"roles": ["custom:none"]},
        {"regions": []},
        {"regions": ["e\x00u"]},
        {"lifetime_seconds": 0},
        {"lifetime_seconds": 367 * 86_400},
        {"lifetime_seconds": "a"},
        {"description": "x" * 201},
        {"description": "a\x00b"},
        {"roles": ["ingest", "viewer"]},
    ],
)
def test_a_token_request_of_another_form_is_refused(client, headers, change):
    assert post(client, TOKENS, TOKEN | change, headers).status_code in {400, 403}


@pytest.mark.parametrize("token", ["x", "a" * 300, "%00", "é"])
def test_an_id_that_is_none_is_404(client, headers, token):
    answer = post(client, f"{TOKENS}/{token}/revoke", {}, headers)
    assert answer.status_code == 404


@pytest.mark.parametrize("name", ["%00", "é", "a" * 300, "ingest"])
def test_a_name_of_no_role_is_refused(client, admin_everywhere, name):
    body = {"acts": ["read_headers"], "case": "INC-1"}
    changed = client.put(f"{ROLES}/{name}", body, content_type=JSON, headers=admin_everywhere)
    retired = client.delete(f"{ROLES}/{name}?case=INC-1", headers=admin_everywhere)
    assert {changed.status_code, retired.status_code} <= {400, 404}


def test_a_log_that_cannot_be_written_is_503(client, account, headers, admin_log_closed):
    user = account("viewer")
    with admin_log_closed():
        answer = give(client, user, "engineer", headers)
    assert (answer.status_code, answer.json()["code"]) == (503, "storage_unavailable")
