"""A review freezes who can see content; somebody who gave none of it decides, once, with a second factor."""

from __future__ import annotations

import hashlib
import json
import threading
from datetime import UTC, datetime, timedelta

import pytest

from auditvault.core.policy.reviews import quarter_of
from tests.integration.evidence_reports.conftest import actor_of
from tests.integration.ingest.sending import post
from tests.integration.ledger.superuser import counts, superuser
from tests.integration.vault.people import admin_events
from tests.staff import make_person

NOW = datetime.now(UTC)
QUARTER = quarter_of(NOW)


@pytest.fixture
def opened(desk, anna, auditor):
    answer = desk.open(auditor, "auditor")
    assert answer.status_code == 201, answer.content
    return answer.json()


def test_a_review_freezes_who_can_see_content(opened, anna, cluster, tenant, desk, auditor):
    later = make_person(tenant, "investigator")

    assert opened["quarter"] == QUARTER.name
    assert [(line["actor"], line["username"]) for line in opened["list"]] == [
        (actor_of(anna.user), anna.user.username)
    ]
    again = desk.get(auditor, "auditor", review=opened["id"]).json()
    assert actor_of(later.user) not in json.dumps(again)
    assert again["list"] == opened["list"]


def test_its_hash_is_of_the_stored_list_which_names_nobody(opened, anna, cluster, tenant):
    with superuser(cluster, "region_eu") as connection:
        ((body, digest),) = connection.execute(
            "SELECT list, list_sha256 FROM access_review WHERE tenant_id = %s", (tenant.tenant_id,)
        ).fetchall()
    assert hashlib.sha256(body).hexdigest() == digest.hex() == opened["list_sha256"]
    assert anna.user.username.encode() not in body


def test_a_sign_off_is_recorded_with_what_was_decided(
    opened, anna, auditor, desk, cluster, tenant, entries
):
    answer = desk.sign(auditor, opened, "auditor", remove=[actor_of(anna.user)])

    assert answer.status_code == 200, answer.content
    assert answer.json()["removed"] == 1
    assert answer.json()["list"][0]["decided"] == {"decision": "remove", "case": "REV-1"}
    assert entries()[-2:] == ["review.opened", "review.signed"]
    details = [json.loads(header)["details"] for _, header in admin_events(cluster, tenant)][-2:]
    with superuser(cluster, "region_eu") as connection:
        ((body,),) = connection.execute(
            "SELECT decisions FROM access_review_sign_off WHERE tenant_id = %s", (tenant.tenant_id,)
        ).fetchall()
    assert details[0]["list_sha256"] == details[1]["list_sha256"] == opened["list_sha256"]
    assert details[1]["decisions_sha256"] == hashlib.sha256(body).hexdigest()
    assert (details[1]["kept"], details[1]["removed"]) == (0, 1)


def test_who_gave_a_right_does_not_review_it_by_whichever_account(
    desk, anna, admin, given_by, tenant, entries, recorded_denials
):
    given_by(admin, anna, "investigator")
    second = make_person(tenant, "auditor")
    review = desk.open(second, "auditor").json()
    other_account = make_person(tenant, "security_admin", of=admin)

    for person in (admin, other_account):
        answer = desk.sign(person, review, "security_admin")
        assert (answer.status_code, answer.json()["code"]) == (403, "review_not_independent")

    assert "review.signed" not in entries()
    assert [denial["code"] for denial in recorded_denials()] == ["review_not_independent"] * 2
    assert desk.sign(second, review, "auditor").status_code == 200


@pytest.fixture
def recorded_denials(cluster, tenant):
    """Details of refusals."""

    def read(action="review"):
        with superuser(cluster, "region_eu") as connection:
            rows = connection.execute(
                "SELECT header FROM access_event WHERE tenant_id = %s AND action = %s"
                " AND outcome = 'denied' ORDER BY record_id",
                (tenant.tenant_id, action),
            ).fetchall()
        return [json.loads(bytes(header))["details"] for (header,) in rows]

    return read


