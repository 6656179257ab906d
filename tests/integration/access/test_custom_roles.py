"""A tenant's own roles are under the rules of every role: when made, changed, given, and acted under."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from auditvault.core.policy.roles import AccessDeniedError, Act, CustomRole, RoleDefinitionError
from auditvault.core.policy.separation import SeparationError
from tests.integration.access.meeting import together
from tests.integration.ingest.sending import post
from tests.integration.ledger.superuser import superuser

NOW = datetime.now(UTC)


@pytest.fixture
def define(access, tenant):
    """Makes a role of the tenant's as the operator."""

    def make(*acts, name="helper", of=tenant):
        return access.custom_roles.define_role(
            giver=access.granting.OPERATOR,
            tenant_id=of.tenant_id,
            name=name,
            acts=acts,
            case="INC-1",
        )

    return make


@pytest.fixture
def change(access, tenant):
    def alter(*acts, name="helper", giver=None, held=()):
        return access.custom_roles.change_role(
            giver=giver or access.granting.OPERATOR,
            held=held,
            tenant_id=tenant.tenant_id,
            name=name,
            acts=acts,
            case="INC-2",
        )

    return alter


def held(access, user):
    return {role for place in access.people.places_of(user) for role in place.roles}


def test_a_role_of_ones_own_allows_what_it_says_and_no_more(define, account, credential_of):
    made = define("read_headers", "place_hold")
    credential = credential_of(account("custom:helper"))

    assert credential.role_for(Act.PLACE_HOLD) == made
    with pytest.raises(AccessDeniedError):
        credential.role_for(Act.RESOLVE_REDACTED)


def test_its_making_is_in_the_log_of_every_region(define, recorded):
    define("read_headers")

    for region in ("eu", "us"):
        assert recorded("role.defined", region=region) == [
            {
                "actor": "operator:cli",
                "role": "custom:helper",
                "acts": ["read_headers"],
                "case": "INC-1",
            }
        ]


def test_a_record_names_it(client, define, account, cluster, tenant, strong_headers):
    define("read_headers", "resolve_full")
    headers = strong_headers(account("custom:helper"), "custom:helper")

    assert post(client, "/api/v1/traces/search", {}, headers).status_code == 200

    with superuser(cluster, "region_eu") as connection:
        roles = connection.execute(
            "SELECT actor_role FROM access_event WHERE tenant_id = %s", (tenant.tenant_id,)
        ).fetchall()
    assert ("custom:helper",) in roles


@pytest.mark.parametrize(
    ("name", "acts"),
    [
        ("", ["read_headers"]),
        ("a", ["read_headers"]),
        ("Helper", ["read_headers"]),
        ("a" * 25, ["read_headers"]),
        ("auditor", ["read_headers"]),
        ("a:b", ["read_headers"]),
        ("helper", []),
        ("helper", ["append"]),
        ("helper", ["append", "read_headers"]),
        ("helper", ["everything"]),
    ],
)
def test_what_is_no_role_is_not_made(access, define, tenant, name, acts):
    with pytest.raises(RoleDefinitionError):
        define(*acts, name=name)
    assert access.custom_roles.definitions(tenant.tenant_id) == []


def test_a_role_that_breaks_a_rule_by_itself_is_not_made(access, define, tenant):
    with pytest.raises(SeparationError):
        define("resolve_full", "approve_grant")
    assert access.custom_roles.definitions(tenant.tenant_id) == []


def test_a_name_is_never_used_again(access, define, tenant):
    define("read_headers")
    access.custom_roles.retire_role(
        giver=access.granting.OPERATOR,
        tenant_id=tenant.tenant_id,
        name="helper",
        case="INC-3",
        now=NOW,
    )

    with pytest.raises(access.custom_roles.RoleExistsError):
        define("read_headers")


def test_it_is_not_given_to_whom_it_would_be_too_much_for(define, account):
    define("approve_grant")

    with pytest.raises(SeparationError):
        account("investigator", "custom:helper")


def test_a_change_counts_at_once(define, change, account, credential_of, recorded):
    define("read_headers")
    user = account("custom:helper")

    change("read_headers", "place_hold")

    assert credential_of(user).role_for(Act.PLACE_HOLD).value == "custom:helper"
    assert recorded("role.changed")[-1]["acts"] == ["place_hold", "read_headers"]


def test_a_change_that_would_be_too_much_for_a_holder_does_not_come(
    access, define, change, account
):
    define("read_headers")
    user = account("investigator", "custom:helper")

    with pytest.raises(SeparationError):
        change("read_headers", "approve_grant")
    assert CustomRole("helper", frozenset({Act.READ_HEADERS})) in held(access, user)


def test_a_change_is_checked_against_a_holders_other_accounts_and_those_switched_off(
    access, define, change, account
):
    define("read_headers")
    user = account("custom:helper")
    other = account("investigator", of=user)
    access.models.User.objects.filter(pk=other.pk).update(is_active=False)

    with pytest.raises(SeparationError):
        change("approve_grant")


