"""A request is taken in, looked at and moved over HTTP; no answer names anybody, and no way leads past identity."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from auditvault.core.policy.erasure import Action
from tests.integration.ledger.superuser import superuser
from tests.integration.privacy.requesting import MANIFEST, WORDS
from tests.staff import make_person

REQUESTS = "/api/v1/privacy/requests"
BERLIN = {"country": "DE", "subdivision": "BE", "zone": "Europe/Berlin"}
REASONS = "You are not who you say you are. You may complain to the authority."
CANARIES = ("Mustermann", "Heidestrasse", "anna-of-the-test")
ASKED = {
    "kind": "erasure",
    "regime": "gdpr",
    "calendar": BERLIN,
    "identifiers": [
        {"kind": "user", "value": "anna-of-the-test"},
        {"kind": "email", "value": "Erika.Mustermann@example.org"},
    ],
    "words": WORDS,
}
PREPARING = (
    "ask-identity",
    "verify-identity",
    "rescope",
    "assess",
    "ask-approval",
    "withdraw",
    "mark-duplicate",
    "close",
)


@pytest.fixture
def say(client, desk):
    """Says something to the API as one of the desk's people; returns the status and the body."""
    headers = {
        "operator": desk.operator.headers("privacy_operator"),
        "officer": desk.officer.headers("privacy_officer"),
    }

    def call(path, body=None, *, by="operator", own=None):
        where = REQUESTS + path
        if body is None:
            answer = client.get(where, headers=own or headers[by])
        else:
            answer = client.post(
                where, json.dumps(body), content_type="application/json", headers=own or headers[by]
            )
        assert not any(canary in answer.content.decode() for canary in CANARIES)
        return answer.status_code, answer.json()

    return call


def taken_in(say, **changes):
    status, body = say("", ASKED | changes)
    assert status == 201, body
    return body["id"]


def to_approval(say, desk, request_id):
    say(f"/{request_id}/ask-identity", {})
    say(f"/{request_id}/verify-identity", {})
    desk.move(UUID(request_id), Action.FREEZE, manifest=MANIFEST)
    say(f"/{request_id}/assess", {})
    status, body = say(f"/{request_id}/ask-approval", {})
    assert (status, body["state"]) == (200, "awaiting_approval")


# Intake


def test_a_request_is_taken_in_without_saying_whom_it_is_about(say, tenant, cluster):
    request_id = taken_in(say)
    status, shown = say(f"/{request_id}")
    assert status == 200
    assert (shown["state"], shown["kind"], shown["identifiers"]) == (
        "received",
        "erasure",
        ["email", "user"],
    )
    assert [step["action"] for step in shown["timeline"]] == ["receive"]
    assert shown["actions"] == ["ask_identity", "withdraw", "mark_duplicate"]
    assert 26 * 86400 < shown["seconds_left"] < 36 * 86400
    with superuser(cluster, "region_eu") as connection:
        rows = connection.execute(
            "SELECT r::text FROM privacy_request r WHERE tenant_id = %s"
            " UNION ALL SELECT t::text FROM privacy_request_tag t WHERE tenant_id = %s",
            (tenant.tenant_id, tenant.tenant_id),
        ).fetchall()
    assert len(rows) == 3
    assert not any(canary in row for (row,) in rows for canary in CANARIES)


