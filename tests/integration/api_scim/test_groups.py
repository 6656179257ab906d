"""Groups of a SCIM client: what they give is the operator's to say, and never too much for one."""

from __future__ import annotations

from uuid import uuid4

import pytest

from auditvault.core.policy.separation import SeparationError
from tests.integration.access.meeting import together
from tests.integration.api_scim.conftest import GROUP


def test_a_member_has_what_the_group_gives_from_joining_to_leaving(
    provider, gives, held, recorded, account_of
):
    user, group = provider.user(), provider.group()
    gives(group, "viewer")

    joined = provider.join(group, user)
    between = held(user)
    left = provider.leave(group, user)

    assert (joined.status_code, left.status_code) == (200, 200)
    assert (between, held(user)) == ({"viewer"}, set())
    (given,), (taken,) = recorded("role.granted"), recorded("role.revoked")
    assert given == {
        "actor": f"scim:{provider.token.split('_')[1]}",
        "account": f"user:{account_of(user).public_id.hex}",
        "role": "viewer",
        "group": group["id"],
    }
    assert taken == given


def test_a_group_gives_nothing_by_its_name(provider, held):
    user = provider.user()
    provider.group(user, displayName="security_admin")
    assert held(user) == set()


def test_a_mapping_counts_at_once_for_all_members_and_is_recorded(
    provider, gives, held, recorded, scim_modules, tenant
):
    users = [provider.user() for _ in range(2)]
    group = provider.group(*users)

    assert gives(group, "viewer") is True
    assert gives(group, "viewer") is False
    between = [held(user) for user in users]
    from uuid import UUID

    scim_modules.rights.unmap_group(
        tenant_id=tenant.tenant_id,
        group=UUID(group["id"]),
        region="eu",
        role="viewer",
        case="INC-2",
    )

    assert between == [{"viewer"}, {"viewer"}]
    assert [held(user) for user in users] == [set(), set()]
    assert [len(recorded(f"role.{kind}")) for kind in ("granted", "revoked")] == [2, 2]
    assert recorded("scim_group.mapped")[0]["group"] == group["id"]
    assert recorded("scim_group.unmapped")[0]["case"] == "INC-2"


def test_a_membership_that_would_be_too_much_is_refused_whole(provider, gives, held, recorded):
    fine, auditor = provider.user(), provider.user()
    auditors, investigators = provider.group(auditor), provider.group()
    gives(auditors, "auditor")
    gives(investigators, "investigator")

    answer = provider.join(investigators, fine, auditor)

    assert (answer.status_code, answer.json()["scimType"]) == (400, "invalidValue")
    assert (held(fine), held(auditor)) == (set(), {"auditor"})
    assert "members" not in provider.ask("get", f"Groups/{investigators['id']}").json()
    assert [said["role"] for said in recorded("role.granted")] == ["auditor"]


def test_a_mapping_that_would_be_too_much_for_a_member_is_refused(provider, gives, held):
    user = provider.user()
    gives(provider.group(user), "auditor")
    with pytest.raises(SeparationError):
        gives(provider.group(user), "investigator")
    assert held(user) == {"auditor"}


def test_a_membership_counts_with_the_humans_other_accounts(
    access, provider, gives, account, account_of
):
    user, group = provider.user(), provider.group()
    gives(group, "investigator")
    access.linking.link_accounts(one=account("auditor"), other=account_of(user), case="INC-1")
    assert provider.join(group, user).status_code == 400


def test_a_role_that_has_to_end_is_given_by_no_group(access, provider, gives):
    with pytest.raises(access.granting.RoleEndError):
        gives(provider.group(), "examiner")


def test_a_group_gives_a_tenants_own_role(access, provider, gives, held, tenant):
    access.custom_roles.define_role(
        giver=access.granting.OPERATOR,
        tenant_id=tenant.tenant_id,
        name="helper",
        acts=["read_headers"],
        case="INC-1",
    )
    user, group = provider.user(), provider.group()
    gives(group, "custom:helper")
    provider.join(group, user)
    assert held(user) == {"custom:helper"}


