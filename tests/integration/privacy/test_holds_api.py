"""A legal hold is placed, looked at and released over HTTP; its reason is given back nowhere."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from tests.integration.privacy.holding import REASON, REFERENCE
from tests.staff import make_person

HOLDS = "/api/v1/privacy/holds"


@pytest.fixture
def say(client, lawyers):
    """Says something to the API as a lawyer; returns the status and the body."""
    headers = {
        "one": lawyers.one.headers("legal"),
        "other": lawyers.other.headers("legal"),
    }

    def call(where, body=None, *, by="one", own=None):
        how = own or headers[by]
        if body is None:
            answer = client.get(where, headers=how)
        else:
            answer = client.post(
                where, json.dumps(body), content_type="application/json", headers=how
            )
        assert "Mustermann" not in answer.content.decode()
        return answer.status_code, answer.json() if answer.content else None

    return call


@pytest.fixture
def wanted(lawyers):
    return {
        "scope": {"kind": "case", "cases": [REFERENCE]},
        "reference": REFERENCE,
        "reason": REASON,
        "custodian": str(lawyers.other.human),
        "review_on": (datetime.now(UTC) + timedelta(days=90)).date().isoformat(),
    }


def placed(say, wanted, **changes):
    status, body = say(HOLDS, wanted | changes)
    assert status == 201, body
    return body["id"]


def test_a_hold_is_placed_and_shown_with_the_plan_of_its_release(say, wanted):
    hold_id = placed(say, wanted)
    status, shown = say(f"{HOLDS}/{hold_id}")
    assert (status, shown["scope"], shown["reference"]) == (200, wanted["scope"], REFERENCE)
    assert (shown["is_overdue"], shown["released_at"]) == (False, None)
    assert json.loads(shown["release_plan"])["operation"] == "hold_release"


def test_a_hold_is_released_once_with_an_approval_by_somebody_else(say, wanted):
    hold_id = placed(say, wanted)
    plan = say(f"{HOLDS}/{hold_id}")[1]["release_plan"]
    status, asked = say("/api/v1/access/approvals", {"plan": plan, "case": REFERENCE})
    assert status == 201, asked
    release = {"approval_id": asked["id"]}
    assert say(f"{HOLDS}/{hold_id}/release", release)[0] >= 400
    assert say(f"/api/v1/access/approvals/{asked['id']}/approve", {})[0] == 403
    assert say(f"/api/v1/access/approvals/{asked['id']}/approve", {}, by="other")[0] == 200
    assert say(f"{HOLDS}/{hold_id}/release", release)[0] == 200
    assert say(f"{HOLDS}/{hold_id}/release", release)[1]["code"] == "hold_not_open"
    assert say(f"{HOLDS}/{hold_id}")[1]["release_plan"] is None
    assert say(f"{HOLDS}?open=true")[1]["holds"] == []


def test_holds_are_listed_in_pages_and_none_is_overdue_before_its_day(say, wanted):
    made = [placed(say, wanted) for _ in range(2)]
    page = say(f"{HOLDS}?limit=1")[1]
    assert [each["id"] for each in page["holds"]] == [made[1]]
    after = say(f"{HOLDS}?limit=1&cursor={page['next_cursor']}")[1]
    assert [each["id"] for each in after["holds"]] == [made[0]]
    assert say(f"{HOLDS}?overdue=true")[1]["holds"] == []


def test_records_are_put_to_a_case(say):
    body = {"case": REFERENCE, "records": [str(uuid4())]}
    assert say("/api/v1/privacy/cases/records", body) == (204, None)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"scope": {"kind": "case", "cases": []}}, "hold_scope_invalid"),
        ({"scope": {"kind": "moon"}}, "request_invalid"),
        ({"scope": "everything"}, "request_invalid"),
        ({"scope": {"kind": "tenant", "region": "us"}}, "request_invalid"),
        ({"scope": {"kind": "tenant", "cases": [REFERENCE]}}, "hold_scope_invalid"),
        ({"scope": {"kind": "period", "from": None, "before": None}}, "hold_scope_invalid"),
        ({"review_on": "2020-01-01"}, "hold_invalid"),
        ({"custodian": str(uuid4())}, "hold_invalid"),
        ({"reason": "because"}, "hold_invalid"),
        ({"reference": "Erika's matter"}, "case_invalid"),
        ({"placed_by": str(uuid4())}, "request_invalid"),
        ({"released_at": None}, "request_invalid"),
    ],
)
def test_what_is_no_hold_is_refused_and_nothing_is_placed(say, wanted, changes, code):
    status, body = say(HOLDS, wanted | changes)
    assert (status, body["code"]) == (400, code)
    assert say(HOLDS)[1]["holds"] == []


@pytest.mark.parametrize("role", ["viewer", "engineer", "auditor", "privacy_operator"])
def test_who_may_place_no_holds_neither_places_nor_releases_one(say, wanted, tenant, role):
    hold_id = placed(say, wanted)
    own = make_person(tenant, role).headers(role)
    assert say(HOLDS, wanted, own=own)[0] == 403
    assert say(f"{HOLDS}/{hold_id}/release", {"approval_id": str(uuid4())}, own=own)[0] == 403
    put = {"case": REFERENCE, "records": [str(uuid4())]}
    assert say("/api/v1/privacy/cases/records", put, own=own)[0] == 403


def test_a_hold_that_is_not_there_is_answered_like_one_of_another_tenant(say, wanted, other_tenant):
    hold_id = placed(say, wanted)
    other = make_person(other_tenant, "legal").headers("legal")
    theirs = say(f"{HOLDS}/{hold_id}", own=other)
    assert theirs == say(f"{HOLDS}/{uuid4()}", own=other)
    assert theirs[0] == 404
    release = {"approval_id": str(uuid4())}
    assert say(f"{HOLDS}/{hold_id}/release", release, own=other) == say(
        f"{HOLDS}/{uuid4()}/release", release, own=other
    )
