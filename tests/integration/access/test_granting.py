"""Roles are given by whoever may, never to oneself, never two that belong in two hands, and never unrecorded."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from auditvault.access.credentials import HumanRequiredError, SecondFactorRequiredError
from auditvault.core.policy.roles import AccessDeniedError, Act, Role
from auditvault.core.policy.separation import SeparationError
from tests.integration.access.meeting import together
from tests.integration.ingest.sending import post

NOW = datetime.now(UTC)
SOON = NOW + timedelta(days=30)


@pytest.fixture
def admin(account):
    return account("security_admin")


@pytest.fixture
def give(access, admin, credential_of, tenant):
    """Gives a role as the security admin."""

    def grant(user, role, *, region="eu", credential=None, **how):
        credential = credential or credential_of(admin)
        return access.granting.grant(
            giver=access.granting.giver_in(credential, region, NOW),
            account=user,
            place=access.granting.place_in(credential.tenant_id, region),
            role=role,
            case="INC-1",
            now=NOW,
            **how,
        )

    return grant


@pytest.fixture
def take(access, admin, credential_of):
    def revoke(user, role, *, credential=None):
        credential = credential or credential_of(admin)
        return access.granting.revoke(
            giver=access.granting.giver_in(credential, "eu", NOW),
            account=user,
            place=access.granting.place_in(credential.tenant_id, "eu"),
            role=role,
            case="INC-2",
        )

    return revoke


def held(access, user):
    return {role for place in access.people.places_of(user) for role in place.roles}


def test_a_role_that_is_given_counts_and_is_recorded(access, account, admin, give, recorded):
    user = account()

    give(user, "viewer")

    assert held(access, user) == {Role.VIEWER}
    assert recorded("role.granted")[-1] == {
        "actor": f"user:{admin.public_id.hex}",
        "account": f"user:{user.public_id.hex}",
        "role": "viewer",
        "case": "INC-1",
    }


def test_no_name_of_staff_is_in_an_entry(account, give, recorded):
    user = account()

    give(user, "viewer")

    assert user.username not in str(recorded("role.granted"))


def test_a_role_that_is_taken_away_counts_for_nothing_and_is_recorded(
    access, account, give, take, recorded
):
    user = account("viewer")

    take(user, "viewer")

    assert held(access, user) == set()
    assert recorded("role.revoked")[-1]["account"] == f"user:{user.public_id.hex}"


def test_giving_a_role_twice_is_recorded_once(account, give, recorded):
    user = account()

    assert give(user, "viewer") is not None
    assert give(user, "viewer") is None
    assert len([said for said in recorded("role.granted") if said["role"] == "viewer"]) == 1


def test_nobody_gives_a_role_to_themselves(access, admin, give):
    with pytest.raises(access.granting.OwnRoleError):
        give(admin, "viewer")
    assert held(access, admin) == {Role.SECURITY_ADMIN}


def test_nobody_gives_a_role_to_another_account_of_theirs(access, account, admin, give):
    second = account(of=admin)

    with pytest.raises(access.granting.OwnRoleError):
        give(second, "viewer")
    assert held(access, second) == set()


def test_nobody_takes_a_role_of_their_own_away(access, admin, take):
    with pytest.raises(access.granting.OwnRoleError):
        take(admin, "security_admin")


def test_who_gives_no_roles_there_gives_none(account, give, credential_of):
    viewer = account("viewer")

    with pytest.raises(AccessDeniedError):
        give(account(), "viewer", credential=credential_of(viewer))


def test_a_role_is_given_in_ones_own_region_alone(account, give):
    with pytest.raises(AccessDeniedError):
        give(account(), "viewer", region="us")


def test_a_role_is_given_on_ones_own_tenant_alone(
    access, account, admin, credential_of, other_tenant
):
    credential = credential_of(admin)

    with pytest.raises(access.granting.PersonNotFoundError):
        access.granting.person_of(
            credential.tenant_id, account("viewer", place=other_tenant).public_id
        )


def test_giving_takes_a_second_factor(account, admin, give, credential_of):
    with pytest.raises(SecondFactorRequiredError):
        give(account(), "viewer", credential=credential_of(admin, strong=False))


def test_a_machines_token_gives_no_role(access, account, give, tenant):
    credential = access.tokens.authenticate(tenant.token("security_admin"), now=NOW)

    with pytest.raises(HumanRequiredError):
        give(account(), "viewer", credential=credential)


def test_what_must_be_in_two_hands_is_not_given_to_one(access, account, give):
    user = account("auditor")

    with pytest.raises(SeparationError):
        give(user, "investigator")
    assert held(access, user) == {Role.AUDITOR}


def test_an_account_that_is_switched_off_counts_when_a_role_is_given(access, account, give):
    first = account("auditor")
    access.models.User.objects.filter(pk=first.pk).update(is_active=False)

    with pytest.raises(SeparationError):
        give(account(of=first), "investigator")


@pytest.mark.parametrize("role", ["ingest", "root", "custom:none", "custom:", "", "security admin"])
def test_what_is_no_role_of_people_is_not_given(access, account, give, role):
    with pytest.raises(access.granting.RoleUnknownError):
        give(account(), role)


def test_an_examiner_needs_an_end(access, account, give):
    user = account()

    with pytest.raises(access.granting.RoleEndError):
        give(user, "examiner")
    give(user, "examiner", ends_at=SOON)
    assert held(access, user) == {Role.EXAMINER}


@pytest.mark.parametrize("ends_at", [NOW, NOW - timedelta(days=1), NOW + timedelta(days=367)])
def test_a_role_ends_in_the_future_within_a_year(access, account, give, ends_at):
    with pytest.raises(access.granting.RoleEndError):
        give(account(), "viewer", ends_at=ends_at)


def end_now(access, user):
    from auditvault.access.rights.models import RoleEnd

    RoleEnd.objects.filter(held__user=user).update(ends_at=NOW - timedelta(seconds=1))


def test_a_role_that_has_ended_counts_for_nothing_at_once(
    access, client, account, give, tenant, strong_headers
):
    user = account()
    give(user, "viewer", ends_at=SOON)
    headers = strong_headers(user, "viewer")
    search = "/api/v1/traces/search"
    assert post(client, search, {}, headers).status_code == 200

    end_now(access, user)

    assert held(access, user) == set()
    assert access.humans.acts_of_human(user.human_id, tenant.tenant_id) == frozenset()
    assert post(client, search, {}, headers).status_code == 403


def test_a_role_that_has_ended_stands_in_nobodys_way(access, account, give):
    user = account()
    give(user, "auditor", ends_at=SOON)
    end_now(access, user)

    give(user, "investigator")

    assert held(access, user) == {Role.INVESTIGATOR}


def test_a_role_gets_another_end_and_that_is_recorded(access, account, give, recorded):
    user = account()
    give(user, "viewer", ends_at=SOON)

    give(user, "viewer")

    assert [said.get("ends_at") is None for said in recorded("role.granted")[-2:]] == [False, True]
    end_now(access, user)
    assert held(access, user) == {Role.VIEWER}


def test_a_change_that_cannot_be_recorded_does_not_come(
    access, account, give, take, admin_log_closed
):
    user, other = account(), account("viewer")

    with admin_log_closed():
        for change in (lambda: give(user, "viewer"), lambda: take(other, "viewer")):
            with pytest.raises(Exception, match="permission denied"):
                change()

    assert held(access, user) == set()
    assert held(access, other) == {Role.VIEWER}


def test_a_crash_after_the_entry_leaves_an_entry_and_no_role(
    access, account, give, recorded, monkeypatch
):
    user = account()
    monkeypatch.setattr(access.granting, "_hold", crash)

    with pytest.raises(SystemError):
        give(user, "viewer")

    assert recorded("role.granted")[-1]["account"] == f"user:{user.public_id.hex}"
    assert held(access, user) == set()
    monkeypatch.undo()
    give(user, "viewer")
    assert held(access, user) == {Role.VIEWER}


def crash(*_args, **_kwargs):
    raise SystemError


def test_of_two_grants_at_once_that_must_not_meet_one_comes(
    access, account, give, credential_of, admin
):
    user, credential = account(), credential_of(admin)
    results = together(
        lambda: give(fresh(access, user), "auditor", credential=credential),
        lambda: give(fresh(access, user), "investigator", credential=credential),
    )

    assert sorted(type(found).__name__ for found in results) == ["SeparationError", "UUID"]
    assert len(held(access, user)) == 1


def test_of_two_accounts_of_one_human_one_gets_what_must_not_meet(
    access, account, give, credential_of, admin
):
    one, credential = account(), credential_of(admin)
    two = account(of=one)
    results = together(
        lambda: give(one, "auditor", credential=credential),
        lambda: give(two, "investigator", credential=credential),
    )

    assert sorted(type(found).__name__ for found in results) == ["SeparationError", "UUID"]


def fresh(access, user):
    return access.models.User.objects.get(pk=user.pk)


def test_a_session_of_whom_a_role_was_taken_from_has_it_no_more(client, account, take, tenant):
    user = account("viewer")
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    page = f"/?in={tenant.slug}.eu"
    before = client.get(page).status_code

    take(user, "viewer")

    assert (before, client.get(page).status_code) == (200, 403)


def test_the_credential_has_the_role(account, give, credential_of):
    user = account()
    give(user, "legal")

    assert credential_of(user).role_for(Act.PLACE_HOLD) is Role.LEGAL
