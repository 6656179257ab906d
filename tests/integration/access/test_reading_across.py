"""Content of another region: a transfer basis, two people, one look, and a record in both regions."""

from __future__ import annotations

import hashlib
import json
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from uuid import uuid4

import psycopg
import pytest

from auditvault.core.policy.approvals import Operation, Plan
from tests.integration.access.test_approvals import admin_entries, code_of
from tests.integration.ingest.sending import chat, post, record
from tests.integration.ledger.superuser import superuser
from tests.integration.vault.looking import PURPOSE, revealed
from tests.staff import make_person, open_request, recorded_basis

SECRET = "said in the union"
HASH = f"sha256:{hashlib.sha256(SECRET.encode()).hexdigest()}"
ASK = "/api/v1/resolve/across/requests"
READ = "/api/v1/resolve/across"
NOW = datetime.now(UTC)


@pytest.fixture
def across(service):
    """The modules under test: they hold models, which can be imported once Django is set up."""
    from auditvault.access import across
    from auditvault.access.transfers import services

    return SimpleNamespace(
        ask=across.ask,
        read=across.read,
        Wanted=across.Wanted,
        ApprovedRead=across.ApprovedRead,
        end=services.end,
    )


@pytest.fixture
def staff(tenant):
    """An investigator in `us` alone; in `eu`, whose content it is, who records bases and who approves."""
    return SimpleNamespace(
        reader=make_person(tenant, "investigator", regions=("us",)),
        recorder=make_person(tenant, "privacy_officer"),
        officer=make_person(tenant, "privacy_officer"),
    )


@pytest.fixture
def basis(staff):
    return recorded_basis(staff.recorder)


def ask_across(client, person, **other):
    body = {"region": "eu", "contents": [HASH], "code": "INCIDENT", "case": "INC-1"} | other
    return post(client, ASK, body, person.headers("investigator"))


def asked(client, person, **other):
    answer = ask_across(client, person, **other)
    assert answer.status_code == 201, answer.content
    return answer.json()["id"]


def approve(client, officer, approval_id):
    path = f"/api/v1/access/approvals/{approval_id}/approve"
    return post(client, path, {}, officer.headers("privacy_officer"))


def approved(client, staff, **other):
    approval_id = asked(client, staff.reader, **other)
    assert approve(client, staff.officer, approval_id).status_code == 200
    return approval_id


def read_across(client, person, approval_id, *, region="eu", **purpose):
    body = {"region": region, "approval_id": approval_id, "purpose": PURPOSE | purpose}
    return post(client, READ, body, person.headers("investigator"))


def refused(answer):
    assert "contents" not in answer.json()
    return answer.status_code, answer.json()["code"]


def looks(cluster, tenant, region):
    """Action, outcome and details of the tenant's access records about this, oldest first."""
    with superuser(cluster, f"region_{region}") as connection:
        rows = connection.execute(
            "SELECT action, outcome, header FROM access_event WHERE tenant_id = %s"
            " AND action IN ('read_across', 'resolve') ORDER BY record_id",
            (tenant.tenant_id,),
        ).fetchall()
    return [
        (action, outcome, json.loads(bytes(header))["details"]) for action, outcome, header in rows
    ]


def state_of(cluster, approval_id):
    with superuser(cluster, "region_eu") as connection:
        return connection.execute(
            "SELECT state FROM access_approval WHERE approval_id = %s", (approval_id,)
        ).fetchone()[0]


@contextmanager
def access_log_closed(cluster, region):
    with superuser(cluster, f"region_{region}") as connection:
        # The months' tables are written to, and nothing may be inserted by the name of the whole.
        parts = connection.execute(
            "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'access_event'::regclass"
        ).fetchall()
        for (part,) in parts:
            connection.execute(f"REVOKE INSERT ON {part} FROM auditvault_app")
        try:
            yield
        finally:
            for (part,) in parts:
                connection.execute(f"GRANT INSERT ON {part} TO auditvault_app")


