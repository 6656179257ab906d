"""Objections: decided once, by somebody with no hand in them; only an overridden one's restriction ends."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from auditvault.core.policy.approvals import OwnApprovalError
from auditvault.core.policy.erasure import Action, Kind, RequestMoveError
from auditvault.core.policy.roles import AccessDeniedError
from tests.integration.ledger.attempts import act_for, not_refused
from tests.integration.ledger.superuser import superuser
from tests.integration.privacy.test_restricting import (
    ANNA,
    at_once,
    carried_out,
    entries_of,
    lift_in,
)
from tests.integration.vault.erasing import state_of

GROUNDS = "The claim against Erika Mustermann is before the court in Berlin."


def rule_in(person, request_id, ruling="upheld", grounds=GROUNDS, follow_up=None):
    from auditvault.privacy.requests.ruling import Ruling, rule_on_objection

    rule_on_objection(
        region="eu",
        credential=person.signed_in(),
        request_id=request_id,
        ruling=Ruling(ruling),
        grounds=grounds,
        follow_up=follow_up,
        now=datetime.now(UTC),
    )


@pytest.fixture
def objection(tenant, desk, anna):
    """One that was carried out: whom it names is restricted."""
    return carried_out(tenant, desk, Kind.OBJECTION)


def test_an_overridden_one_is_lifted_and_its_entry_has_no_words(
    tenant, cluster, desk, anna, objection, second
):
    rule_in(second, objection, "overridden")

    assert lift_in(second, objection).readable == (anna,)
    (entry,) = entries_of(cluster, tenant, "privacy_request.ruled")
    words = entry.pop("words")
    assert entry == {
        "request": str(objection),
        "ruling": "overridden",
        "actor": second.signed_in().actor,
    }
    assert words["role"] == "privacy_request"
    assert "Erika" not in str(words)


@pytest.mark.parametrize("ruling", [None, "upheld"])
def test_one_that_was_not_overridden_keeps_the_person_restricted(
    tenant, cluster, desk, anna, objection, second, ruling
):
    if ruling:
        rule_in(second, objection, ruling)

    with pytest.raises(RequestMoveError):
        lift_in(second, objection)

    assert state_of(cluster, tenant, anna) == "restricted"


def test_an_upheld_one_names_the_erasure_that_follows(
    tenant, cluster, desk, anna, objection, second
):
    erasure = desk.receive(identifiers=ANNA).request_id

    rule_in(second, objection, follow_up=erasure)

    (entry,) = entries_of(cluster, tenant, "privacy_request.ruled")
    assert entry["follow_up"] == str(erasure)


def test_what_follows_is_an_erasure_of_the_same_person_that_goes_on(
    tenant, cluster, desk, anna, objection, second
):
    from auditvault.privacy.requests.store import RequestNotFoundError
    from auditvault.privacy.requests.wording import RequestInvalidError

    withdrawn = desk.receive(identifiers=ANNA).request_id
    desk.move(withdrawn, Action.WITHDRAW)
    others = [
        withdrawn,
        desk.receive(identifiers=(("user", "bert"),)).request_id,
        desk.receive(kind=Kind.ACCESS, identifiers=ANNA).request_id,
    ]

    for other in others:
        with pytest.raises(RequestMoveError):
            rule_in(second, objection, follow_up=other)
    with pytest.raises(RequestNotFoundError):
        rule_in(second, objection, follow_up=uuid4())
    erasure = desk.receive(identifiers=ANNA).request_id
    with pytest.raises(RequestInvalidError):
        rule_in(second, objection, "overridden", follow_up=erasure)
    assert entries_of(cluster, tenant, "privacy_request.ruled") == []


def test_it_is_decided_once_also_by_two_at_once(tenant, cluster, desk, objection, second):
    def ruled():
        try:
            rule_in(second, objection, "upheld")
        except RequestMoveError as error:
            return error
        return None

    first, other = at_once(ruled, ruled)

    assert (first is None) != (other is None)
    assert len(entries_of(cluster, tenant, "privacy_request.ruled")) == 1
    with pytest.raises(RequestMoveError):
        rule_in(second, objection, "overridden")


def test_nobody_decides_who_had_a_hand_in_it_or_may_not_or_has_no_grounds(
    tenant, cluster, desk, objection, second
):
    from auditvault.privacy.requests.wording import RequestInvalidError

    with pytest.raises(OwnApprovalError):
        rule_in(desk.officer, objection)
    with pytest.raises(AccessDeniedError):
        rule_in(desk.operator, objection)
    with pytest.raises(RequestInvalidError):
        rule_in(second, objection, grounds="because")
    assert entries_of(cluster, tenant, "privacy_request.ruled") == []


def test_a_restriction_is_not_decided_about(tenant, desk, anna, second):
    with pytest.raises(RequestMoveError):
        rule_in(second, carried_out(tenant, desk))


def test_a_ruling_that_does_not_commit_decides_nothing(
    tenant, cluster, desk, objection, second, monkeypatch
):
    from auditvault.privacy.requests import ruling

    def failing(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(ruling, "record_in", failing)
        with pytest.raises(KeyboardInterrupt):
            rule_in(second, objection, "overridden")

    rule_in(second, objection, "upheld")
    with pytest.raises(RequestMoveError):
        lift_in(second, objection)


def test_no_statement_changes_a_ruling_or_makes_one_up(
    tenant, cluster, desk, objection, second, connect
):
    act_for(app := connect("app"), tenant.tenant_id)
    made_up = f"SELECT privacy_rule('{objection}', 'overridden', NULL, '{desk.officer.human}', '{uuid4()}')"
    lifted = f"SELECT privacy_lift('{objection}', '{second.human}')"
    changes = ["UPDATE privacy_ruling SET ruling = 'overridden'", "DELETE FROM privacy_ruling"]

    assert not_refused(app, [made_up, lifted, *changes]) == {}
    rule_in(second, objection, "upheld")
    assert not_refused(app, [lifted, *changes]) == {}
    with superuser(cluster, "region_eu") as connection:
        assert not_refused(connection, [*changes, "TRUNCATE privacy_ruling"]) == {}


def test_it_is_decided_over_http(client, tenant, desk, objection, second):
    def ruled(person):
        answer = client.post(
            f"/api/v1/privacy/requests/{objection}/rule",
            json.dumps({"ruling": "overridden", "words": GROUNDS}),
            content_type="application/json",
            headers=person.headers("privacy_officer"),
        )
        assert "Mustermann" not in answer.content.decode()
        return answer.status_code, answer.json()

    status, body = ruled(desk.officer)
    assert (status, body["code"]) == (403, "approval_own")
    assert ruled(second) == (200, {"ruling": "overridden", "follow_up": None})
    status, body = ruled(second)
    assert (status, body["code"]) == (409, "privacy_request_move")
