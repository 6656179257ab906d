"""No one human may hold acts that must be in two hands."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditvault.core.policy.access import role_for
from auditvault.core.policy.roles import ALLOWED, AccessDeniedError, Act, Role
from auditvault.core.policy.separation import (
    RULES,
    SeparationError,
    broken_rules,
    check_acting,
    check_separation,
)

READERS = set(Role) - {Role.INGEST, Role.KEY_CUSTODIAN, Role.SECURITY_ADMIN, Role.PLATFORM}
AUDITORS = {Role.AUDITOR, Role.EXAMINER}
OPERATORS = {
    Role.PRIVACY_OPERATOR,
    Role.PRIVACY_OFFICER,
    Role.RECORDS_MANAGER,
    Role.LEGAL,
    Role.KEY_CUSTODIAN,
    Role.SECURITY_ADMIN,
    Role.LOG_ADMIN,
    Role.PLATFORM,
}


def pairs(these, those):
    return {frozenset((a, b)) for a in these for b in those}


# The role table that auditors expect, role by role: what each must never also be.
MUST_NEVER_BE_BOTH = (
    pairs({Role.INGEST}, READERS)
    | pairs(
        {Role.INVESTIGATOR},
        AUDITORS | {Role.PRIVACY_OFFICER, Role.LEGAL, Role.SECURITY_ADMIN, Role.KEY_CUSTODIAN},
    )
    | pairs(AUDITORS, OPERATORS)
    | pairs({Role.SECURITY_ADMIN}, {Role.ENGINEER})
    | pairs({Role.PLATFORM}, {Role.KEY_CUSTODIAN, Role.LOG_ADMIN})
    | pairs({Role.LEGAL}, {Role.PRIVACY_OFFICER, Role.RECORDS_MANAGER})
)


def acts_of(*roles):
    return {act for role in roles for act in ALLOWED[role]}


def test_the_rules_keep_apart_exactly_the_roles_that_the_table_keeps_apart():
    kept_apart = {
        frozenset(pair) for pair in combinations(Role, 2) if list(broken_rules(acts_of(*pair)))
    }
    assert kept_apart == MUST_NEVER_BE_BOTH


@pytest.mark.parametrize("role", Role)
def test_no_role_breaks_a_rule_by_itself(role):
    assert list(broken_rules(ALLOWED[role])) == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_each_rule_is_broken_by_any_act_of_one_side_with_any_of_the_other(rule):
    assert all(rule in broken_rules({one, other}) for one in rule.these for other in rule.those)


def test_a_role_of_a_tenants_own_making_is_under_the_same_rules():
    with pytest.raises(SeparationError) as caught:
        check_separation({Act.GRANT_ROLES}, more={Act.READ_HEADERS, Act.RESOLVE_FULL})
    assert [rule.name for rule in caught.value.broken] == ["content_grants"]


def test_a_refusal_says_why():
    with pytest.raises(SeparationError, match="Keys and the databases") as caught:
        check_separation({Act.MANAGE_KEYS}, more={Act.RUN_PLATFORM})
    assert caught.value.code == "duties_not_separate"


def test_an_old_conflict_does_not_stand_in_the_way_of_something_else():
    check_separation({Act.MANAGE_KEYS, Act.RUN_PLATFORM}, more={Act.READ_HEADERS})


def test_who_holds_a_conflict_may_do_only_what_it_is_not_about():
    roles = {Role.AUDITOR, Role.INVESTIGATOR}
    with pytest.raises(AccessDeniedError):
        role_for(Act.RESOLVE_FULL, roles)
    with pytest.raises(AccessDeniedError):
        role_for(Act.READ_ACCESS_LOG, roles)
    assert role_for(Act.READ_HEADERS, roles) is Role.INVESTIGATOR


@given(st.sets(st.sampled_from(Act)), st.sets(st.sampled_from(Act)))
def test_what_was_given_piece_by_piece_never_breaks_a_rule(first, second):
    held: set[Act] = set()
    for more in (first, second):
        try:
            check_separation(held, more=more)
        except SeparationError:
            continue
        held |= more
    assert list(broken_rules(held)) == []


@given(st.sets(st.sampled_from(Act)))
def test_acting_is_refused_exactly_for_acts_of_broken_rules(held):
    touched = {act for rule in broken_rules(held) for act in rule.these | rule.those}
    for act in held:
        if act in touched:
            with pytest.raises(SeparationError):
                check_acting(act, held)
        else:
            check_acting(act, held)