# --- what is seen, and what is recorded -------------------------------------------------------------------


def test_what_two_people_agreed_on_is_seen_once_and_both_regions_know_it_before(
    client, tenant, staff, basis, cluster
):
    record(client, tenant, chat(SECRET))
    approval_id = approved(client, staff)

    assert revealed(read_across(client, staff.reader, approval_id)) == [SECRET]
    assert state_of(cluster, approval_id) == "used"

    ((action, outcome, here),) = looks(cluster, tenant, "us")
    assert (action, outcome, here["region"]) == ("read_across", "granted", "eu")
    ((action, outcome, there),) = looks(cluster, tenant, "eu")
    assert (action, outcome, there["to_region"]) == ("resolve", "granted", "us")
    for details in (here, there):
        assert (details["approval"], details["basis"]) == (approval_id, basis)
    assert here["plan"] == there["plan"]
    assert (here["objects"], len(there["objects"])) == (1, 1)


def test_the_same_approval_shows_nothing_a_second_time(client, tenant, staff, basis, cluster):
    record(client, tenant, chat(SECRET))
    approval_id = approved(client, staff)
    read_across(client, staff.reader, approval_id)

    again = read_across(client, staff.reader, approval_id)

    assert refused(again) == (409, "approval_not_open")
    for region in ("us", "eu"):
        _, outcome, details = looks(cluster, tenant, region)[-1]
        assert (outcome, details["code"]) == ("denied", "approval_not_open")


def test_a_basis_and_its_end_are_entries_of_the_region_that_content_leaves(
    client, tenant, staff, basis, cluster
):
    end = f"/api/v1/access/transfer-bases/{basis}/end"
    headers = staff.officer.headers("privacy_officer")

    ended = [post(client, end, {}, headers).json() for _ in range(2)]

    assert ended[0] == ended[1]
    (listed,) = client.get("/api/v1/access/transfer-bases", headers=headers).json()["bases"]
    assert listed == ended[0]
    entries = admin_entries(cluster, tenant.tenant_id)
    assert [action for action, _ in entries] == ["transfer_basis.recorded", "transfer_basis.ended"]
    assert entries[0][1]["digest"] == listed["digest"]
    assert {details["basis"] for _, details in entries} == {basis}


# --- what is refused --------------------------------------------------------------------------------------


def test_nobody_asks_where_no_basis_lets_content_pass(client, tenant, staff, cluster):
    recorded_basis(staff.recorder, lasts=timedelta(days=-1))

    assert refused(ask_across(client, staff.reader)) == (409, "transfer_basis_missing")

    for region in ("us", "eu"):
        ((action, outcome, details),) = looks(cluster, tenant, region)
        assert (action, outcome, details["code"]) == (
            "read_across",
            "denied",
            "transfer_basis_missing",
        )


def test_a_basis_that_was_ended_lets_nothing_pass_that_was_approved(
    client, tenant, staff, basis, across
):
    record(client, tenant, chat(SECRET))
    approval_id = approved(client, staff)
    across.end(
        credential=staff.recorder.signed_in(), region="eu", basis_id=basis, now=datetime.now(UTC)
    )
    assert refused(read_across(client, staff.reader, approval_id)) == (
        409,
        "transfer_basis_missing",
    )


def test_a_plan_holds_no_longer_than_its_basis_and_never_more_than_eight_hours(
    client, tenant, staff, across
):
    recorded_basis(staff.recorder, lasts=timedelta(hours=1))
    record(client, tenant, chat(SECRET))
    approval_id = approved(client, staff)

    wanted = across.ApprovedRead(region="eu", approval_id=approval_id, **PURPOSE)
    reader = staff.reader.signed_in(region="us")
    when = datetime.now(UTC) + timedelta(hours=2)

    assert code_of(across.read, credential=reader, here="us", wanted=wanted, now=when) == (
        "transfer_basis_missing"
    )
    assert refused(ask_across(client, staff.reader, lifetime_seconds=28_801)) == (
        400,
        "request_invalid",
    )


