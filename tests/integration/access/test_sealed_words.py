"""Words that were sealed with a record are shown to whoever works on the matter, once that is recorded."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from auditvault.core.policy.erasure import Action
from auditvault.core.policy.holds import TenantScope
from auditvault.core.tlog.canonical import parse_canonical
from tests.integration.access.test_break_glass import recent, with_address
from tests.integration.ledger.superuser import superuser
from tests.integration.privacy.holding import REASON, Lawyers
from tests.integration.privacy.requesting import WORDS, Desk
from tests.staff import make_person

WHY = "Production is down and a customer's answer is needed at once."
GIVEN = "Please send a copy of your passport."


@pytest.fixture
def written(service, tenant):
    """A request, a hold and a break-glass: their paths, and what was written with each."""
    from auditvault.access.break_glass.services import open_break_glass

    desk, lawyers, holder = Desk(tenant), Lawyers(tenant), make_person(tenant, "investigator")
    for _ in range(2):
        with_address(make_person(tenant, "privacy_officer"))
    request_id = desk.receive().request_id
    desk.move(request_id, Action.ASK_IDENTITY, words=GIVEN)
    hold_id = lawyers.place(TenantScope()).hold_id
    opened = open_break_glass(
        credential=recent(holder, datetime.now(UTC)),
        region="eu",
        case="INC-1",
        reason=WHY,
        now=datetime.now(UTC),
    )
    return {
        "words": (f"/api/v1/privacy/requests/{request_id}/words", (WORDS, GIVEN)),
        "hold": (f"/api/v1/privacy/holds/{hold_id}/reason", (REASON,)),
        "glass": (
            f"/api/v1/access/break-glass/{opened.opened.break_glass_id}/reason",
            (WHY,),
        ),
    }


def looks(cluster, tenant):
    """Outcome and details of each look at words."""
    with superuser(cluster, "region_eu") as connection:
        rows = connection.execute(
            "SELECT outcome, header FROM access_event WHERE tenant_id = %s AND action = 'read_words'"
            " ORDER BY record_id",
            (tenant.tenant_id,),
        ).fetchall()
    return [(outcome, parse_canonical(bytes(header))["details"]) for outcome, header in rows]


def ask(client, path, person, *roles, strong=True):
    headers = person.headers(*roles, strong=strong)
    return client.post(path, json.dumps({}), content_type="application/json", headers=headers)


WHO = {"words": "privacy_operator", "hold": "legal", "glass": "privacy_officer"}


@pytest.mark.parametrize("what", WHO)
def test_words_are_shown_to_whoever_works_on_the_matter_and_each_look_is_recorded(
    client, tenant, cluster, written, what
):
    path, texts = written[what]
    person = make_person(tenant, WHO[what])
    answer = ask(client, path, person, WHO[what])
    assert answer.status_code == 200, answer.content
    said = answer.json()
    found = [each["text"] for each in said["words"]] if "words" in said else [said["reason"]]
    assert tuple(found) == texts
    ((outcome, details),) = looks(cluster, tenant)
    assert (outcome, len(details["objects"])) == ("granted", len(texts))
    assert not any(text in json.dumps(details) for text in texts)


def test_nobody_else_sees_words(client, tenant, cluster, written):
    seen = {}
    for role in ("viewer", "engineer", "auditor", "investigator"):
        other = make_person(tenant, role)
        for what, (path, _) in written.items():
            seen[role, what] = ask(client, path, other, role).status_code
    assert set(seen.values()) == {403}
    assert looks(cluster, tenant) == []


def test_words_take_a_second_factor(client, tenant, cluster, written):
    for what, (path, _) in written.items():
        answer = ask(client, path, make_person(tenant, WHO[what]), WHO[what], strong=False)
        assert answer.status_code == 403
    assert looks(cluster, tenant) == []


def test_words_of_another_tenant_are_not_there(client, other_tenant, written):
    for what, (path, _) in written.items():
        answer = ask(client, path, make_person(other_tenant, WHO[what]), WHO[what])
        assert answer.status_code == 404


@pytest.mark.parametrize("what", WHO)
def test_a_look_that_cannot_be_recorded_shows_no_words(client, tenant, written, monkeypatch, what):
    from auditvault.access import sealed_words
    from auditvault.access.events.services import AccessNotRecordedError

    def cannot(**_given):
        raise AccessNotRecordedError("not now")

    monkeypatch.setattr(sealed_words, "record_act", cannot)
    for role, (path, texts) in zip(WHO.values(), written.values(), strict=True):
        answer = ask(client, path, make_person(tenant, role), role)
        assert answer.status_code == 503
        assert not any(text in answer.content.decode() for text in texts)


def test_a_request_without_words_has_none_to_show(client, tenant, service):
    desk = Desk(tenant)
    request_id = desk.receive(words=None).request_id
    path = f"/api/v1/privacy/requests/{request_id}/words"
    answer = ask(client, path, desk.operator, "privacy_operator")
    assert (answer.status_code, answer.json()["code"]) == (404, "words_not_found")