def test_who_gave_nothing_reviews_what_the_operator_gave(desk, anna, admin):
    review = desk.open(admin, "security_admin").json()
    assert [line["given_by"] for line in review["list"]] == ["operator:cli"]
    assert desk.sign(admin, review, "security_admin").status_code == 200


def test_without_a_second_factor_nothing_is_opened_or_signed(
    client, opened, auditor, recorded_denials
):
    weak = {"Authorization": f"Bearer {auditor.token('auditor', strong=False)}"}
    for path, body in (
        ("/api/v1/access/reviews", {}),
        (
            f"/api/v1/access/reviews/{opened['id']}/sign-off",
            {"list_sha256": opened["list_sha256"], "decisions": [{"line": 0, "decision": "keep"}]},
        ),
    ):
        answer = post(client, path, body, weak)
        assert (answer.status_code, answer.json()["code"]) == (403, "second_factor_required")
    assert [denial["code"] for denial in recorded_denials("refused")] == [
        "second_factor_required"
    ] * 2


def test_a_machine_reviews_nothing(client, tenant, opened):
    answer = post(client, "/api/v1/access/reviews", {}, tenant.headers("auditor"))
    assert (answer.status_code, answer.json()["code"]) == (403, "human_required")


@pytest.mark.parametrize("role", ["viewer", "investigator", "privacy_officer", "legal"])
def test_other_roles_neither_read_nor_review(desk, opened, tenant, role, recorded_denials):
    person = make_person(tenant, role)
    answers = [
        desk.get(person, role),
        desk.get(person, role, review=opened["id"]),
        desk.open(person, role),
        desk.sign(person, opened, role),
    ]
    assert [answer.status_code for answer in answers] == [403] * 4
    assert len(recorded_denials("refused")) == 4


def test_a_quarter_is_reviewed_once(desk, opened, auditor, entries):
    answer = desk.open(auditor, "auditor")
    assert (answer.status_code, answer.json()["code"]) == (409, "review_opened_already")
    assert desk.open(auditor, "auditor", quarter=QUARTER.previous.name).status_code == 201
    assert entries().count("review.opened") == 2


def test_a_review_is_signed_once(desk, opened, auditor, entries):
    assert desk.sign(auditor, opened, "auditor").status_code == 200
    answer = desk.sign(auditor, opened, "auditor")
    assert (answer.status_code, answer.json()["code"]) == (409, "review_signed_already")
    assert entries().count("review.signed") == 1


def test_of_two_reviewers_at_once_one_signs(opened, tenant, cluster, entries, service):
    from django.db import connections

    from auditvault.core.policy.reviews import Decision
    from auditvault.evidence.reviews.services import ReviewSignedError, sign_off

    reviewers = [make_person(tenant, "auditor").signed_in() for _ in range(2)]
    ready, outcomes = threading.Barrier(2), []

    def run(credential):
        ready.wait()
        try:
            sign_off(
                credential=credential,
                region="eu",
                review_id=opened["id"],
                list_sha256=opened["list_sha256"],
                decisions=[Decision(line=0, decision="keep")],
                now=datetime.now(UTC),
            )
            outcomes.append("signed")
        except ReviewSignedError:
            outcomes.append("late")
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(each,)) for each in reviewers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(outcomes) == ["late", "signed"]
    assert entries().count("review.signed") == 1
    assert counts(cluster, tenant.tenant_id)["access_review_sign_off"] == 1


@pytest.mark.parametrize(
    "members",
    [
        {"decisions": []},
        {"decisions": [{"line": 0, "decision": "keep"}, {"line": 1, "decision": "keep"}]},
        {"decisions": [{"line": 0, "decision": "remove"}]},
        {"list_sha256": "0" * 64},
    ],
)
def test_decisions_are_of_this_list_and_of_each_line(desk, opened, auditor, members, entries):
    answer = desk.sign(auditor, opened, "auditor", **members)
    assert (answer.status_code, answer.json()["code"]) == (422, "review_decisions_invalid")
    assert "review.signed" not in entries()


