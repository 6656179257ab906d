"""Accounts become one human's where that is not too much for one, and are taken apart again; the log says so."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from auditvault.core.policy.separation import SeparationError
from tests.integration.access.meeting import together

NOW = datetime.now(UTC)


@pytest.fixture
def link(access):
    return lambda one, other: access.linking.link_accounts(one=one, other=other, case="INC-1")


def humans(*users):
    for user in users:
        user.refresh_from_db()
    return {user.human_id for user in users}


@pytest.fixture
def said(recorded):
    """What the operator's log of a region says of these accounts."""
    from uuid import UUID

    def read(action, *users, region="eu"):
        names = {f"user:{user.public_id.hex}" for user in users}
        found = recorded(action, region=region, of=UUID(int=0))
        return [details for details in found if names <= set(map(str, details.values()))]

    return read


def test_linked_accounts_are_one_humans_and_it_is_recorded_in_every_region(account, link, said):
    one, other = account("viewer"), account("engineer")

    link(one, other)

    assert len(humans(one, other)) == 1
    for region in ("eu", "us"):
        assert len(said("account.linked", one, other, region=region)) == 1


def test_what_would_be_too_much_for_one_is_not_linked(account, link, said):
    one, other = account("auditor"), account("investigator")

    with pytest.raises(SeparationError):
        link(one, other)

    assert len(humans(one, other)) == 2
    assert said("account.linked", one, other) == []


def test_an_account_that_is_switched_off_is_not_linked_either(access, account, link):
    one, other = account("auditor"), account("investigator")
    access.models.User.objects.filter(pk=other.pk).update(is_active=False)

    with pytest.raises(SeparationError):
        link(one, other)


def test_roles_on_two_tenants_are_no_conflict(account, link, other_tenant):
    one, other = account("auditor"), account("investigator", place=other_tenant)

    link(one, other)

    assert len(humans(one, other)) == 1


def test_a_humans_former_id_means_the_human(access, account, link):
    one, two, three = account(), account(), account()
    former = [two.human_id, three.human_id]
    link(two, three)
    link(one, two)

    (now,) = humans(one, two, three)
    assert {access.linking.human_now(human) for human in former} == {now}


def test_tokens_follow_the_human(access, account, link, strong_headers, tenant):
    one, other = account(), account("viewer")
    token = strong_headers(other, "viewer")["Authorization"].split()[1]

    link(one, other)

    assert access.tokens.authenticate(token, now=NOW).human == one.human_id


def test_accounts_that_are_one_already_are_not_linked_again(access, account, link):
    one = account()
    with pytest.raises(access.linking.AccountsLinkedError):
        link(one, account(of=one))
    with pytest.raises(access.linking.AccountsLinkedError):
        link(one, one)


def test_an_account_is_taken_out_again_with_an_id_of_its_own(
    access, account, link, said, strong_headers
):
    one, other = account("viewer"), account("engineer")
    before = other.human_id
    token = strong_headers(one, "viewer")["Authorization"].split()[1]
    link(one, other)

    access.linking.unlink_account(account=other, case="INC-2", now=NOW)

    assert len(humans(one, other) - {before}) == 2
    assert len(said("account.unlinked", other)) == 1
    with pytest.raises(access.tokens.TokenInvalidError):
        access.tokens.authenticate(token, now=NOW)


def test_an_account_that_is_linked_with_no_other_stays(access, account):
    with pytest.raises(access.linking.AccountsLinkedError):
        access.linking.unlink_account(account=account(), case="INC-2", now=NOW)


def test_a_link_and_a_grant_at_once_do_not_meet(access, account, link, tenant):
    one, other = account("auditor"), account()

    def grant():
        access.people.grant_role(
            username=other.username, tenant_slug=tenant.slug, region="eu", role="investigator"
        )

    results = together(grant, lambda: link(one, access.models.User.objects.get(pk=other.pk)))

    assert len([found for found in results if isinstance(found, SeparationError)]) == 1


def test_a_link_that_cannot_be_recorded_does_not_come(account, link, admin_log_closed):
    one, other = account(), account()

    with admin_log_closed("us"), pytest.raises(Exception, match="permission denied"):
        link(one, other)

    assert len(humans(one, other)) == 2