def test_what_is_approved_and_not_read_in_time_is_over(client, tenant, staff, basis, across):
    approval_id = approved(client, staff, lifetime_seconds=60)
    wanted = across.ApprovedRead(region="eu", approval_id=approval_id, **PURPOSE)
    reader = staff.reader.signed_in(region="us")
    when = datetime.now(UTC) + timedelta(seconds=61)

    assert code_of(across.read, credential=reader, here="us", wanted=wanted, now=when) == (
        "approval_not_open"
    )


def test_a_basis_that_somebody_changed_under_the_approval_voids_it(
    client, tenant, staff, basis, cluster
):
    record(client, tenant, chat(SECRET))
    approval_id = approved(client, staff)
    with superuser(cluster, "region_eu") as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute(
            "UPDATE transfer_basis SET reference = 'other' WHERE basis_id = %s", (basis,)
        )

    assert refused(read_across(client, staff.reader, approval_id)) == (409, "approval_drifted")
    assert state_of(cluster, approval_id) == "approved"


@pytest.mark.parametrize("other", [{"case": "INC-2"}, {"code": "LEGAL"}])
def test_for_another_purpose_than_was_approved_nothing_is_seen(client, tenant, staff, basis, other):
    record(client, tenant, chat(SECRET))
    approval_id = approved(client, staff)

    answer = read_across(client, staff.reader, approval_id, **other)

    assert refused(answer) == (409, "approval_drifted")


def test_nothing_is_seen_before_somebody_else_approved_and_nobody_approves_their_own(
    client, tenant, staff, basis, cluster
):
    record(client, tenant, chat(SECRET))
    approval_id = asked(client, staff.reader)
    assert refused(read_across(client, staff.reader, approval_id)) == (409, "approval_missing")
    # Read in one region and approve in another: not the same human's, by whatever account.
    officer = staff.officer
    officer.user.human = staff.reader.user.human
    officer.user.save()

    assert approve(client, officer, approval_id).status_code == 403
    assert state_of(cluster, approval_id) == "requested"


def test_accounts_that_are_linked_after_the_approval_are_one_person_too(
    client, tenant, staff, basis, cluster, across
):
    from auditvault.access.rights.models import FormerHuman

    approval_id = approved(client, staff)
    reader = staff.reader.signed_in(region="us")
    # Linking refuses these two; what a database says is looked at all the same.
    FormerHuman.objects.create(former_id=staff.officer.human, human_id=staff.reader.human)
    wanted = across.ApprovedRead(region="eu", approval_id=approval_id, **PURPOSE)

    assert code_of(across.read, credential=reader, here="us", wanted=wanted, now=NOW) == (
        "approval_own"
    )
    assert state_of(cluster, approval_id) == "approved"


def test_who_recorded_the_basis_by_another_account_is_no_second_person(
    client, tenant, staff, basis, cluster
):
    from auditvault.access.linking import link_accounts

    approval_id = approved(client, staff)
    link_accounts(one=staff.officer.user, other=staff.recorder.user, case="INC-1")

    assert refused(read_across(client, staff.reader, approval_id)) == (403, "transfer_basis_own")
    assert state_of(cluster, approval_id) == "approved"


def test_who_recorded_the_basis_is_no_second_person(client, tenant, staff, basis, cluster):
    record(client, tenant, chat(SECRET))
    approval_id = asked(client, staff.reader)
    approve(client, staff.recorder, approval_id)

    assert refused(read_across(client, staff.reader, approval_id)) == (403, "transfer_basis_own")
    assert state_of(cluster, approval_id) == "approved"


def test_somebody_elses_approval_and_one_for_something_else_are_not_there(
    client, tenant, staff, basis
):
    other = make_person(tenant, "investigator", regions=("us",))
    approval_id = approved(client, staff)

    for answer in (
        read_across(client, other, approval_id),
        read_across(client, staff.reader, str(uuid4())),
        read_across(client, staff.reader, open_request(make_person(tenant, "investigator"))),
    ):
        assert refused(answer) == (404, "approval_not_found")


