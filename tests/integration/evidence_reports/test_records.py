"""Reports about acts: made of access records, counted again here by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from tests.integration.evidence_reports.conftest import actor_of
from tests.integration.ledger.superuser import superuser


def objects(count):
    return [str(uuid4()) for _ in range(count)]


def test_looks_are_counted_by_person_and_case(report, account, act):
    anna, ben = account("investigator"), account("investigator")
    act("resolve", actor=actor_of(anna), case="INC-1", objects=objects(2))
    act(
        "resolve",
        actor=actor_of(anna),
        case="INC-1",
        code="COMPLAINT",
        objects=objects(1),
        days_ago=1,
    )
    act("resolve", actor=actor_of(anna), case="INC-2", objects=objects(5))
    act("resolve", actor=actor_of(ben), case="INC-1", objects=[])
    act(
        "resolve",
        actor=actor_of(ben),
        outcome="denied",
        code="access_denied",
        target="tag:" + "0" * 64,
    )
    act("search", actor=actor_of(ben), role="engineer", rows=9)

    found = {
        (row["username"], row["case"]): (
            row["looks"],
            row["objects"],
            row["purpose_codes"],
            row["objects_of_person"],
        )
        for row in report("looks")
    }

    assert found == {
        (anna.username, "INC-1"): (2, 3, "COMPLAINT INCIDENT", 8),
        (anna.username, "INC-2"): (1, 5, "INCIDENT", 8),
        (ben.username, "INC-1"): (1, 0, "INCIDENT", 0),
    }


def test_who_looks_at_far_more_than_others_is_an_outlier(report, account, act):
    people = [account("investigator") for _ in range(5)]
    for person in people:
        for day in range(10):
            act("resolve", actor=actor_of(person), case="INC-1", objects=objects(2), days_ago=day)
    act("resolve", actor=actor_of(people[0]), case="INC-9", objects=objects(60))

    found = {row["actor"] for row in report("looks") if row["outlier"]}

    assert actor_of(people[0]) in found
    (row,) = [row for row in report("looks") if row["case"] == "INC-9"]
    assert row["busiest_day"] == datetime.now(UTC).date().isoformat()
    assert (row["objects_that_day"], row["objects_of_person"]) == (62, 80)
    assert float(row["z_of_persons"]) == 60.0


def test_looks_are_narrowed_by_their_filters(report, account, act):
    anna = account("investigator")
    act("resolve", actor=actor_of(anna), case="INC-1", objects=objects(1))
    act("resolve", actor=actor_of(anna), case="INC-2", objects=objects(1), days_ago=20)
    since = (datetime.now(UTC) - timedelta(days=10)).isoformat()

    assert [row["case"] for row in report("looks", filters={"case": "INC-2"})] == ["INC-2"]
    assert [row["case"] for row in report("looks", filters={"recorded_from": since})] == ["INC-1"]
    assert report("looks", filters={"actor": "user:" + "0" * 32}) == []


def test_denials_say_what_was_refused_and_with_which_code(client, tenant, report, act):
    from tests.integration.vault.looking import resolve

    resolve(client, tenant, "a secret", role="auditor")
    act("resolve", actor="token:000000000000", case="INC-1", objects=[])

    (row,) = report("denials")

    assert (row["action"], row["refused_with"]) == ("resolve", "access_denied")
    assert row["target"].startswith("tag:")


def test_denials_of_one_target_are_found_by_its_tag(report, act):
    one, other = "tag:" + "1" * 64, "tag:" + "2" * 64
    for target in (one, other):
        act("resolve", actor="token:000000000000", outcome="denied", target=target)

    assert [row["target"] for row in report("denials", filters={"target": one})] == [one]


def test_break_glass_is_told_from_other_looks(report, act):
    act("resolve", actor="token:000000000000", case="INC-1", objects=[])
    act("resolve", actor="token:000000000000", case="INC-2", code="BREAK_GLASS", objects=objects(3))

    (row,) = report("break_glass")

    assert (row["case"], row["objects"]) == ("INC-2", 3)


def test_exports_reports_and_verifications_are_listed(report, act, tenant):
    from auditvault.ledger.admin.services import admin_log, record_operation

    log = admin_log("eu", tenant.tenant_id)
    act("export_bundle", actor="operator:cli", role="auditor", log="x")
    report("denials")
    record_operation(
        region="eu",
        action="verification.ended",
        details={
            "job": "verify",
            "holds": False,
            "bad": {log.origin: {"leaf": 3}, "another/tenants/log": {"leaf": 4}},
            "database": {},
        },
    )

    rows = report("evidence_acts")

    assert {"export_bundle", "report", "verification.ended"} <= {row["action"] for row in rows}
    (bad,) = [row for row in rows if log.origin in row["what"]]
    assert bad["outcome"] == "bad"
    assert not any("another/tenants/log" in row["what"] for row in rows)
    assert rows == sorted(rows, key=lambda row: row["recorded_at"], reverse=True)


@pytest.mark.parametrize("name", ["looks", "denials", "break_glass"])
def test_no_act_on_another_tenant_is_reported(report, act, other_tenant, name):
    for outcome in ("granted", "denied"):
        act(
            "resolve",
            actor="token:000000000000",
            case="INC-1",
            code="BREAK_GLASS",
            outcome=outcome,
            at=other_tenant,
            objects=[],
        )

    assert report(name) == []


def test_the_report_on_break_glass_says_how_far_the_review_has_come(
    report, account, act, tenant, cluster
):
    anna, found = account("investigator"), uuid4()
    with superuser(cluster, "region_eu") as connection:
        connection.execute(
            "INSERT INTO access_break_glass (tenant_id, break_glass_id, record_id, human_id, holder, case_ref,"
            " opened_at, expires_at, due_at) VALUES (%s, %s, %s, %s, %s, 'INC-2', now() - interval '2 days',"
            " now() - interval '47 hours', now() - interval '1 hour')",
            (tenant.tenant_id, found, uuid4(), anna.human_id, actor_of(anna)),
        )
    act(
        "resolve",
        actor=actor_of(anna),
        case="INC-2",
        code="BREAK_GLASS",
        objects=objects(3),
        break_glass=str(found),
    )

    looked, opened = report("break_glass")

    assert [row["what"] for row in (looked, opened)] == ["looked", "opened"]
    assert {(row["break_glass"], row["review"]) for row in (looked, opened)} == {
        (str(found), "overdue")
    }
    assert (looked["objects"], opened["username"]) == (3, anna.username)
    assert report("break_glass", filters={"case": "INC-9"}) == []
