"""How a request goes on, and how it does not: by the table, by every walk, by every short cut."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditvault.core.errors import AuditvaultError
from auditvault.core.policy.approvals import HumanId, OwnApprovalError
from auditvault.core.policy.erasure import (
    CLOSED_STATES,
    DESTROYING,
    EDGES,
    SERVICE,
    Action,
    By,
    ExtensionRefusedError,
    Kind,
    ManifestDriftedError,
    Request,
    RequestMoveError,
    State,
    clone,
    receive,
)
from auditvault.core.policy.regimes import GDPR, LGPD, clocks
from auditvault.core.policy.roles import AccessDeniedError, Act

PREPARER, OFFICER, OTHER = (HumanId(UUID(int=n)) for n in (1, 2, 3))
BOTH = frozenset({Act.PREPARE_ERASURE, Act.APPROVE_ERASURE})
MANIFEST, DRIFTED = bytes(32), bytes(31) + b"\1"
BEFORE_IDENTITY = {
    State.RECEIVED,
    State.IDENTITY_PENDING,
    State.WITHDRAWN,
    State.DUPLICATE,
    State.REFUSED,
    State.CLOSED,
}
ALL = pytest.mark.parametrize("kind", list(Kind))


def by(human: HumanId, *acts: Act) -> By:
    return By(human=human, acts=frozenset(acts) or BOTH)


ONE, TWO = by(PREPARER), by(OFFICER)
TO_APPROVAL = (
    (Action.ASK_IDENTITY, ONE, None),
    (Action.VERIFY_IDENTITY, ONE, None),
    (Action.FREEZE, ONE, MANIFEST),
    (Action.ASSESS, ONE, None),
    (Action.ASK_APPROVAL, ONE, None),
)
APPROVED = (*TO_APPROVAL, (Action.APPROVE, TWO, MANIFEST))


def walked(steps, kind=Kind.ERASURE) -> Request:
    request = receive(kind, ONE)
    for action, who, manifest in steps:
        request = request.move(action, who, manifest=manifest)
    return request


def at(state: State, kind=Kind.ERASURE, **changes) -> Request:
    return replace(receive(kind, ONE), state=state, **changes)


def reachable(kind: Kind, *, without=(), start: State = State.RECEIVED) -> set[State]:
    """The oracle: a search of the table, with some actions never taken."""
    found, left = {start}, [start]
    while left:
        state = left.pop()
        for edge in EDGES:
            fits = edge.source is state and kind in edge.kinds and edge.action not in without
            if fits and edge.target not in found:
                found.add(edge.target)
                left.append(edge.target)
    return found


# The way through


@pytest.mark.parametrize("kind", sorted(DESTROYING))
def test_what_destroys_waits_for_backups(kind):
    request = walked(APPROVED, kind)
    states = []
    for action in (
        Action.BEGIN,
        Action.DESTROY_KEYS,
        Action.FINISH,
        Action.CONFIRM,
        Action.PASS_BACKUPS,
        Action.CERTIFY,
    ):
        request = request.move(action, SERVICE, manifest=MANIFEST)
        states.append(request.state.value)
    assert states == [
        "executing",
        "keys_destroyed",
        "verifying",
        "backup_pending",
        "notifying",
        "certified",
    ]
    assert request.move(Action.CLOSE, ONE).state is State.CLOSED


@pytest.mark.parametrize("kind", sorted(set(Kind) - DESTROYING))
def test_what_destroys_nothing_waits_for_no_backups(kind):
    request = walked(APPROVED, kind)
    for action in (Action.BEGIN, Action.FINISH, Action.CONFIRM, Action.CERTIFY):
        request = request.move(action, SERVICE, manifest=MANIFEST)
    assert request.state is State.CERTIFIED
    assert not reachable(kind) & {State.KEYS_DESTROYED, State.BACKUP_PENDING}


def test_a_failed_verification_reopens_it_and_a_failure_is_tried_again():
    request = at(State.VERIFYING, has_begun=True).move(Action.REOPEN, SERVICE)
    request = request.move(Action.FAIL, SERVICE)
    assert request.state is State.FAILED_RETRY
    assert request.move(Action.RETRY, SERVICE).state is State.EXECUTING


@pytest.mark.parametrize("state", [State.SCHEDULED, State.EXECUTING])
def test_a_hold_stops_it_and_its_release_goes_on_with_the_same_approval(state):
    request = walked(APPROVED)
    if state is State.EXECUTING:
        request = request.move(Action.BEGIN, SERVICE, manifest=MANIFEST)
    resumed = request.move(Action.HOLD, SERVICE).move(Action.RESUME, SERVICE)
    assert resumed.state is State.SCHEDULED
    assert resumed.move(Action.BEGIN, SERVICE, manifest=MANIFEST).state is State.EXECUTING


# The table


def test_there_is_one_edge_for_each_state_action_and_kind():
    seen = [(edge.source, edge.action, kind) for edge in EDGES for kind in edge.kinds]
    assert len(seen) == len(set(seen))


@ALL
def test_every_state_of_a_kind_is_reached_and_leads_to_an_end(kind):
    states = reachable(kind)
    missing = {State.KEYS_DESTROYED, State.BACKUP_PENDING} if kind not in DESTROYING else set()
    assert states == set(State) - missing
    for state in states:
        assert reachable(kind, start=state) & CLOSED_STATES
    for state in CLOSED_STATES:
        assert reachable(kind, start=state) == {state}


@ALL
def test_without_proof_of_identity_nothing_is_scoped_or_done(kind):
    assert reachable(kind, without={Action.VERIFY_IDENTITY}) == BEFORE_IDENTITY


@ALL
@pytest.mark.parametrize("action", [Action.FREEZE, Action.ASSESS, Action.APPROVE])
def test_without_manifest_assessment_and_approval_nothing_is_executed(kind, action):
    assert State.EXECUTING not in reachable(kind, without={action})


@ALL
def test_without_verification_nothing_is_certified(kind):
    assert State.CERTIFIED not in reachable(kind, without={Action.CONFIRM})
    for step in (Action.DESTROY_KEYS, Action.PASS_BACKUPS):
        certified = State.CERTIFIED in reachable(kind, without={step})
        assert certified == (kind not in DESTROYING)


@pytest.mark.parametrize("edge", EDGES, ids=lambda edge: f"{edge.source}-{edge.action}")
def test_a_person_takes_what_is_theirs_and_the_service_the_rest(edge):
    request = at(edge.source, next(iter(edge.kinds)), manifest=MANIFEST, approved_manifest=MANIFEST)
    if edge.act is None:
        with pytest.raises(AccessDeniedError):
            request.move(edge.action, TWO, manifest=MANIFEST)
        assert request.move(edge.action, SERVICE, manifest=MANIFEST).state is edge.target
        return
    for who in (SERVICE, by(OFFICER, Act.READ_HEADERS), by(OFFICER, *(BOTH - {edge.act}))):
        with pytest.raises(AccessDeniedError):
            request.move(edge.action, who, manifest=MANIFEST)
    assert request.move(edge.action, by(OFFICER, edge.act), manifest=MANIFEST).state is edge.target


# Dual control


@pytest.mark.parametrize("action", [Action.APPROVE, Action.REFUSE])
def test_nobody_who_had_a_hand_in_it_decides(action):
    request = walked(TO_APPROVAL)
    with pytest.raises(OwnApprovalError):
        request.move(action, ONE, manifest=MANIFEST)
    assert request.move(action, TWO, manifest=MANIFEST).hands == {PREPARER, OFFICER}


def test_an_officer_who_took_one_step_of_many_does_not_approve():
    steps = [
        (action, TWO if action is Action.VERIFY_IDENTITY else ONE, m)
        for action, _, m in TO_APPROVAL
    ]
    with pytest.raises(OwnApprovalError):
        walked(steps).move(Action.APPROVE, TWO, manifest=MANIFEST)
    assert walked(steps).move(Action.APPROVE, by(OTHER), manifest=MANIFEST).approved_by == OTHER


def test_an_approval_is_of_what_was_frozen_and_carried_out_as_approved():
    request = walked(TO_APPROVAL)
    for manifest in (DRIFTED, None):
        with pytest.raises(ManifestDriftedError):
            request.move(Action.APPROVE, TWO, manifest=manifest)
    approved = request.move(Action.APPROVE, TWO, manifest=MANIFEST)
    for manifest in (DRIFTED, None):
        with pytest.raises(ManifestDriftedError):
            approved.move(Action.BEGIN, SERVICE, manifest=manifest)


def test_another_scope_takes_another_approval():
    request = walked((*APPROVED, (Action.RESCOPE, ONE, None), (Action.FREEZE, ONE, DRIFTED)))
    assert (request.approved_manifest, request.approved_by) == (None, None)
    request = walked_on(request, (Action.ASSESS, Action.ASK_APPROVAL))
    with pytest.raises(ManifestDriftedError):
        request.move(Action.APPROVE, by(OTHER), manifest=MANIFEST)


def walked_on(request: Request, actions) -> Request:
    for action in actions:
        request = request.move(action, ONE)
    return request


@pytest.mark.parametrize("digest", [None, b"", bytes(31), bytes(33)])
def test_a_manifest_is_frozen_with_its_hash(digest):
    with pytest.raises(ManifestDriftedError):
        at(State.IDENTIFIED).move(Action.FREEZE, ONE, manifest=digest)


# Short cuts


@ALL
def test_a_clone_carries_nothing(kind):
    copy = clone(walked(APPROVED, kind), by(OTHER))
    assert copy == Request(kind=kind, hands=frozenset({OTHER}))


def test_only_who_may_prepare_takes_one_in():
    for who in (SERVICE, by(OFFICER, Act.APPROVE_ERASURE)):
        with pytest.raises(AccessDeniedError):
            receive(Kind.ERASURE, who)


def test_once_execution_has_begun_nothing_is_withdrawn():
    begun = walked(APPROVED).move(Action.BEGIN, SERVICE, manifest=MANIFEST)
    held = begun.move(Action.HOLD, SERVICE)
    for request in (begun, held, held.move(Action.RESUME, SERVICE)):
        with pytest.raises(RequestMoveError):
            request.move(Action.WITHDRAW, ONE)
    waiting = walked(APPROVED).move(Action.HOLD, SERVICE)
    assert waiting.move(Action.WITHDRAW, ONE).state is State.WITHDRAWN


MOVES = st.tuples(
    st.sampled_from(list(Action)),
    st.sampled_from([ONE, TWO, by(OTHER), SERVICE]),
    st.sampled_from([MANIFEST, DRIFTED, None]),
)


@given(st.sampled_from(list(Kind)), st.lists(MOVES, max_size=60), st.randoms())
def test_on_no_walk_a_rule_is_broken(kind, moves, random):
    request = receive(kind, ONE)
    taken: list[tuple[Action, By]] = []
    deciders: list[tuple[HumanId, frozenset[HumanId]]] = []
    for action, who, manifest in moves:
        edges = list(request.actions())
        # Half of the steps are ones that there are, so that walks come far.
        chosen = random.choice(edges).action if edges and random.random() < 0.5 else action
        before = request
        try:
            request = request.move(chosen, who, manifest=manifest)
        except AuditvaultError:
            assert request == before
            continue
        taken.append((chosen, who))
        if chosen in {Action.APPROVE, Action.REFUSE}:
            deciders.append((who.human, before.hands))
        if request.state not in BEFORE_IDENTITY:
            assert Action.VERIFY_IDENTITY in [each for each, _ in taken]
            assert request.is_identified
        if request.state in {State.EXECUTING, State.KEYS_DESTROYED, State.VERIFYING}:
            assert request.approved_manifest == request.manifest is not None
            assert request.approved_by not in {None, PREPARER}
        if before.has_begun:
            assert request.has_begun
            assert request.state not in {State.WITHDRAWN, State.IDENTIFIED, State.SCOPED}
        assert request.hands == {PREPARER} | {each.human for _, each in taken if each.human}
    assert all(human not in hands for human, hands in deciders)


# Time


def limits(law=GDPR, received_at=datetime(2026, 6, 1, tzinfo=UTC)):
    found = clocks(law, received_at=received_at, zone=UTC, holidays=frozenset())
    extended = found.due_at(is_extended=True) if found.extended_by else None
    return {"due_at": found.due_at(is_extended=False), "extended_due_at": extended}


def test_it_is_extended_once_and_before_the_first_limit():
    request, due = receive(Kind.ACCESS, ONE), limits()["due_at"]
    extended = request.extend(TWO, **limits(), now=datetime(2026, 6, 20, tzinfo=UTC))
    assert extended.is_extended
    assert extended.hands == {PREPARER, OFFICER}
    for refused, now in ((extended, due.replace(day=1)), (request, due)):
        with pytest.raises(ExtensionRefusedError):
            refused.extend(ONE, **limits(), now=now)


def test_what_is_closed_or_under_a_law_without_extension_is_not_extended():
    now = datetime(2026, 6, 2, tzinfo=UTC)
    with pytest.raises(ExtensionRefusedError):
        receive(Kind.ACCESS, ONE).extend(ONE, **limits(LGPD), now=now)
    with pytest.raises(ExtensionRefusedError):
        at(State.CLOSED).extend(ONE, **limits(), now=now)
    with pytest.raises(AccessDeniedError):
        receive(Kind.ACCESS, ONE).extend(SERVICE, **limits(), now=now)