def test_a_group_of_another_tenant_is_not_mapped(scim_modules, provider, other_tenant):
    from uuid import UUID

    with pytest.raises(scim_modules.rights.GroupUnknownError):
        scim_modules.rights.map_group(
            tenant_id=other_tenant.tenant_id,
            group=UUID(provider.group()["id"]),
            region="eu",
            role="viewer",
            case="INC-1",
        )


def test_a_deleted_group_gives_nothing(provider, gives, held, recorded):
    user = provider.user()
    group = provider.group(user)
    gives(group, "viewer")

    assert provider.ask("delete", f"Groups/{group['id']}").status_code == 204
    assert provider.ask("get", f"Groups/{group['id']}").status_code == 404
    assert held(user) == set()
    assert len(recorded("role.revoked")) == 1


def test_a_replaced_group_has_the_members_that_are_named(provider, gives, held):
    old, new = provider.user(), provider.user()
    group = provider.group(old)
    gives(group, "viewer")
    body = {"schemas": [GROUP], "displayName": "x", "members": [{"value": new["id"]}]}

    assert provider.ask("put", f"Groups/{group['id']}", body).status_code == 200
    assert (held(old), held(new)) == (set(), {"viewer"})


def test_an_inactive_member_has_nothing_until_it_is_switched_on(provider, gives, held):
    user = provider.user(active=False)
    group = provider.group()
    gives(group, "viewer")
    provider.join(group, user)
    before = held(user)

    provider.active(user, value=True)

    assert (before, held(user)) == (set(), {"viewer"})


def test_a_user_of_another_client_is_no_member(provider, other_provider):
    group, theirs = provider.group(), other_provider.user()
    for value in (theirs["id"], str(uuid4()), "no-id", ""):
        answer = provider.join(group, {"id": value})
        assert (answer.status_code, answer.json()["scimType"]) == (400, "invalidValue")


@pytest.mark.parametrize("method", ["get", "put", "delete"])
def test_anothers_group_looks_like_none(provider, other_provider, method):
    theirs = other_provider.group()
    body = {"schemas": [GROUP], "displayName": "x"} if method == "put" else None
    answers = [
        provider.ask(method, f"Groups/{each}", body) for each in (theirs["id"], uuid4(), "x")
    ]

    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.content for answer in answers}) == 1
    assert provider.ask("get", "Groups").json()["totalResults"] == 0


def test_a_membership_that_cannot_be_recorded_does_not_come(
    provider, gives, held, admin_log_closed
):
    user, group = provider.user(), provider.group()
    gives(group, "viewer")
    with admin_log_closed():
        assert provider.join(group, user).status_code == 503
    assert held(user) == set()


def test_a_crash_after_the_entry_leaves_no_membership(
    provider, gives, held, recorded, scim_modules, monkeypatch
):
    user, group = provider.user(), provider.group()
    gives(group, "viewer")

    def crash(*_args, **_kwargs):
        raise SystemError

    monkeypatch.setattr(scim_modules.groups, "_put", crash)
    assert provider.join(group, user).status_code == 503
    assert (held(user), len(recorded("role.granted"))) == (set(), 1)
    monkeypatch.undo()
    provider.join(group, user)
    assert held(user) == {"viewer"}


def test_two_memberships_at_once_that_must_not_meet_do_not(provider, gives, held):
    user = provider.user()
    groups = [provider.group(), provider.group()]
    gives(groups[0], "auditor")
    gives(groups[1], "investigator")

    answers = together(*(lambda group=group: provider.join(group, user) for group in groups))

    assert sorted(answer.status_code for answer in answers) == [200, 400]
    assert len(held(user)) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b'{"schemas": ["%s"]}' % GROUP.encode(),
        b'{"schemas": ["%s"], "displayName": ""}' % GROUP.encode(),
        b'{"schemas": ["%s"], "displayName": "x", "members": "all"}' % GROUP.encode(),
        b'{"schemas": ["%s"], "displayName": "x", "members": [{"value": 5}]}' % GROUP.encode(),
        b'{"schemas": ["%s"], "displayName": "x", "members": [{}]}' % GROUP.encode(),
        b'{"schemas": ["%s"], "displayName": "%s"}' % (GROUP.encode(), b"x" * 255),
    ],
)
def test_a_group_of_another_form_is_400(provider, body):
    assert provider.ask("post", "Groups", body).status_code == 400