def test_a_change_is_checked_against_holders_by_a_group(define, change, account, access, tenant):
    from django.contrib.auth.models import Group
    from guardian.models import GroupObjectPermission

    define("read_headers")
    group = Group.objects.create(name=f"g-{tenant.slug}")
    GroupObjectPermission.objects.assign_perm(
        access.granting.permission_of(tenant.tenant_id, "custom:helper"),
        group,
        access.granting.place_in(tenant.tenant_id, "us"),
    )
    account("investigator").groups.add(group)

    with pytest.raises(SeparationError):
        change("approve_grant")


def test_a_change_is_checked_against_machines_that_hold_it(define, change, tenant):
    define("read_headers")
    tenant.token("investigator", "custom:helper")

    with pytest.raises(SeparationError):
        change("approve_grant")


def test_who_gives_roles_gets_no_content_by_changing_a_machines_role(
    access, define, change, account, credential_of, tenant
):
    define("read_headers")
    tenant.token("custom:helper")
    credential = credential_of(account("security_admin"))

    with pytest.raises(SeparationError):
        change("resolve_redacted", held=credential.held)


def test_nobody_changes_a_role_of_their_own(access, define, change, account, credential_of):
    define("read_receipt")
    admin = account("security_admin")
    account("custom:helper", of=admin)
    giver = access.granting.giver_in(credential_of(admin), "eu", NOW)

    with pytest.raises(access.granting.OwnRoleError):
        change("read_headers", giver=giver)


def test_who_gives_roles_in_one_region_makes_none_for_all(access, account, credential_of):
    user = account("security_admin")
    with pytest.raises(AccessDeniedError):
        access.custom_roles.giver_everywhere(credential_of(user), NOW)


def test_who_gives_roles_in_every_region_makes_one(access, account, credential_of, tenant):
    user = account("security_admin")
    access.people.grant_role(
        username=user.username, tenant_slug=tenant.slug, region="us", role="security_admin"
    )
    giver = access.custom_roles.giver_everywhere(credential_of(user), NOW)
    assert giver.human == user.human_id


def test_another_tenants_role_of_the_same_name_is_another(
    define, account, credential_of, other_tenant
):
    define("place_hold")
    define("read_headers", of=other_tenant)
    stranger = account("custom:helper", place=other_tenant)

    with pytest.raises(AccessDeniedError):
        credential_of(stranger, place=other_tenant).role_for(Act.PLACE_HOLD)


def test_a_permission_of_another_tenants_role_counts_for_nothing(
    access, define, account, other_tenant, tenant
):
    from guardian.models import UserObjectPermission

    define("read_headers")
    user = account()
    UserObjectPermission.objects.assign_perm(
        access.granting.permission_of(tenant.tenant_id, "custom:helper"),
        user,
        access.granting.place_in(other_tenant.tenant_id, "eu"),
    )

    assert access.people.places_of(user) == []


def test_a_retired_role_counts_for_nothing_for_people_and_tokens(access, define, account, tenant):
    define("read_headers")
    user, token = account("custom:helper"), tenant.token("custom:helper")

    access.custom_roles.retire_role(
        giver=access.granting.OPERATOR,
        tenant_id=tenant.tenant_id,
        name="helper",
        case="INC-3",
        now=NOW,
    )

    assert held(access, user) == set()
    assert access.tokens.authenticate(token, now=NOW).roles == frozenset()
    with pytest.raises(access.granting.RoleUnknownError):
        account("custom:helper")


def test_a_change_and_a_grant_at_once_do_not_meet(access, define, change, account, tenant):
    define("read_headers")
    user = account("custom:helper")

    def grant():
        access.people.grant_role(
            username=user.username, tenant_slug=tenant.slug, region="eu", role="investigator"
        )

    results = together(grant, lambda: change("approve_grant"))

    assert len([found for found in results if isinstance(found, SeparationError)]) == 1


def test_a_change_that_cannot_be_recorded_does_not_come(
    access, define, change, account, admin_log_closed
):
    define("read_headers")
    user = account("custom:helper")

    with admin_log_closed("us"), pytest.raises(Exception, match="permission denied"):
        change("place_hold")

    assert held(access, user) == {CustomRole("helper", frozenset({Act.READ_HEADERS}))}


def test_a_crash_after_the_entries_leaves_the_role_as_it_was(
    access, define, change, account, recorded, monkeypatch
):
    define("read_headers")
    user = account("custom:helper")

    def crash(*_args, **_kwargs):
        raise SystemError

    monkeypatch.setattr(access.custom_roles.CustomRoleRow, "save", crash)
    with pytest.raises(SystemError):
        change("place_hold")

    assert held(access, user) == {CustomRole("helper", frozenset({Act.READ_HEADERS}))}
    assert len(recorded("role.changed")) == 1
    monkeypatch.undo()
    change("place_hold")
    assert held(access, user) == {CustomRole("helper", frozenset({Act.PLACE_HOLD}))}


def test_a_token_of_several_roles_of_ones_own_has_them(access, define, tenant):
    define("read_headers")
    define("place_hold", name="holder")
    token = tenant.token("custom:helper", "custom:holder", "viewer")

    found = access.tokens.authenticate(token, now=NOW + timedelta(minutes=1))

    assert sorted(role.value for role in found.roles) == [
        "custom:helper",
        "custom:holder",
        "viewer",
    ]
