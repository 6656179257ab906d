"""Users of a SCIM client: what they can be, who sees them, and that whoever leaves has nothing at the next request."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

import pytest

from tests.integration.api_scim.conftest import USER, Provider
from tests.integration.ingest.sending import post

CONSOLE = "/"


def test_a_user_is_made_found_changed_and_deleted(provider):
    name = f"{uuid4().hex}@Example.org"
    made = provider.user(userName=name, externalId="4711", displayName="Anna")
    by_name = provider.ask("get", "Users", filter=f'userName eq "{name.lower()}"').json()
    by_id = provider.ask("get", "Users", filter='externalId eq "4711"').json()
    changed = provider.patch(
        f"Users/{made['id']}", {"op": "replace", "value": {"displayName": "Anna B."}}
    )
    gone = provider.ask("delete", f"Users/{made['id']}")

    assert [by_name["totalResults"], by_id["totalResults"]] == [1, 1]
    assert by_name["Resources"][0]["id"] == made["id"]
    assert changed.json()["displayName"] == "Anna B."
    assert (gone.status_code, provider.ask("get", f"Users/{made['id']}").status_code) == (204, 404)


def test_an_account_has_a_name_that_nobody_chose_and_no_password(provider, account_of):
    account = account_of(provider.user(userName="root"))

    assert account.username.startswith("scim-")
    assert not account.has_usable_password()
    assert (account.is_superuser, account.is_staff) == (False, False)


@pytest.mark.parametrize(
    "extra",
    [
        {"is_superuser": True},
        {"is_staff": True},
        {"human": str(uuid4())},
        {"public_id": str(uuid4())},
        {"id": str(uuid4())},
        {"roles": [{"value": "security_admin"}]},
        {"groups": [{"value": str(uuid4())}]},
        {"meta": {"created": "2001-01-01T00:00:00Z"}},
        {"password": "correct horse battery staple"},
        {"account": 1},
        {"client": 1},
        {"username": "admin"},
    ],
)
def test_what_no_client_may_set_is_not_set(provider, account_of, held, extra):
    made = provider.user()
    body = {"schemas": [USER], "userName": made["userName"], **extra}

    for answer in (
        provider.ask("post", "Users", body | {"userName": f"{uuid4().hex}@x.org"}),
        provider.ask("put", f"Users/{made['id']}", body),
        provider.patch(f"Users/{made['id']}", {"op": "add", "value": extra}),
    ):
        assert answer.status_code < 500
        if answer.status_code < 300:
            user = answer.json()
            account = account_of(user)
            assert not {"is_superuser", "is_staff", "roles", "password", "groups"} & set(user)
            assert (account.is_superuser, account.is_staff) == (False, False)
            assert not account.has_usable_password()
            assert str(account.human_id) != extra.get("human")
            assert user["id"] != extra.get("id")
            assert held(user) == set()


def test_two_users_of_one_name_are_refused_as_a_conflict(provider):
    made = provider.user()
    body = {"schemas": [USER], "userName": made["userName"].upper()}
    answer = provider.ask("post", "Users", body)

    assert (answer.status_code, answer.json()["scimType"]) == (409, "uniqueness")
    other = provider.user()
    answer = provider.ask("put", f"Users/{other['id']}", body)
    assert (answer.status_code, answer.json()["scimType"]) == (409, "uniqueness")


def test_a_client_sees_what_it_made_and_nothing_else(provider, other_provider, account):
    account("viewer")
    theirs = other_provider.user()

    assert provider.ask("get", "Users").json()["totalResults"] == 0
    query = f'userName eq "{theirs["userName"]}"'
    assert provider.ask("get", "Users", filter=query).json()["totalResults"] == 0
    # The name is free for this client, so a conflict tells it nothing.
    assert provider.user(userName=theirs["userName"])["id"] != theirs["id"]


@pytest.mark.parametrize("method", ["get", "put", "patch", "delete"])
def test_anothers_user_looks_like_nobody(provider, other_provider, method):
    theirs = other_provider.user()
    body = {"schemas": [USER], "userName": "x"} if method in {"put", "patch"} else None

    answers = [
        provider.ask(method, f"Users/{each}", body)
        for each in (theirs["id"], str(uuid4()), "no-id", "%00")
    ]

    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.content for answer in answers}) == 1
    assert other_provider.ask("get", f"Users/{theirs['id']}").json()["active"] is True


def test_whoever_is_switched_off_has_no_session_and_no_token_at_the_next_request(
    client, provider, gives, account_of, held, strong_headers, tenant, recorded
):
    user = provider.user()
    group = provider.group(user)
    gives(group, "viewer")
    account = account_of(user)
    headers = strong_headers(account, "viewer")
    client.force_login(account, backend="django.contrib.auth.backends.ModelBackend")
    page = f"{CONSOLE}?in={tenant.slug}.eu"
    search = "/api/v1/traces/search"
    before = (client.get(page).status_code, post(client, search, {}, headers).status_code)

    answer = provider.active(user, value=False)

    assert (before, answer.status_code) == ((200, 200), 200)
    assert post(client, search, {}, headers).status_code == 401
    assert client.get(page).status_code == 302
    assert held(user) == set()
    (said,) = recorded("role.revoked")
    assert (said["role"], said["group"]) == ("viewer", group["id"])
    assert said["actor"].startswith("scim:")
    assert user["userName"] not in str(said)


def test_whoever_comes_back_has_what_the_groups_give_and_no_old_session(
    client, provider, gives, account_of, held, recorded
):
    user = provider.user()
    gives(provider.group(user), "viewer")
    client.force_login(account_of(user), backend="django.contrib.auth.backends.ModelBackend")
    provider.active(user, value=False)

    provider.active(user, value=True)

    assert held(user) == {"viewer"}
    assert client.get(CONSOLE).status_code == 302
    assert len(recorded("role.granted")) == 2


def test_a_role_that_somebody_gave_by_hand_is_gone_too_and_does_not_come_back(
    access, provider, account_of, held, tenant, recorded
):
    user = provider.user()
    access.people.grant_role(
        username=account_of(user).username, tenant_slug=tenant.slug, region="us", role="viewer"
    )

    provider.active(user, value=False)
    provider.active(user, value=True)

    assert held(user) == set()
    assert [said["role"] for said in recorded("role.revoked", region="us")] == ["viewer"]


def test_a_deleted_user_has_nothing_and_is_the_same_human_when_it_returns(
    provider, gives, account_of, held
):
    user = provider.user()
    group = provider.group(user)
    gives(group, "viewer")
    account = account_of(user)

    provider.ask("delete", f"Users/{user['id']}")
    account.refresh_from_db()
    gone = account.is_active
    again = provider.user(userName=user["userName"])

    assert gone is False
    assert again["id"] != user["id"]
    assert account_of(again).human_id == account.human_id
    assert held(again) == set()
    assert "members" not in provider.ask("get", f"Groups/{group['id']}").json()


def test_a_missing_word_switches_nobody_on(provider, account_of):
    user = provider.user()
    provider.active(user, value=False)

    answer = provider.ask(
        "put", f"Users/{user['id']}", {"schemas": [USER], "userName": user["userName"]}
    )

    assert answer.json()["active"] is False
    assert not account_of(user).is_active


def test_a_user_who_is_made_inactive_has_nothing(provider, gives, held, account_of):
    user = provider.user(active=False)
    gives(provider.group(user), "viewer")

    assert (held(user), account_of(user).is_active) == (set(), False)


def test_leaving_waits_for_no_log_and_is_recorded_when_it_can_be(
    provider, gives, account_of, held, recorded, admin_log_closed
):
    user = provider.user()
    gives(provider.group(user), "viewer")

    with admin_log_closed():
        refused = provider.active(user, value=False)

    assert (refused.status_code, int(refused["Retry-After"]) > 0) == (503, True)
    assert (account_of(user).is_active, held(user)) == (False, set())
    assert recorded("role.revoked") == []
    assert provider.active(user, value=False).status_code == 200
    assert len(recorded("role.revoked")) == 1


def test_a_return_that_cannot_be_recorded_does_not_come(
    provider, gives, account_of, admin_log_closed
):
    user = provider.user()
    gives(provider.group(user), "viewer")
    provider.active(user, value=False)

    with admin_log_closed():
        assert provider.active(user, value=True).status_code == 503

    assert not account_of(user).is_active


def test_a_return_that_would_be_too_much_does_not_come(
    access, provider, gives, account, account_of
):
    user = provider.user()
    gives(provider.group(user), "auditor")
    provider.active(user, value=False)
    access.linking.link_accounts(one=account("investigator"), other=account_of(user), case="INC-1")

    answer = provider.active(user, value=True)

    assert (answer.status_code, answer.json()["scimType"]) == (400, "invalidValue")
    assert not account_of(user).is_active


def test_a_crash_after_switching_off_leaves_an_account_that_can_do_nothing(
    provider, gives, account_of, held, scim_modules, recorded, monkeypatch
):
    user = provider.user()
    gives(provider.group(user), "viewer")

    def crash(*_args, **_kwargs):
        raise SystemError

    monkeypatch.setattr(scim_modules.users, "record_given", crash)
    assert provider.active(user, value=False).status_code == 503

    assert (account_of(user).is_active, held(user)) == (False, set())
    monkeypatch.undo()
    assert provider.ask("delete", f"Users/{user['id']}").status_code == 204
    assert len(recorded("role.revoked")) == 1


def test_a_page_of_users(provider):
    names = [provider.user()["userName"] for _ in range(3)]
    page = provider.ask("get", "Users", startIndex="2", count="1").json()
    assert (page["totalResults"], page["itemsPerPage"]) == (3, 1)
    assert page["Resources"][0]["userName"] == names[1]
    assert provider.ask("get", "Users", count="0").json().get("Resources", []) == []


def test_no_name_of_staff_is_in_a_log_line(provider, gives, recorded, capfd):
    user = provider.user(displayName="Anna Canary-19c")
    gives(provider.group(user), "viewer")
    provider.ask("get", "Users", filter=f'userName eq "{user["userName"]}"')
    provider.ask("get", "Users", filter=f'userName zz "{user["userName"]}"')
    provider.ask("post", "Users", {"schemas": [USER], "userName": user["userName"]})
    provider.active(user, value=False)

    out, err = capfd.readouterr()
    for name in (user["userName"], "Canary"):
        assert name not in out + err
        assert name not in str(recorded("role.granted") + recorded("role.revoked"))


def test_only_a_live_scim_token_opens_it(client, provider, tenant, scim_modules):
    public_id = provider.token.split("_")[1]
    tokens = [
        "",
        "avs_",
        f"avs_{public_id}_",
        f"avs_{public_id}_wrong",
        provider.token + "x",
        provider.token.replace("avs_", "av_"),
        tenant.token("security_admin"),
        "avs_" + "\x00" * 12 + "_x",
    ]
    answers = [
        Provider(client, token).ask("get", "Users") for token in tokens if "\x00" not in token
    ]
    assert {answer.status_code for answer in answers} == {401}
    # Sending no token at all says how; every wrong token looks alike.
    assert len({answer.content for answer in answers[1:]}) == 1
    assert {answer["WWW-Authenticate"] for answer in answers} == {"Bearer"}
    headers = {"Authorization": f"Bearer {provider.token}"}
    assert client.get("/api/v1/logs", headers=headers).status_code == 401


def test_a_secret_is_rotated_with_an_overlap_revoked_and_recorded(
    client, provider, scim_modules, recorded
):
    public_id, now = provider.token.split("_")[1], datetime.now(UTC)
    from datetime import timedelta

    new = scim_modules.clients.rotate_client(
        public_id=public_id, lifetime=timedelta(days=1), overlap=timedelta(hours=1), now=now
    )
    both = [
        Provider(client, token).ask("get", "Users").status_code for token in (provider.token, new)
    ]
    scim_modules.clients.revoke_client(public_id=public_id, now=datetime.now(UTC))
    none = [
        Provider(client, token).ask("get", "Users").status_code for token in (provider.token, new)
    ]

    assert (both, none) == ([200, 200], [401, 401])
    for kind in ("created", "rotated", "revoked"):
        assert recorded(f"scim_client.{kind}", region="us")[0]["client"] == f"scim:{public_id}"
    assert new.split("_", 2)[2] not in str(recorded("scim_client.rotated"))


DEEP = b'{"schemas":' + b"[" * 50_000 + b"]" * 50_000 + b"}"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff",
        b"null",
        b"[]",
        b"5",
        b'"text"',
        b"{}",
        DEEP,
        b'{"schemas": null}',
        b'{"schemas": ["urn:x"], "userName": "a"}',
        b'{"schemas": ["%s"]}' % USER.encode(),
        b'{"schemas": ["%s"], "userName": ""}' % USER.encode(),
        b'{"schemas": ["%s"], "userName": null}' % USER.encode(),
        b'{"schemas": ["%s"], "userName": 5}' % USER.encode(),
        b'{"schemas": ["%s"], "userName": ["a"]}' % USER.encode(),
        b'{"schemas": ["%s"], "userName": "a\\u0000b"}' % USER.encode(),
        b'{"schemas": ["%s"], "userName": "\\ud800"}' % USER.encode(),
        b'{"schemas": ["%s"], "userName": "%s"}' % (USER.encode(), b"a" * 255),
        b'{"schemas": ["%s"], "userName": "a", "emails": "a@b.org"}' % USER.encode(),
        b'{"schemas": ["%s"], "userName": "a", "emails": [{"value": "no address"}]}'
        % USER.encode(),
        b'{"schemas": ["%s"], "userName": "a", "active": "perhaps"}' % USER.encode(),
        b'{"schemas": ["%s"], "userName": "a", "active": NaN}' % USER.encode(),
        b'{"schemas": ["%s"], "userName": "a", "name": 5}' % USER.encode(),
        b'{"schemas": ["%s"], "userName": "a", "displayName": "%s"}' % (USER.encode(), b"x" * 300),
    ],
)
def test_a_body_of_another_form_is_400(provider, body):
    made = provider.user()
    for answer in (
        provider.ask("post", "Users", body),
        provider.ask("put", f"Users/{made['id']}", body),
    ):
        assert answer.status_code in ({400, 415} if body == b"" else {400})
        assert answer["Content-Type"] == "application/scim+json"
        assert answer.json()["schemas"] == ["urn:ietf:params:scim:api:messages:2.0:Error"]


@pytest.mark.parametrize(
    "operations",
    [
        None,
        [],
        [{}],
        [{"op": "explode"}],
        [{"op": "replace"}],
        [{"op": "replace", "path": "userName"}],
        [{"op": "replace", "path": "userName", "value": ""}],
        [{"op": "remove", "path": "userName"}],
        [{"op": "replace", "path": "active", "value": "perhaps"}],
        [{"op": "replace", "path": "[[[", "value": "x"}],
        [{"op": "replace", "path": 'emails[type eq "', "value": "x"}],
        [{"op": "replace", "path": "groups", "value": [{"value": "x"}]}],
        [{"op": "replace", "path": "id", "value": "x"}],
        [{"op": "replace", "path": "displayName", "value": "x" * 300}],
        [{"op": "add", "value": {"userName": ["a"]}}],
    ],
)
def test_a_patch_of_another_form_changes_nothing(provider, operations):
    made = provider.user()
    body = {"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": operations}
    answer = provider.ask("patch", f"Users/{made['id']}", body)

    assert 200 <= answer.status_code < 500
    now = provider.ask("get", f"Users/{made['id']}").json()
    ignored = {"meta"}
    assert {k: v for k, v in now.items() if k not in ignored} == {
        k: v for k, v in made.items() if k not in ignored
    }


@pytest.mark.parametrize(
    "query",
    [
        {"filter": ""},
        {"filter": "x"},
        {"filter": 'userName eq "a'},
        {"filter": 'userName co "a"'},
        {"filter": 'userName eq "a" or userName pr'},
        {"filter": 'emails[type eq "work"]'},
        {"filter": "(" * 5000},
        {"filter": 'userName eq "\x00"'},
        {"filter": "userName eq 5"},
        {"startIndex": "x"},
        {"startIndex": str(2**70)},
        {"count": str(2**70)},
        {"count": "-1"},
        {"attributes": "[["},
        {"attributes": "userName", "excludedAttributes": "emails"},
        {"attributes": "password,is_superuser"},
    ],
)
def test_a_query_of_another_form_is_no_failure(provider, query):
    provider.user()
    assert provider.ask("get", "Users", **query).status_code in {200, 400}


def test_other_media_types_methods_and_sizes_are_refused(client, provider):
    headers = {"Authorization": f"Bearer {provider.token}"}
    big = client.post(
        "/scim/v2/Users",
        b'{"x":"' + b"x" * 2**20 + b'"}',
        content_type="application/json",
        headers=headers,
    )
    form = client.post("/scim/v2/Users", {"userName": "a"}, headers=headers)
    statuses = [big.status_code, form.status_code]
    statuses += [client.delete("/scim/v2/Users", headers=headers).status_code]
    statuses += [provider.ask("post", ".search", {}).status_code]
    statuses += [provider.ask("get", "Nothing/here").status_code]
    assert statuses == [413, 415, 405, 501, 404]