def stored(cluster, tenant):
    found = counts(cluster, tenant.tenant_id)
    return {
        name: found[name] for name in ("access_review", "access_review_sign_off", "admin_event")
    }


@pytest.mark.parametrize("fails", ["before the entry", "after the entry"])
@pytest.mark.parametrize("step", ["open", "sign"])
def test_row_and_entry_are_there_together_or_not_at_all(
    monkeypatch, desk, anna, auditor, cluster, tenant, entries, step, fails
):
    from auditvault.evidence.reviews import services

    review = desk.open(auditor, "auditor").json() if step == "sign" else None
    before = stored(cluster, tenant)
    known = entries()
    real = services.record_in

    def broken(*args, **kwargs):
        if fails == "after the entry":
            real(*args, **kwargs)
        raise RuntimeError("the process died here")

    monkeypatch.setattr(services, "record_in", broken)
    with pytest.raises(RuntimeError):
        desk.sign(auditor, review, "auditor") if review else desk.open(auditor, "auditor")
    assert (stored(cluster, tenant), entries()) == (before, known)

    monkeypatch.undo()
    again = desk.sign(auditor, review, "auditor") if review else desk.open(auditor, "auditor")
    assert again.status_code in {200, 201}


def test_another_tenants_review_is_not_there(desk, opened, other_tenant):
    stranger = make_person(other_tenant, "auditor")
    answers = [
        desk.get(stranger, "auditor", review=opened["id"]),
        desk.sign(stranger, opened, "auditor"),
    ]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert desk.get(stranger, "auditor").json()["reviews"] == []


def test_reviews_are_listed_newest_first_and_the_look_is_recorded(
    desk, opened, auditor, cluster, tenant
):
    desk.open(auditor, "auditor", quarter=QUARTER.previous.name)
    found = desk.get(auditor, "auditor").json()["reviews"]
    assert [each["quarter"] for each in found] == [QUARTER.previous.name, QUARTER.name]
    with superuser(cluster, "region_eu") as connection:
        ((rows,),) = connection.execute(
            "SELECT count(*) FROM access_event WHERE tenant_id = %s AND action = 'review'",
            (tenant.tenant_id,),
        ).fetchall()
    assert rows == 1


def made_at(tenant, at):
    from auditvault.access.models import TenantRegion

    TenantRegion.objects.filter(tenant__slug=tenant.slug).update(created_at=at)


def test_the_report_says_what_waits_and_what_is_overdue(report, opened, tenant, auditor):
    made_at(tenant, NOW - timedelta(days=400))
    found = {row["quarter"]: row["state"] for row in report("reviews")}
    is_due = QUARTER.previous.due_at <= NOW
    assert found == {
        QUARTER.name: "open",
        QUARTER.previous.name: "overdue" if is_due else "not opened",
    }


def test_the_report_says_what_was_to_go_and_is_still_there(desk, report, opened, auditor, anna):
    desk.sign(auditor, opened, "auditor", remove=[actor_of(anna.user)])
    (row,) = report("reviews")
    assert (row["state"], row["to_remove"], row["still_held"]) == ("signed", 1, 1)
    assert row["signed_by"].startswith("token:")

    type(anna.user).objects.filter(pk=anna.user.pk).update(is_active=False)
    assert report("reviews")[0]["still_held"] == 0


def test_a_place_is_overdue_until_its_last_review_is_signed(opened, desk, auditor, tenant, client):
    from auditvault.evidence.reviews.selectors import overdue_places

    made_at(tenant, NOW - timedelta(days=1))
    due_at = QUARTER.due_at + timedelta(days=1)
    before = overdue_places("eu", due_at)
    assert desk.sign(auditor, opened, "auditor").status_code == 200

    assert before - overdue_places("eu", due_at) == 1
    assert overdue_places("eu", QUARTER.due_at - timedelta(seconds=1)) < before
    assert (
        'auditvault_access_reviews_overdue{region="eu"}' in client.get("/metrics").content.decode()
    )
