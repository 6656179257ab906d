"""Reports about rights say what stands in the control database, one right a row."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.integration.evidence_reports.conftest import actor_of, token_id

NOW = datetime.now(UTC)


def token_of(tenant, user, *roles, **fields):
    """A person's token, with columns as given."""
    from auditvault.access.models import ApiToken
    from auditvault.access.tokens import create_token

    token = create_token(
        tenant_slug=tenant.slug,
        regions=["eu"],
        roles=roles,
        lifetime=timedelta(hours=1),
        now=NOW,
        human=user.human_id,
    )
    ApiToken.objects.filter(public_id=token.split("_")[1]).update(**fields or {"description": ""})
    return token_id(token)


def switch_off(user):
    type(user).objects.filter(pk=user.pk).update(is_active=False)


def test_who_can_see_content_is_listed_with_what_lets_them(tenant, report, account, cluster):
    from django.contrib.auth.models import Group
    from guardian.shortcuts import assign_perm

    from auditvault.access.models import TenantRegion

    investigator, engineer, gone = (
        account("investigator"),
        account("engineer"),
        account("investigator"),
    )
    account("auditor")
    switch_off(gone)
    member = account()
    group = Group.objects.create(name=f"on-call-{tenant.slug}")
    member.groups.add(group)
    assign_perm(
        "access.investigator",
        group,
        TenantRegion.objects.get(tenant__slug=tenant.slug, region="eu"),
    )
    own = token_of(tenant, investigator, "investigator")
    machine = token_id(tenant.token("engineer"))
    token_id(tenant.token("investigator", regions=("us",)))

    found = {
        (row["actor"], row["role"], row["representation"], row["through"], row["given_by"])
        for row in report("content_access")
    }

    assert found == {
        (actor_of(investigator), "investigator", "full", "account", "operator:cli"),
        (actor_of(engineer), "engineer", "redacted", "account", "operator:cli"),
        (actor_of(member), "investigator", "full", f"group {group.name}", "operator:cli"),
        (own, "investigator", "full", "token", "operator:cli"),
        (machine, "engineer", "redacted", "token", "operator:cli"),
    }


def test_a_right_that_the_log_knows_of_says_who_gave_it_when_and_for_which_case(
    tenant, report, account
):
    from auditvault.ledger.admin.services import admin_log, new_record_id, record_in
    from auditvault.ledger.scope import tenant_scope

    person = account("investigator")
    giver = f"user:{'a' * 32}"
    log = admin_log("eu", tenant.tenant_id)
    for case in ("INC-1", "INC-2"):
        with tenant_scope("region_eu", tenant.tenant_id) as connection:
            record_in(
                connection,
                log,
                record_id=new_record_id(connection),
                action="role.granted",
                details={
                    "actor": giver,
                    "account": actor_of(person),
                    "role": "investigator",
                    "case": case,
                },
            )

    (row,) = report("content_access")

    assert (row["given_by"], row["case"]) == (giver, "INC-2")
    assert abs(datetime.fromisoformat(row["held_since"]) - datetime.now(UTC)) < timedelta(minutes=1)


def test_who_could_but_has_conflicting_rights_is_listed_as_blocked(report, account):
    investigator, auditor = account("investigator"), account("auditor")
    type(auditor).objects.filter(pk=auditor.pk).update(human=investigator.human)

    (row,) = report("content_access")

    assert row["blocked_by"] == "auditor_sees_content"


def test_a_right_that_was_used_lately_is_not_dormant(tenant, report, account, act):
    from guardian.shortcuts import assign_perm

    from auditvault.access.models import TenantRegion

    used, unused, long_ago, new = account("viewer"), account(), account("viewer"), account("viewer")
    # By hand: nobody knows since when.
    place = TenantRegion.objects.get(tenant__slug=tenant.slug, region="eu")
    assign_perm("access.viewer", unused, place)
    act("search", actor=actor_of(used), role="viewer", days_ago=29)
    act("search", actor=actor_of(long_ago), role="viewer", days_ago=31)
    act("search", actor=actor_of(unused), role="engineer", days_ago=1)

    found = {row["actor"]: row["days_unused"] for row in report("dormant_rights")}

    assert {actor: days for actor, days in found.items() if actor.startswith("user:")} == {
        actor_of(unused): None,
        actor_of(long_ago): 31,
    }
    assert actor_of(new) not in found
    assert actor_of(used) in {
        row["actor"] for row in report("dormant_rights", filters={"days": 28})
    }


def test_a_right_whose_use_the_access_log_does_not_show_is_dormant_without_a_sign_in(
    report, account
):
    there, away = account("key_custodian"), account("key_custodian")
    type(there).objects.filter(pk=there.pk).update(last_login=NOW)
    type(away).objects.filter(pk=away.pk).update(last_login=NOW - timedelta(days=40))

    found = {row["actor"] for row in report("dormant_rights") if row["role"] == "key_custodian"}

    assert found == {actor_of(away)}


def test_leavers_are_accounts_that_are_off_and_tokens_of_people_who_are(tenant, report, account):
    from guardian.models import UserObjectPermission

    here, gone, lost = account("viewer"), account("viewer"), account("viewer")
    token_of(tenant, here, "viewer")
    left = token_of(tenant, gone, "viewer")
    without = token_of(tenant, lost, "viewer")
    switch_off(gone)
    UserObjectPermission.objects.filter(user=lost).delete()

    found = {(row["actor"], row["why"]) for row in report("leavers")}

    assert found == {
        (actor_of(gone), "the account is switched off"),
        (left, "the person has no active account"),
        (without, "the person lost the role"),
    }