def test_a_plan_made_by_hand_is_not_read_for_longer_nor_elsewhere(client, tenant, staff, basis):
    """Who may ask in `eu` itself can have any plan approved; only what this service would do now fits."""
    reader = make_person(tenant, "investigator", regions=("eu", "us"))
    good = ask_across(client, reader_in_us(reader)).json()["plan"]
    plan = Plan(
        operation=Operation.CROSS_REGION_READ,
        tenant_id=tenant.tenant_id,
        region="eu",
        parameters=good["parameters"] | {"until": "2199-01-01T00:00:00.000000Z"},
    )
    answer = post(
        client,
        "/api/v1/access/approvals",
        {"plan": plan.body().decode(), "case": "INC-1"},
        reader.headers("investigator", regions=("eu",)),
    )
    approval_id = answer.json()["id"]
    approve(client, staff.officer, approval_id)

    assert refused(read_across(client, reader_in_us(reader), approval_id)) == (
        400,
        "transfer_invalid",
    )


def reader_in_us(person):
    return SimpleNamespace(
        headers=lambda role: person.headers(role, regions=("us",)), human=person.human
    )


def test_who_may_not_see_content_at_home_may_not_elsewhere(client, tenant, staff, basis, cluster):
    viewer = make_person(tenant, "viewer", regions=("us",))
    weak = staff.reader.headers("investigator", strong=False)
    body = {"region": "eu", "contents": [HASH], "code": "INCIDENT", "case": "INC-1"}
    machine = tenant.headers("investigator", regions=("us",))

    codes = [
        refused(post(client, ASK, body, headers))
        for headers in (viewer.headers("viewer"), weak, machine)
    ]

    assert codes == [
        (403, "access_denied"),
        (403, "second_factor_required"),
        (403, "human_required"),
    ]
    for region in ("us", "eu"):
        assert [details["code"] for _, _, details in looks(cluster, tenant, region)] == [
            code for _, code in codes
        ]


def test_only_who_may_approve_exports_records_a_basis_and_it_has_to_say_something(
    client, tenant, staff
):
    path = "/api/v1/access/transfer-bases"
    body = {
        "kind": "adequacy_decision",
        "reference": "2023/1795",
        "to_region": "us",
        "valid_from": "2026-01-01T00:00:00+02:00",
        "valid_until": "2199-01-01T00:00:00Z",
    }
    investigator = make_person(tenant, "investigator").headers("investigator")
    headers = staff.recorder.headers("privacy_officer")

    def tried(**other):
        return refused(post(client, path, body | other, headers))

    assert refused(post(client, path, body, investigator)) == (403, "access_denied")
    assert tried(to_region="eu") == (400, "transfer_basis_invalid")
    assert tried(valid_until="2025-01-01T00:00:00Z") == (400, "transfer_basis_invalid")
    assert tried(to_region="moon") == (404, "place_unknown")
    assert tried(kind="because") == (400, "request_invalid")
    assert post(client, path, body, headers).status_code == 201


# --- places ----------------------------------------------------------------------------------------------


def test_a_tenant_that_is_not_in_a_region_has_nothing_there_and_its_name_is_not_kept(
    client, tenant, staff, cluster
):
    assert refused(ask_across(client, staff.reader, region="anna-schmidt")) == (
        404,
        "place_unknown",
    )
    assert refused(ask_across(client, staff.reader, region="us")) == (400, "transfer_invalid")

    said = looks(cluster, tenant, "us")
    assert [details["code"] for _, _, details in said] == ["place_unknown", "transfer_invalid"]
    assert "anna" not in json.dumps(said)
    assert looks(cluster, tenant, "eu") == []


