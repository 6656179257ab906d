"""Duties are separate by human: other accounts and tokens of theirs count."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from auditvault.core.policy.roles import Act, Role
from auditvault.core.policy.separation import SeparationError

NOW = datetime.now(UTC)


def token_of(access, tenant, user, *roles, regions=("eu",)):
    return access.tokens.create_token(
        tenant_slug=tenant.slug,
        regions=regions,
        roles=roles,
        lifetime=timedelta(hours=1),
        now=NOW,
        human=user.human_id,
    )


def test_a_new_account_is_a_new_humans(account):
    assert account().human_id != account().human_id


def test_a_role_is_refused_for_what_the_human_holds_by_another_account(access, account, tenant):
    first = account("auditor")
    second = account(of=first)

    with pytest.raises(SeparationError):
        access.people.grant_role(
            username=second.username, tenant_slug=tenant.slug, region="eu", role="investigator"
        )


def test_accounts_that_turn_out_to_be_one_humans_are_refused_what_must_be_in_two_hands(
    access, account
):
    auditor, investigator = account("auditor"), account("investigator")
    access.models.User.objects.filter(pk=investigator.pk).update(human=auditor.human)
    investigator.refresh_from_db()
    (place,) = access.people.places_of(investigator)
    credential = access.people.credential_of(investigator, place)

    with pytest.raises(SeparationError):
        credential.role_for(Act.RESOLVE_FULL)
    assert credential.role_for(Act.READ_HEADERS) is Role.INVESTIGATOR


def test_a_persons_token_counts_as_the_person(access, account, tenant):
    auditor, investigator = account("auditor"), account("investigator")
    token = token_of(access, tenant, investigator, "investigator")
    access.models.ApiToken.objects.filter(public_id=token.split("_")[1]).update(
        human=auditor.human_id
    )
    access.models.User.objects.filter(pk=investigator.pk).update(human=auditor.human)

    credential = access.tokens.authenticate(token, now=NOW)

    assert credential.human == auditor.human_id
    with pytest.raises(SeparationError):
        credential.role_for(Act.RESOLVE_FULL)


def test_a_persons_token_has_no_role_that_the_person_has_not(access, account, tenant):
    person = account("viewer")

    with pytest.raises(access.tokens.TokenRequestError):
        token_of(access, tenant, person, "auditor")
    with pytest.raises(access.tokens.TokenRequestError):
        token_of(access, tenant, person, "viewer", regions=("eu", "us"))


@pytest.mark.parametrize("loss", ["the role", "the account"])
def test_a_persons_token_loses_at_once_what_the_person_loses(access, account, tenant, loss):
    from guardian.models import UserObjectPermission

    person = account("viewer")
    token = token_of(access, tenant, person, "viewer")
    assert access.tokens.authenticate(token, now=NOW).roles == {Role.VIEWER}

    if loss == "the role":
        UserObjectPermission.objects.filter(user=person).delete()
    else:
        access.models.User.objects.filter(pk=person.pk).update(is_active=False)

    assert access.tokens.authenticate(token, now=NOW).roles == frozenset()


def test_roles_of_another_tenant_are_no_roles_here(access, account, other_tenant):
    person = account("viewer")

    assert access.humans.roles_of_human(person.human_id, other_tenant.tenant_id) == {}


def test_a_machines_token_has_no_human(access, tenant):
    from auditvault.access.credentials import HumanRequiredError

    credential = access.tokens.authenticate(tenant.token("investigator"), now=NOW)

    with pytest.raises(HumanRequiredError):
        credential.require_human()


@pytest.mark.parametrize("strong_until", [None, NOW - timedelta(seconds=1), NOW])
def test_a_second_factor_that_was_not_given_or_long_ago_is_asked_for(
    access, account, tenant, strong_until
):
    from auditvault.access.credentials import SecondFactorRequiredError

    token = token_of(access, tenant, account("viewer"), "viewer")
    access.models.ApiToken.objects.filter(public_id=token.split("_")[1]).update(
        strong_until=strong_until
    )

    with pytest.raises(SecondFactorRequiredError):
        access.tokens.authenticate(token, now=NOW).require_strong(NOW)
