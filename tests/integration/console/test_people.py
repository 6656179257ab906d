"""Which places a person sees, and as whom they call the services."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from types import ModuleType

import pytest
from django.db import connections

from auditvault.core.policy.access import Act, Role, role_for
from auditvault.core.policy.separation import SeparationError


@pytest.fixture
def people(service) -> ModuleType:
    """The module under test: it holds models, which can be imported once Django is set up."""
    from auditvault.access import people

    return people


def _place(tenant, region: str):
    from auditvault.access.models import TenantRegion

    return TenantRegion.objects.get(tenant_id=tenant.tenant_id, region=region)


def test_a_person_sees_the_places_where_they_have_a_role_and_no_other(
    people, make_person, tenant, other_tenant
):
    person = make_person({f"{tenant.slug}.eu": "auditor", f"{other_tenant.slug}.us": "engineer"})

    places = people.places_of(person)

    assert {(place.key, place.roles) for place in places} == {
        (f"{tenant.slug}.eu", frozenset({Role.AUDITOR})),
        (f"{other_tenant.slug}.us", frozenset({Role.ENGINEER})),
    }


def test_several_roles_on_one_place_are_one_place(people, make_person, tenant):
    person = make_person({f"{tenant.slug}.eu": "engineer"})
    people.grant_role(
        username=person.username, tenant_slug=tenant.slug, region="eu", role="investigator"
    )

    (place,) = people.places_of(person)

    assert place.roles == {Role.ENGINEER, Role.INVESTIGATOR}


@pytest.mark.parametrize("region", ["eu", "us"])
def test_a_role_that_must_be_in_another_hand_is_not_given(people, make_person, tenant, region):
    person = make_person({f"{tenant.slug}.eu": "auditor"})

    with pytest.raises(SeparationError, match="examines looks"):
        people.grant_role(
            username=person.username, tenant_slug=tenant.slug, region=region, role="investigator"
        )

    assert [place.roles for place in people.places_of(person)] == [{Role.AUDITOR}]


def test_duties_are_separate_on_each_tenant_alone(people, make_person, tenant, other_tenant):
    person = make_person({f"{tenant.slug}.eu": "auditor"})

    people.grant_role(
        username=person.username, tenant_slug=other_tenant.slug, region="eu", role="investigator"
    )

    assert len(people.places_of(person)) == 2


def test_two_roles_given_at_once_do_not_slip_past_each_other(people, make_person, tenant):
    person = make_person()

    def give(role):
        try:
            people.grant_role(
                username=person.username, tenant_slug=tenant.slug, region="eu", role=role
            )
        except SeparationError:
            return "refused"
        finally:
            connections.close_all()
        return "given"

    with ThreadPoolExecutor(2) as both:
        outcomes = sorted(both.map(give, ["auditor", "investigator"]))

    assert outcomes == ["given", "refused"]


def test_duties_that_came_together_through_a_group_are_refused_when_acting(
    people, make_person, tenant
):
    person = make_person({f"{tenant.slug}.eu": "auditor"})
    from django.contrib.auth.models import Group
    from guardian.shortcuts import assign_perm

    group = Group.objects.create(name=f"investigators of {tenant.slug}")
    assign_perm("access.investigator", group, _place(tenant, "eu"))
    person.groups.add(group)
    credential = people.credential_of(person, people.places_of(person)[0])

    with pytest.raises(SeparationError):
        role_for(Act.RESOLVE_FULL, credential.roles)
    assert role_for(Act.READ_HEADERS, credential.roles)


def test_a_role_of_a_group_is_a_role_of_its_members(people, make_person, tenant):
    person = make_person()
    from django.contrib.auth.models import Group
    from guardian.shortcuts import assign_perm

    group = Group.objects.create(name=f"auditors of {tenant.slug}")
    assign_perm("access.auditor", group, _place(tenant, "us"))
    person.groups.add(group)

    assert [place.key for place in people.places_of(person)] == [f"{tenant.slug}.us"]


def test_a_role_that_is_taken_away_is_gone_at_once(people, make_person, tenant):
    person = make_person({f"{tenant.slug}.eu": "auditor"})
    from guardian.shortcuts import remove_perm

    remove_perm("access.auditor", person, _place(tenant, "eu"))

    assert people.places_of(person) == []


def test_the_platform_superuser_sees_nothing_without_a_role(people, make_person):
    assert people.places_of(make_person(is_superuser=True, is_staff=True)) == []


def test_a_disabled_person_sees_nothing(people, make_person, tenant):
    assert people.places_of(make_person({f"{tenant.slug}.eu": "auditor"}, is_active=False)) == []


def test_nobody_sees_nothing(people):
    from django.contrib.auth.models import AnonymousUser

    assert people.places_of(AnonymousUser()) == []


def test_the_credential_names_the_person_by_public_id_and_holds_for_one_region(
    people, make_person, tenant
):
    person = make_person({f"{tenant.slug}.eu": "auditor", f"{tenant.slug}.us": "engineer"})
    places = people.places_of(person)

    credential = people.credential_of(person, places[0])

    assert credential.actor == f"user:{person.public_id.hex}"
    assert credential.tenant_id == tenant.tenant_id
    assert credential.regions == ("eu",)
    assert credential.roles == {Role.AUDITOR}


def test_the_place_used_last_is_taken_where_none_is_asked_for(people, make_person, tenant):
    places = people.places_of(make_person({f"{tenant.slug}.{r}": "auditor" for r in ("eu", "us")}))

    chosen = people.choose_place(places, asked=None, remembered=f"{tenant.slug}.us")

    assert chosen.region == "us"


def test_a_place_that_one_may_not_see_is_refused_and_none_takes_its_stead(
    people, make_person, tenant, other_tenant
):
    places = people.places_of(make_person({f"{tenant.slug}.eu": "auditor"}))

    with pytest.raises(people.PlaceDeniedError):
        people.choose_place(places, asked=f"{other_tenant.slug}.eu", remembered=None)


@pytest.mark.parametrize(
    ("username", "region", "role"),
    [(None, "eu", "ingest"), (None, "mars", "auditor"), ("nobody-of-that-name", "eu", "auditor")],
)
def test_a_role_is_given_to_people_on_places_that_exist(
    people, make_person, tenant, username, region, role
):
    person = make_person()

    with pytest.raises((people.GrantError, people.RoleUnknownError)):
        people.grant_role(
            username=username or person.username, tenant_slug=tenant.slug, region=region, role=role
        )
