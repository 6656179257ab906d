"""One person asks, another approves exactly that, and it is used once."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditvault.core.policy.approvals import (
    APPROVED_BY,
    LIFETIME,
    Approval,
    ApprovalDriftedError,
    ApprovalMissingError,
    ApprovalNotOpenError,
    HumanId,
    Operation,
    OwnApprovalError,
    Plan,
    State,
    request_approval,
)
from auditvault.core.policy.roles import AccessDeniedError, Act

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
ASKER, APPROVER, THIRD = (HumanId(UUID(int=n)) for n in (1, 2, 3))
PLAN = Plan(
    operation=Operation.HOLD_RELEASE,
    tenant_id=UUID(int=9),
    region="eu",
    parameters={"hold": "h-1", "items": 3},
)
ACTS = {Act.PLACE_HOLD}


def asked(**changes) -> Approval:
    return replace(request_approval(PLAN, human=ASKER, now=NOW), **changes)


def approved() -> Approval:
    return asked().approve(human=APPROVER, acts=ACTS, now=NOW)


def test_what_another_person_approved_is_used_once():
    used = approved().use(PLAN, now=NOW)
    assert (used.state, used.approved_by) == (State.USED, APPROVER)
    with pytest.raises(ApprovalNotOpenError):
        used.use(PLAN, now=NOW)


@pytest.mark.parametrize("decide", ["approve", "refuse"])
def test_nobody_decides_about_what_they_asked_for(decide):
    with pytest.raises(OwnApprovalError):
        getattr(asked(), decide)(human=ASKER, acts=ACTS, now=NOW)


@pytest.mark.parametrize("operation", Operation)
def test_who_approves_needs_the_act_of_the_operation(operation):
    request = request_approval(replace(PLAN, operation=operation), human=ASKER, now=NOW)
    others = set(Act) - {APPROVED_BY[operation]}
    with pytest.raises(AccessDeniedError):
        request.approve(human=APPROVER, acts=others, now=NOW)
    assert request.approve(human=APPROVER, acts={APPROVED_BY[operation]}, now=NOW).approved_by


def test_what_nobody_approved_is_not_done():
    with pytest.raises(ApprovalMissingError):
        asked().use(PLAN, now=NOW)


@pytest.mark.parametrize(
    "drift",
    [
        {"parameters": {"hold": "h-1", "items": 4}},
        {"parameters": {"hold": "h-1", "items": "3"}},
        {"parameters": {"hold": "h-1"}},
        {"region": "us"},
        {"tenant_id": UUID(int=8)},
        {"operation": Operation.EARLY_PURGE},
    ],
    ids=["count", "type", "less", "region", "tenant", "operation"],
)
def test_drift_voids_an_approval(drift):
    with pytest.raises(ApprovalDriftedError):
        approved().use(replace(PLAN, **drift), now=NOW)


def test_an_approval_expires():
    last = NOW + LIFETIME - timedelta(microseconds=1)
    assert approved().use(PLAN, now=last).state is State.USED
    for late in (
        lambda: approved().use(PLAN, now=NOW + LIFETIME),
        lambda: asked().approve(human=APPROVER, acts=ACTS, now=NOW + LIFETIME),
    ):
        with pytest.raises(ApprovalNotOpenError, match="expired"):
            late()


def test_no_approval_is_asked_for_longer_than_a_day():
    request = request_approval(PLAN, human=ASKER, now=NOW, lifetime=timedelta(days=9))
    assert request.expires_at == NOW + LIFETIME


def test_an_approval_that_is_over_at_once_is_refused():
    with pytest.raises(ApprovalNotOpenError):
        request_approval(PLAN, human=ASKER, now=NOW, lifetime=timedelta())


@pytest.mark.parametrize("end", ["refuse", "withdraw"])
def test_what_was_approved_can_still_be_stopped(end):
    stopped = (
        approved().refuse(human=THIRD, acts=ACTS, now=NOW)
        if end == "refuse"
        else approved().withdraw(human=ASKER, now=NOW)
    )
    with pytest.raises(ApprovalNotOpenError):
        stopped.use(PLAN, now=NOW)
    with pytest.raises(ApprovalNotOpenError):
        stopped.approve(human=APPROVER, acts=ACTS, now=NOW)


def test_only_who_asked_can_withdraw():
    with pytest.raises(AccessDeniedError):
        asked().withdraw(human=APPROVER, now=NOW)


def test_a_second_approval_changes_nothing():
    with pytest.raises(ApprovalNotOpenError):
        approved().approve(human=THIRD, acts=ACTS, now=NOW)


def test_the_digest_is_the_one_of_the_spec():
    body = (
        b'{"operation":"hold_release","parameters":{"hold":"h-1","items":3},"region":"eu",'
        b'"tenant":"00000000-0000-0000-0000-000000000009","v":"auditvault/plan/1"}'
    )
    assert PLAN.digest() == sha256(b"auditvault/plan/1\0" + body).digest()


parameters = st.dictionaries(
    st.text("abc", min_size=1, max_size=3), st.one_of(st.integers(-9, 9), st.text(max_size=3))
)


@given(parameters, parameters)
def test_plans_have_one_digest_exactly_when_they_are_one(first, second):
    one, other = (replace(PLAN, parameters=found) for found in (first, second))
    assert (one.digest() == other.digest()) == (first == second)
