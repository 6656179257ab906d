"""Break-glass: an hour in which somebody sees a case's content without a grant, and two others hear of it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import sha256
from types import SimpleNamespace
from uuid import UUID, uuid4

import psycopg
import pytest

from auditvault.core.policy.break_glass import Verdict
from tests.integration.access.test_approvals import admin_entries, code_of, together
from tests.integration.access.test_grants import look, recorded, refused
from tests.integration.evidence.verdict import findings
from tests.integration.ingest.sending import chat, post, record
from tests.integration.ledger.superuser import superuser
from tests.integration.vault.looking import PURPOSE, revealed
from tests.staff import make_person

NOW = datetime.now(UTC)
MINUTE = timedelta(minutes=1)
DAYS = timedelta(days=5)
"""More than a business day."""
REASON = "The hospital asks at once what the assistant told the patient"


@pytest.fixture
def glass(service):
    """The modules under test: they hold models, which can be imported once Django is set up."""
    from auditvault.access.break_glass import selectors, services, store

    return SimpleNamespace(services=services, selectors=selectors, store=store)


@pytest.fixture
def staff(tenant):
    """An investigator, and two people with an address who hear of it and may review."""
    return SimpleNamespace(
        investigator=make_person(tenant, "investigator"),
        officer=with_address(make_person(tenant, "privacy_officer")),
        other=with_address(make_person(tenant, "privacy_officer")),
    )


def with_address(person):
    person.user.email = f"{person.user.username}@acme.example"
    person.user.save()
    return person


def recent(person, now=NOW):
    """The credential of somebody who has just said in their session who they are."""
    return replace(
        person.signed_in(), reauthenticated_at=now, strong_until=now + timedelta(hours=1)
    )


def opened(glass, person, *, now=NOW, case="INC-1", **change):
    """One that the person opens."""
    given = {"credential": recent(person, now), "reason": REASON} | change
    return glass.services.open_break_glass(region="eu", case=case, now=now, **given)


def refusal(glass, person, **how):
    return code_of(opened, glass, person, **how)


def ended(glass, person, found, now=NOW):
    return glass.services.end(
        credential=recent(person, now),
        region="eu",
        break_glass_id=found.opened.break_glass_id,
        now=now,
    )


def reviewed(glass, person, found, *, now, verdict=Verdict.JUSTIFIED, case="REV-1"):
    return glass.services.review(
        credential=recent(person, now),
        region="eu",
        break_glass_id=found.opened.break_glass_id,
        verdict=verdict,
        case=case,
        now=now,
    )


def break_in(client, person, content, **purpose):
    """A look under it, over HTTP."""
    return look(client, person, content, **({"code": "BREAK_GLASS"} | purpose))


def seen_at(person, content, now):
    """What the same look comes to at another time."""
    from auditvault.access.disclosure import Look, resolve

    asked = Look(
        content_hash=f"sha256:{sha256(content.encode()).hexdigest()}",
        **PURPOSE | {"code": "BREAK_GLASS"},
    )
    return code_of(resolve, credential=recent(person, now), region="eu", look=asked, now=now)


def rows(cluster, tenant):
    """How many rows, alerts and sealed reasons the tenant has."""
    with superuser(cluster, "region_eu") as connection:
        return connection.execute(
            "SELECT (SELECT count(*) FROM access_break_glass WHERE tenant_id = t),"
            " (SELECT count(*) FROM access_alert WHERE tenant_id = t),"
            " (SELECT count(*) FROM vault_object WHERE tenant_id = t AND role = 'access_reason')"
            " FROM (SELECT %s AS t) AS tenant",
            (tenant.tenant_id,),
        ).fetchone()


# --- opening ----------------------------------------------------------------------------------------------


def test_opening_leaves_row_entry_sealed_reason_and_alert(glass, staff, tenant, cluster):
    found = opened(glass, staff.investigator).opened

    entries = dict(admin_entries(cluster, tenant.tenant_id))
    assert list(entries) == ["break_glass.opened", "alert.raised"]
    said = entries["break_glass.opened"]
    assert said["break_glass"] == entries["alert.raised"]["break_glass"]
    assert said["break_glass"] == str(found.break_glass_id)
    assert said["reason"]["role"] == "access_reason"
    assert entries["alert.raised"]["alert"] == "break_glass"
    assert "reason" not in entries["alert.raised"]
    assert "hospital" not in json.dumps(list(entries.values()))
    assert rows(cluster, tenant) == (1, 1, 1)
    assert found.expires_at - found.opened_at == timedelta(minutes=60)


def test_what_is_opened_ended_and_reviewed_verifies(glass, staff, tenant, client):
    record(client, tenant, chat("a secret"))
    found = opened(glass, staff.investigator, now=datetime.now(UTC))
    assert revealed(break_in(client, staff.investigator, "a secret")) == ["a secret"]
    later = datetime.now(UTC)
    ended(glass, staff.investigator, found, later)
    reviewed(glass, staff.officer, found, now=later)

    assert findings(tenant, region="eu", with_payloads=True) == {}


def test_who_may_not_does_not_open(glass, staff, tenant):
    person = staff.investigator
    long_ago = replace(recent(person), reauthenticated_at=NOW - 6 * MINUTE)
    never = replace(recent(person), reauthenticated_at=None)
    weak = replace(recent(person), strong_until=None)
    lapsed = replace(recent(person), strong_until=NOW)
    machine = replace(recent(person), human=None)
    elsewhere = replace(recent(person), regions=("us",))

    assert {
        name: refusal(glass, person, credential=credential)
        for name, credential in {
            "long ago": long_ago,
            "never": never,
            "weak": weak,
            "lapsed": lapsed,
            "machine": machine,
            "elsewhere": elsewhere,
            "officer": recent(staff.officer),
        }.items()
    } == {
        "long ago": "reauthentication_required",
        "never": "reauthentication_required",
        "weak": "second_factor_required",
        "lapsed": "second_factor_required",
        "machine": "human_required",
        "elsewhere": "access_denied",
        "officer": "access_denied",
    }
    assert refusal(glass, person, reason="because because because") == "purpose_invalid"
    assert refusal(glass, person, case="no reference!") == "purpose_invalid"


def test_without_two_others_to_tell_nobody_opens(glass, staff, tenant, cluster):
    from auditvault.access.models import User

    person = with_address(staff.investigator)
    other = staff.other.user
    User.objects.filter(pk=other.pk).update(email="")
    one = refusal(glass, person)
    # The same human twice, by two accounts, is one who is told.
    User.objects.filter(pk=other.pk).update(email="x@acme.example", human=staff.officer.user.human)
    same = refusal(glass, person)
    # And who opens tells themselves nothing.
    User.objects.filter(pk=other.pk).update(human=person.user.human)
    own = refusal(glass, person, credential=replace(recent(person), held=frozenset()))

    assert (one, same, own) == ("break_glass_unseen",) * 3
    assert rows(cluster, tenant) == (0, 0, 0)


def test_a_webhook_is_nobody_who_is_told(glass, staff, tenant):
    from auditvault.access.receivers.services import add_webhook

    add_webhook(
        actor="operator:cli", tenant_id=tenant.tenant_id, url="https://hooks.acme.example/x"
    )

    assert refusal(glass, staff.investigator) == "break_glass_unseen"


def test_one_who_has_one_open_opens_no_other(glass, staff):
    found = opened(glass, staff.investigator)

    assert refusal(glass, staff.investigator, now=NOW + 59 * MINUTE, case="INC-2") == (
        "break_glass_open"
    )
    ended(glass, staff.investigator, found, NOW + 59 * MINUTE)
    assert refusal(glass, staff.investigator, now=NOW + 59 * MINUTE, case="INC-2") == "done"


def test_nor_by_another_account_of_theirs_even_one_that_was_linked_since(glass, staff, tenant):
    from auditvault.access.models import User

    opened(glass, staff.investigator)
    second = make_person(tenant, "investigator")
    User.objects.filter(pk=staff.investigator.user.pk).update(human=second.user.human)

    assert refusal(glass, second) == "break_glass_open"


def test_of_two_openings_at_once_one_waits_and_is_refused(glass, staff, tenant, cluster):
    codes = together(
        *[partial(opened, glass, staff.investigator, case=case) for case in ("INC-1", "INC-2")]
    )

    assert sorted(codes) == ["break_glass_open", "done"]
    assert rows(cluster, tenant) == (1, 1, 1)


def test_an_overdue_one_blocks_everybody_in_the_tenant_until_it_is_reviewed(glass, staff, tenant):
    found = opened(glass, staff.investigator)
    early, late = (make_person(tenant, "investigator") for _ in range(2))
    due = found.opened.due_at

    assert refusal(glass, early, now=due - MINUTE) == "done"
    assert refusal(glass, late, now=due) == "break_glass_unreviewed"
    done = reviewed(glass, staff.officer, found, now=due + MINUTE)
    assert done.opened.review.verdict is Verdict.JUSTIFIED
    assert refusal(glass, late, now=due + MINUTE) == "done"


@pytest.mark.parametrize("step", ["insert", "record_in", "raise_within"])
def test_an_opening_that_fails_at_any_step_leaves_nothing(
    glass, staff, tenant, cluster, monkeypatch, step
):
    place = glass.store if step == "insert" else glass.services

    def fail(*_, **__):
        raise ZeroDivisionError

    monkeypatch.setattr(place, step, fail)
    with pytest.raises(ZeroDivisionError):
        opened(glass, staff.investigator)

    assert rows(cluster, tenant) == (0, 0, 0)
    assert admin_entries(cluster, tenant.tenant_id) == []


def test_a_reason_that_failed_to_be_written_does_not_stand_beside_the_next(
    glass, staff, tenant, cluster, monkeypatch
):
    with monkeypatch.context() as patch:
        patch.setattr(glass.store, "insert", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            opened(glass, staff.investigator)
    opened(glass, staff.investigator)

    assert findings(tenant, region="eu", with_payloads=True) == {}


# --- looking ----------------------------------------------------------------------------------------------


def test_a_look_under_it_needs_no_grant_and_is_recorded_with_it(
    client, glass, staff, tenant, cluster
):
    record(client, tenant, chat("a secret"))
    before = break_in(client, staff.investigator, "a secret")
    found = opened(glass, staff.investigator, now=datetime.now(UTC)).opened

    assert revealed(break_in(client, staff.investigator, "a secret")) == ["a secret"]
    assert refused(before) == (403, "break_glass_missing")
    (denied, refused_as), (outcome, said) = recorded(cluster, tenant)
    assert (denied, refused_as["code"]) == ("denied", "break_glass_missing")
    assert (outcome, said["break_glass"]) == ("granted", str(found.break_glass_id))
    assert (len(said["objects"]), "grants" in said) == (1, False)
    with superuser(cluster, "region_eu") as connection:
        (code,) = connection.execute(
            "SELECT purpose_code FROM access_event WHERE tenant_id = %s AND action = 'resolve'"
            " AND outcome = 'granted'",
            (tenant.tenant_id,),
        ).fetchone()
    assert code == "BREAK_GLASS"


def test_it_is_for_its_case_and_its_human_and_its_own_code_alone(client, glass, staff, tenant):
    record(client, tenant, chat("a secret"))
    opened(glass, staff.investigator, now=datetime.now(UTC))
    colleague = make_person(tenant, "investigator")

    assert [
        refused(break_in(client, staff.investigator, "a secret", case="INC-2")),
        refused(break_in(client, colleague, "a secret")),
        refused(break_in(client, staff.investigator, "a secret", code="INCIDENT")),
        refused(break_in(client, staff.investigator, "a secret", reason="because")),
    ] == [
        (403, "break_glass_missing"),
        (403, "break_glass_missing"),
        (403, "grant_missing"),
        (422, "purpose_invalid"),
    ]


def test_an_hour_later_nothing_is_seen_and_the_refusal_is_recorded(
    client, glass, staff, tenant, cluster
):
    record(client, tenant, chat("a secret"))
    start = opened(glass, staff.investigator).opened.opened_at
    hour = timedelta(minutes=60)

    last = seen_at(staff.investigator, "a secret", start + hour - timedelta(milliseconds=1))
    after = seen_at(staff.investigator, "a secret", start + hour)

    assert (last, after) == ("done", "break_glass_missing")
    assert [outcome for outcome, _ in recorded(cluster, tenant)] == ["granted", "denied"]


def test_once_it_is_ended_nothing_is_seen(client, glass, staff, tenant, cluster):
    record(client, tenant, chat("a secret"))
    found = opened(glass, staff.investigator)
    ended(glass, staff.investigator, found, NOW + MINUTE)

    assert seen_at(staff.investigator, "a secret", NOW + 2 * MINUTE) == "break_glass_missing"
    assert admin_entries(cluster, tenant.tenant_id)[-1][0] == "break_glass.ended"
    assert code_of(ended, glass, staff.investigator, found, NOW + MINUTE) == "break_glass_over"


def test_one_that_is_ended_in_the_middle_of_a_look_shows_nothing(
    client, glass, staff, tenant, cluster, monkeypatch
):
    from auditvault.access import disclosure

    record(client, tenant, chat("a secret"))
    found = opened(glass, staff.investigator)
    finds = disclosure._look_for

    def and_then_it_ends(*given):
        result = finds(*given)
        ended(glass, staff.investigator, found, NOW + MINUTE)
        return result

    monkeypatch.setattr(disclosure, "_look_for", and_then_it_ends)

    assert seen_at(staff.investigator, "a secret", NOW + 2 * MINUTE) == "break_glass_missing"
    assert [outcome for outcome, _ in recorded(cluster, tenant)] == ["denied"]


def test_a_look_is_recorded_before_content_is_opened(
    client, glass, staff, tenant, cluster, monkeypatch
):
    from auditvault.access import disclosure

    record(client, tenant, chat("a secret"))
    opened(glass, staff.investigator, now=datetime.now(UTC))
    at_opening = []
    monkeypatch.setattr(
        disclosure, "_open_all", lambda *_: at_opening.append(recorded(cluster, tenant)) or []
    )

    break_in(client, staff.investigator, "a secret")

    (((outcome, said),),) = at_opening
    assert (outcome, len(said["objects"])) == ("granted", 1)


def test_a_look_that_cannot_be_noted_shows_nothing(client, glass, staff, tenant, cluster):
    record(client, tenant, chat("a secret"))
    opened(glass, staff.investigator, now=datetime.now(UTC))
    function = "access_look_under_break_glass(uuid, uuid, uuid, integer, timestamptz)"
    with superuser(cluster, "region_eu") as connection:
        connection.execute(f"REVOKE EXECUTE ON FUNCTION {function} FROM auditvault_app")
    try:
        answer = break_in(client, staff.investigator, "a secret")
    finally:
        with superuser(cluster, "region_eu") as connection:
            connection.execute(f"GRANT EXECUTE ON FUNCTION {function} TO auditvault_app")

    assert refused(answer) == (503, "access_not_recorded")
    assert recorded(cluster, tenant) == []


def test_nothing_but_looking_goes_under_it(client, glass, staff, tenant):
    """No grant, export, erasure, hold or approval by its code; and the roles stay what they are."""
    from auditvault.core.policy.roles import Act

    opened(glass, staff.investigator, now=datetime.now(UTC))
    headers = staff.investigator.headers("investigator")
    grant = {"case": "INC-1", "codes": ["BREAK_GLASS"], "scope": {"traces": ["0" * 32]}}
    asked = post(client, "/api/v1/access/grants", grant, headers)
    report = {"report": "looks", "purpose": {"code": "BREAK_GLASS", "case": "INC-1"}}
    exported = post(client, "/api/v1/access/reports", report, headers)

    assert (asked.status_code, asked.json()["code"]) == (400, "request_invalid")
    assert (exported.status_code, exported.json()["code"]) == (403, "access_denied")
    credential = recent(staff.investigator, datetime.now(UTC))
    for act in (
        Act.APPROVE_EXPORT,
        Act.APPROVE_ERASURE,
        Act.PLACE_HOLD,
        Act.MANAGE_KEYS,
        Act.APPROVE_GRANT,
    ):
        assert code_of(credential.role_for, act) == "access_denied"


# --- reviewing --------------------------------------------------------------------------------------------


def test_a_review_says_whether_it_was_right_and_under_which_case(glass, staff, tenant, cluster):
    found = opened(glass, staff.investigator)
    done = reviewed(
        glass, staff.officer, found, now=NOW + 61 * MINUTE, verdict=Verdict.NOT_JUSTIFIED
    )

    action, said = admin_entries(cluster, tenant.tenant_id)[-1]
    assert (action, said["verdict"], said["case"], said["late"]) == (
        "break_glass.reviewed",
        "not_justified",
        "REV-1",
        False,
    )
    assert (done.opened.review.case, done.reviewer) == (
        "REV-1",
        staff.officer.signed_in().actor,
    )


def test_a_review_is_made_once_and_not_before_it_is_over(glass, staff):
    found = opened(glass, staff.investigator)

    early = code_of(reviewed, glass, staff.officer, found, now=NOW + 59 * MINUTE)
    no_case = code_of(reviewed, glass, staff.officer, found, now=NOW + 60 * MINUTE, case="a b")
    first = code_of(reviewed, glass, staff.officer, found, now=NOW + 60 * MINUTE)
    second = code_of(reviewed, glass, staff.other, found, now=NOW + 60 * MINUTE)

    assert (early, no_case, first, second) == (
        "break_glass_open",
        "case_invalid",
        "done",
        "break_glass_reviewed",
    )


def test_nobody_reviews_their_own_by_a_second_account_or_a_token(
    client, glass, staff, tenant, cluster
):
    from auditvault.access.models import User

    found = opened(glass, staff.investigator, now=NOW - DAYS)
    User.objects.filter(pk=staff.officer.user.pk).update(human=staff.investigator.user.human)
    officer = SimpleNamespace(
        signed_in=lambda: replace(staff.officer.signed_in(), human=staff.investigator.human)
    )
    held = replace(officer.signed_in(), held=frozenset())
    path = f"/api/v1/access/break-glass/{found.opened.break_glass_id}/review"
    body = {"verdict": "justified", "case": "REV-1"}
    by_token = post(client, path, body, staff.investigator.headers("investigator"))

    own = code_of(
        glass.services.review,
        credential=replace(held, strong_until=NOW + DAYS),
        region="eu",
        break_glass_id=found.opened.break_glass_id,
        verdict=Verdict.JUSTIFIED,
        case="REV-1",
        now=NOW,
    )
    assert own == "break_glass_own"
    assert (by_token.status_code, by_token.json()["code"]) == (403, "access_denied")
    assert "break_glass.reviewed" not in dict(admin_entries(cluster, tenant.tenant_id))


def test_nor_by_an_account_that_was_linked_since(glass, staff):
    from auditvault.access.models import User

    found = opened(glass, staff.investigator)
    User.objects.filter(pk=staff.investigator.user.pk).update(human=staff.officer.user.human)
    credential = replace(recent(staff.officer), strong_until=NOW + DAYS, held=frozenset())

    assert (
        code_of(
            glass.services.review,
            credential=credential,
            region="eu",
            break_glass_id=found.opened.break_glass_id,
            verdict=Verdict.JUSTIFIED,
            case="REV-1",
            now=NOW + 61 * MINUTE,
        )
        == "break_glass_own"
    )


def test_who_reviews_has_the_role_and_a_second_factor(glass, staff, tenant):
    found = opened(glass, staff.investigator)
    later = NOW + 61 * MINUTE
    weak = replace(recent(staff.officer, later), strong_until=None)

    def code(credential):
        return code_of(
            glass.services.review,
            credential=credential,
            region="eu",
            break_glass_id=found.opened.break_glass_id,
            verdict=Verdict.JUSTIFIED,
            case="REV-1",
            now=later,
        )

    auditor = make_person(tenant, "auditor")
    assert [code(weak), code(recent(auditor, later))] == [
        "second_factor_required",
        "access_denied",
    ]


def test_nobody_else_ends_it_and_other_tenants_find_nothing(
    client, glass, staff, tenant, other_tenant
):
    found = opened(glass, staff.investigator)
    stranger = make_person(other_tenant, "privacy_officer")

    assert code_of(ended, glass, staff.officer, found) == "break_glass_not_found"
    assert code_of(reviewed, glass, stranger, found, now=NOW + 61 * MINUTE) == (
        "break_glass_not_found"
    )


# --- seeing -----------------------------------------------------------------------------------------------


def test_ones_own_are_listed_and_everybodys_for_who_reviews(client, glass, staff, tenant):
    found = opened(glass, staff.investigator, now=NOW - DAYS)
    colleague = make_person(tenant, "investigator")

    def listed(person, role, query=""):
        answer = client.get(f"/api/v1/access/break-glass{query}", headers=person.headers(role))
        return [(each["id"], each["review"]) for each in answer.json()["break_glass"]]

    expected = [(str(found.opened.break_glass_id), "overdue")]
    assert listed(staff.investigator, "investigator") == expected
    assert listed(staff.officer, "privacy_officer", "?open=true") == expected
    assert listed(colleague, "investigator") == []
    reviewed(glass, staff.officer, found, now=NOW)
    assert listed(staff.officer, "privacy_officer", "?open=true") == []
    assert listed(staff.officer, "privacy_officer") == [(expected[0][0], "justified")]


# --- the database -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        "ended_at = opened_at, expires_at = expires_at + interval '1s'",
        "expires_at = opened_at + interval '30 minutes'",
        "due_at = due_at + interval '1 day'",
        "ended_at = NULL",
        "reviewed_at = now(), reviewed_by = human_id, reviewer = 'user:x', verdict = 'justified', review_case = 'R-1'",
        "verdict = 'justified'",
        "case_ref = 'INC-9'",
    ],
)
def test_the_database_refuses_every_other_change_of_the_owner_too(
    glass, staff, tenant, cluster, change
):
    found = opened(glass, staff.investigator)
    url = cluster.environment("owner")["AUDITVAULT_REGION_EU_URL"]
    with (
        psycopg.connect(url, autocommit=True) as owner,
        pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.CheckViolation)),
    ):
        owner.execute(
            f"UPDATE access_break_glass SET {change} WHERE break_glass_id = %s",
            (found.opened.break_glass_id,),
        )


def test_the_database_refuses_a_second_open_one_and_one_while_another_is_overdue(
    glass, staff, tenant, cluster
):
    found = opened(glass, staff.investigator)

    def insert(human: UUID, at: datetime):
        with superuser(cluster, "region_eu") as connection:
            connection.execute(
                "INSERT INTO access_break_glass (tenant_id, break_glass_id, record_id, human_id, holder, case_ref,"
                " opened_at, expires_at, due_at) VALUES (%s, %s, %s, %s, 'user:a', 'INC-1', %s, %s, %s)",
                (tenant.tenant_id, uuid4(), uuid4(), human, at, at + 60 * MINUTE, at + DAYS),
            )

    for human, at in (
        (found.opened.human, NOW + 59 * MINUTE),
        (uuid4(), found.opened.due_at),
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            insert(human, at)


def test_somebody_is_told_once_that_nobody_has_reviewed_one(glass, tenant, staff, cluster):
    from auditvault.access.break_glass.overdue import tell_overdue

    late = opened(glass, staff.investigator, now=NOW - timedelta(days=9))
    tell_overdue("eu")
    tell_overdue("eu")
    with superuser(cluster, "region_eu") as connection:
        rows = connection.execute(
            "SELECT details FROM access_alert WHERE tenant_id = %s AND kind = 'break_glass_unreviewed'",
            (tenant.tenant_id,),
        ).fetchall()
    ((details,),) = rows
    assert json.loads(bytes(details))["break_glass"] == str(late.opened.break_glass_id)