def test_a_process_that_does_not_serve_the_region_says_so_without_connecting(
    client, tenant, staff, basis, cluster, monkeypatch
):
    from django.conf import settings
    from django.db import connections

    approval_id = approved(client, staff)
    monkeypatch.setattr(settings, "REGIONS", [each for each in settings.REGIONS if each != "eu"])
    connections.close_all()
    for alias in ("region_eu", "keys_eu"):
        monkeypatch.delitem(connections.settings, alias)

    assert refused(ask_across(client, staff.reader)) == (503, "region_unavailable")
    assert refused(read_across(client, staff.reader, approval_id)) == (503, "region_unavailable")

    assert [details["code"] for _, _, details in looks(cluster, tenant, "us")] == [
        "region_unavailable"
    ] * 2
    assert looks(cluster, tenant, "eu") == []


# --- what a failure between the steps leaves -------------------------------------------------------------


def test_where_the_readers_region_cannot_record_nothing_is_opened_or_used_up(
    client, tenant, staff, basis, cluster
):
    record(client, tenant, chat(SECRET))
    approval_id = approved(client, staff)

    with access_log_closed(cluster, "us"):
        answer = read_across(client, staff.reader, approval_id)

    assert refused(answer) == (503, "access_not_recorded")
    assert (looks(cluster, tenant, "us"), looks(cluster, tenant, "eu")) == ([], [])
    assert revealed(read_across(client, staff.reader, approval_id)) == [SECRET]


def test_where_the_other_region_cannot_a_record_is_left_here_and_the_approval_can_be_used_again(
    client, tenant, staff, basis, cluster
):
    record(client, tenant, chat(SECRET))
    approval_id = approved(client, staff)

    with access_log_closed(cluster, "eu"):
        answer = read_across(client, staff.reader, approval_id)

    assert refused(answer) == (503, "access_not_recorded")
    assert [outcome for _, outcome, _ in looks(cluster, tenant, "us")] == ["granted"]
    assert looks(cluster, tenant, "eu") == []
    assert state_of(cluster, approval_id) == "approved"
    assert revealed(read_across(client, staff.reader, approval_id)) == [SECRET]
    assert [outcome for _, outcome, _ in looks(cluster, tenant, "us")] == ["granted"] * 2


def test_what_changes_between_the_records_is_looked_at_once_more(
    client, tenant, staff, basis, across, cluster, monkeypatch
):
    """The basis is ended after the reader's region recorded the look: refused in both, nothing opened or used up."""
    from auditvault.access import across as module

    record(client, tenant, chat(SECRET))
    approval_id = approved(client, staff)
    record_here = module.record_act

    def ended_after(**words):
        told = record_here(**words)
        if words["act"].outcome == "granted":
            across.end(
                credential=staff.recorder.signed_in(),
                region="eu",
                basis_id=basis,
                now=datetime.now(UTC) - timedelta(seconds=30),
            )
        return told

    monkeypatch.setattr(module, "record_act", ended_after)
    answer = read_across(client, staff.reader, approval_id)

    assert refused(answer) == (409, "transfer_basis_missing")
    # Of one instant: their ids do not say which came first.
    outcomes = {outcome for _, outcome, _ in looks(cluster, tenant, "us")}
    assert outcomes == {"granted", "denied"}
    assert [outcome for _, outcome, _ in looks(cluster, tenant, "eu")] == ["denied"]
    assert state_of(cluster, approval_id) == "approved"


# --- the tables ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE transfer_basis SET reference = 'x'",
        "DELETE FROM transfer_basis",
        "UPDATE transfer_basis_end SET ender = 'x'",
        "DELETE FROM transfer_basis_end",
    ],
)
def test_nobody_changes_a_basis_nor_its_end(tenant, staff, basis, across, cluster, statement):
    across.end(credential=staff.recorder.signed_in(), region="eu", basis_id=basis, now=NOW)

    with superuser(cluster, "region_eu") as connection, pytest.raises(psycopg.Error):
        connection.execute(f"{statement} WHERE basis_id = '{basis}'")