def test_a_limit_of_the_tenants_own_is_counted_by_its_own_period(say):
    custom = {
        "version": "1",
        "legal_order": "CONTRACT",
        "citation": "Data processing agreement, section 9",
        "answer": "P10D",
    }
    received = datetime.now(UTC) - timedelta(days=1)
    request_id = taken_in(
        say, regime="custom", custom=custom, received_at=received.isoformat(), kind="access"
    )
    _, shown = say(f"/{request_id}")
    assert 8 * 86400 < shown["seconds_left"] < 11 * 86400


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"regime": "martian"}, "request_invalid"),
        ({"regime": "custom"}, "regime_unknown"),
        ({"kind": "oblivion"}, "request_invalid"),
        ({"received_at": "2026-02-30T00:00:00Z"}, "request_invalid"),
        ({"received_at": "2199-01-01T00:00:00Z"}, "privacy_request_invalid"),
        ({"identifiers": []}, "request_invalid"),
        ({"identifiers": [{"kind": "shoe_size", "value": "44"}]}, "identifier_kind_unknown"),
        ({"calendar": {"country": "ZZ", "zone": "Europe/Berlin"}}, "calendar_unknown"),
        ({"calendar": {"country": "DE", "zone": "Moon/Sea"}}, "calendar_unknown"),
        ({"state": "identified"}, "request_invalid"),
        ({"hands": []}, "request_invalid"),
        ({"regime_version": "0"}, "request_invalid"),
        ({"is_identified": True}, "request_invalid"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_is_no_request_is_refused_and_nothing_is_written(say, tenant, cluster, changes, code):
    status, body = say("", ASKED | changes)
    assert (status, body["code"]) == (400, code)
    with superuser(cluster, "region_eu") as connection:
        found = connection.execute(
            "SELECT count(*) FROM privacy_request WHERE tenant_id = %s", (tenant.tenant_id,)
        ).fetchone()
    assert found == (0,)


# Going on


def test_a_request_goes_from_intake_to_an_approval_by_somebody_else(say, desk):
    request_id = taken_in(say)
    to_approval(say, desk, request_id)
    status, body = say(f"/{request_id}/approve", {"manifest": MANIFEST.hex()}, by="officer")
    assert (status, body["state"]) == (200, "scheduled")
    assert body["approved_manifest"] == MANIFEST.hex()
    _, shown = say(f"/{request_id}", by="officer")
    steps = [(step["action"], step["actor"].split(":")[0]) for step in shown["timeline"]]
    assert [action for action, _ in steps] == [
        "receive",
        "ask_identity",
        "verify_identity",
        "freeze",
        "assess",
        "ask_approval",
        "approve",
    ]
    assert shown["hands"] == 2


def test_another_manifest_than_the_frozen_one_is_not_approved(say, desk):
    request_id = taken_in(say)
    to_approval(say, desk, request_id)
    status, body = say(f"/{request_id}/approve", {"manifest": "00" * 32}, by="officer")
    assert (status, body["code"]) == (409, "manifest_drifted")


def test_whoever_prepared_a_request_approves_it_by_no_account_and_no_token(say, desk, tenant):
    request_id = taken_in(say)
    to_approval(say, desk, request_id)
    second = make_person(tenant, "privacy_officer", of=desk.operator)
    status, body = say(
        f"/{request_id}/approve",
        {"manifest": MANIFEST.hex()},
        own=second.headers("privacy_officer"),
    )
    assert status == 403
    assert body["code"] in {"approval_own", "access_denied"}
    assert say(f"/{request_id}")[1]["state"] == "awaiting_approval"


@pytest.mark.parametrize("to", ["verify-identity", "assess", "ask-approval", "close", "rescope"])
def test_a_step_that_leads_nowhere_from_here_is_refused(say, to):
    request_id = taken_in(say)
    status, body = say(f"/{request_id}/{to}", {})
    assert (status, body["code"]) == (409, "privacy_request_move")


def test_a_clone_begins_at_the_beginning_whatever_the_other_has_proved(say, desk):
    request_id = taken_in(say)
    to_approval(say, desk, request_id)
    asked = {name: ASKED[name] for name in ("kind", "regime", "calendar")}
    status, body = say(f"/{request_id}/clone", asked)
    assert (status, body["state"], body["is_identified"]) == (201, "received", False)
    assert body["manifest"] is None
    assert say(f"/{body['id']}/assess", {})[1]["code"] == "privacy_request_move"
    status, body = say(f"/{request_id}/clone", ASKED)
    assert (status, body["code"]) == (400, "request_invalid")


def test_a_refusal_needs_reasons_and_somebody_who_had_no_hand_in_it(say):
    request_id = taken_in(say)
    say(f"/{request_id}/ask-identity", {})
    assert say(f"/{request_id}/refuse", {}, by="officer")[0] == 400
    assert say(f"/{request_id}/refuse", {"words": REASONS})[0] == 403
    status, body = say(f"/{request_id}/refuse", {"words": REASONS}, by="officer")
    assert (status, body["state"]) == (200, "refused")
    assert say(f"/{request_id}/close", {})[1]["state"] == "closed"


def test_more_time_is_taken_once_and_with_reasons(say):
    request_id = taken_in(say)
    before = say(f"/{request_id}")[1]
    assert say(f"/{request_id}/extend", {})[0] == 400
    status, body = say(f"/{request_id}/extend", {"words": REASONS})
    assert (status, body["is_extended"]) == (200, True)
    assert body["due_at"] > before["due_at"]
    assert say(f"/{request_id}/extend", {"words": REASONS})[1]["code"] == "extension_refused"


# Lists


def test_requests_are_listed_in_pages_and_by_what_they_are(say):
    made = [taken_in(say, kind=kind) for kind in ("erasure", "access", "erasure")]
    say(f"/{made[2]}/withdraw", {})
    page = say("?limit=2")[1]
    assert [each["id"] for each in page["requests"]] == [made[2], made[1]]
    assert [each["id"] for each in say(f"?cursor={page['next_cursor']}")[1]["requests"]] == [
        made[0]
    ]
    assert [each["id"] for each in say("?open=true&kind=erasure")[1]["requests"]] == [made[0]]
    assert [each["id"] for each in say("?state=withdrawn")[1]["requests"]] == [made[2]]
    assert say("?due_before=2026-01-01T00:00:00Z")[1]["requests"] == []


def test_a_look_at_requests_is_recorded(say, tenant, cluster):
    taken_in(say)
    say("")
    with superuser(cluster, "region_eu") as connection:
        found = connection.execute(
            "SELECT count(*) FROM access_event WHERE tenant_id = %s AND action = 'read_privacy'",
            (tenant.tenant_id,),
        ).fetchone()
    assert found == (1,)


# Who may not


@pytest.mark.parametrize("role", ["viewer", "engineer", "auditor", "legal", "records_manager"])
def test_who_works_on_no_requests_takes_no_step(say, tenant, role):
    request_id = taken_in(say)
    own = make_person(tenant, role).headers(role)
    for to in PREPARING:
        assert say(f"/{request_id}/{to}", {}, own=own)[0] == 403
    assert say(f"/{request_id}/approve", {"manifest": MANIFEST.hex()}, own=own)[0] == 403
    assert say("", ASKED, own=own)[0] == 403


def test_a_machine_takes_no_request_in(client, tenant):
    answer = client.post(
        REQUESTS,
        json.dumps(ASKED),
        content_type="application/json",
        headers=tenant.headers("privacy_operator"),
    )
    assert answer.status_code == 403


def test_a_request_that_is_not_there_is_answered_like_one_of_another_tenant(say, other_tenant):
    request_id = taken_in(say)
    other = make_person(other_tenant, "privacy_operator").headers("privacy_operator")
    theirs = say(f"/{request_id}", own=other)
    nobodys = say(f"/{uuid4()}", own=other)
    assert theirs == nobodys
    assert theirs[0] == 404
    assert say(f"/{request_id}/withdraw", {}, own=other) == say(
        f"/{uuid4()}/withdraw", {}, own=other
    )