def test_conflicts_are_of_the_human_over_all_accounts_and_tokens(tenant, report, account):
    from auditvault.access.models import ApiToken

    first, second = account("investigator"), account("viewer")
    machine = tenant.token("auditor")
    ApiToken.objects.filter(public_id=machine.split("_")[1]).update(human=first.human)
    account("auditor", of=None)
    third = account("auditor")
    type(third).objects.filter(pk=third.pk).update(human=first.human)

    found = report("conflicting_rights", headers=tenant.headers("examiner"))

    assert [(row["human"], row["rule"]) for row in found] == [
        (str(first.human_id), "auditor_sees_content")
    ]
    assert set(found[0]["actors"].split()) >= {actor_of(first), actor_of(third)}
    assert second.username not in found[0]["usernames"]


def test_a_token_that_is_over_and_was_not_revoked_is_reported(tenant, report, account):
    person = account("viewer")
    over = token_of(tenant, person, "viewer", expires_at=NOW - timedelta(days=1))
    token_of(tenant, person, "viewer", expires_at=NOW - timedelta(days=1), revoked_at=NOW)

    assert [row["actor"] for row in report("expired_rights")] == [over]


@pytest.mark.parametrize(
    "name",
    ["content_access", "dormant_rights", "leavers", "conflicting_rights", "expired_rights"],
)
def test_no_right_on_another_tenant_is_reported(report, account, other_tenant, name):
    person = account("investigator", "engineer", at=other_tenant)
    switched = account("investigator", at=other_tenant)
    switch_off(switched)

    found = {row.get("actor") for row in report(name)}

    assert actor_of(person) not in found
    assert actor_of(switched) not in found


@pytest.mark.parametrize("role", ["auditor", "examiner", "security_admin"])
def test_who_audits_and_who_gives_roles_may_see_who_has_rights(report, role):
    assert report("leavers", role=role) == []


def test_live_grants_are_listed_where_they_let_somebody_see_content(tenant, report, client):
    from tests.staff import live_grant, make_person

    investigator, officer = (
        make_person(tenant, "investigator"),
        make_person(tenant, "privacy_officer"),
    )
    engineer = make_person(tenant, "engineer")
    live_grant(investigator, officer, case="INC-7")

    found = {row["actor"]: row["live_grants"] for row in report("content_access")}

    ((grant,), nothing) = found[actor_of(investigator.user)], found[actor_of(engineer.user)]
    assert (grant["case"], grant["approver"], nothing) == ("INC-7", actor_of(officer.user), [])


def test_grants_are_listed_with_who_gave_them_and_what_was_seen(tenant, report, client):
    from auditvault.access.grants.services import revoke
    from tests.integration.ingest.sending import chat, record
    from tests.integration.vault.looking import resolve
    from tests.staff import live_grant, make_person

    record(client, tenant, chat("a secret"))
    resolve(client, tenant, "a secret")
    investigator, officer = (
        make_person(tenant, "investigator"),
        make_person(tenant, "privacy_officer"),
    )
    grant_id = live_grant(investigator, officer, case="INC-7")
    revoke(
        credential=officer.signed_in(),
        region="eu",
        grant_id=grant_id,
        now=datetime.now(UTC),
    )

    one, other = report("grants")

    assert (one["grant"], one["case"], one["live"]) == (str(grant_id), "INC-7", False)
    assert (one["username"], one["approver_username"]) == (
        investigator.user.username,
        officer.user.username,
    )
    assert one["revoked_by"] == actor_of(officer.user)
    assert {"recorded_from", "recorded_before"} <= set(one["scope"])
    assert (other["case"], other["contents_seen"], other["live"]) == ("INC-1", 1, True)
    assert [row["case"] for row in report("grants", filters={"case": "INC-7"})] == ["INC-7"]


def test_a_role_that_has_ended_lets_nobody_see_and_is_reported_as_over(tenant, report, account):
    from guardian.models import UserObjectPermission

    from auditvault.access.rights.models import RoleEnd

    person = account("investigator")
    held = UserObjectPermission.objects.get(user=person)
    RoleEnd.objects.create(held=held, ends_at=NOW - timedelta(seconds=1))

    assert report("content_access") == []
    assert [(row["actor"], row["role"]) for row in report("expired_rights")] == [
        (actor_of(person), "investigator")
    ]


def test_a_tenants_own_role_counts_by_what_it_allows(tenant, report):
    from auditvault.core.policy.roles import Act
    from tests.staff import make_person

    admin, person = make_person(tenant, "security_admin"), make_person(tenant)
    make_own_role(tenant, "helper", Act.RESOLVE_REDACTED)
    give(tenant, admin, person, "custom:helper")

    (row,) = report("content_access")

    assert (row["actor"], row["role"], row["representation"]) == (
        actor_of(person.user),
        "custom:helper",
        "redacted",
    )
    assert row["given_by"] == actor_of(admin.user)


def make_own_role(tenant, name, *acts):
    from auditvault.access.custom_roles.services import define_role
    from auditvault.access.granting import OPERATOR

    define_role(
        giver=OPERATOR,
        tenant_id=tenant.tenant_id,
        name=name,
        acts=[act.value for act in acts],
        case="SET-1",
    )


def give(tenant, giver, person, role):
    from auditvault.access.granting import Giver, grant, place_in

    grant(
        giver=Giver(actor=actor_of(giver.user), human=giver.human),
        account=person.user,
        place=place_in(tenant.tenant_id, "eu"),
        role=role,
        now=NOW,
    )
