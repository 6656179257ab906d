"""A request for erasure goes from intake to a certificate, through regions that are held, down or restarted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from auditvault.core.errors import AuditvaultError
from auditvault.core.policy.erasure import Action
from auditvault.core.policy.holds import SubjectScope
from auditvault.core.tlog.request_certificate import read_certificate
from tests.integration.access.meeting import together
from tests.integration.ledger.attempts import act_for, not_refused
from tests.integration.ledger.outage import unreachable
from tests.integration.ledger.superuser import superuser
from tests.integration.privacy.erasing import BOTH, LATER, Officers, say, turn_epochs
from tests.integration.privacy.holding import details_of
from tests.integration.vault.erasing import (
    NOTHING,
    CutOffError,
    left,
    records,
    state_of,
    subject_of,
)
from tests.staff import make_person

EDGES = [
    "receive", "ask_identity", "verify_identity", "freeze", "assess", "ask_approval", "approve", "begin",
    "destroy_keys", "finish", "confirm", "pass_backups", "certify",
]  # fmt: skip


@pytest.fixture
def officers(service, tenant):
    return Officers(tenant)


def test_a_request_goes_from_intake_to_its_certificate_in_two_regions(
    client, tenant, cluster, officers
):
    say(client, tenant, "one", "two", region="eu")
    say(client, tenant, "three", region="us")
    subjects = {region: subject_of(cluster, tenant, region=region) for region in ("eu", "us")}
    request_id = officers.approved()

    assert officers.work(request_id) == "backup_pending"
    for region, subject in subjects.items():
        assert left(cluster, tenant, subject, region=region) == NOTHING
    turn_epochs()
    assert officers.work(request_id) == "certified"
    assert officers.actions(request_id) == EDGES
    certificate = read_certificate(officers.certificate(request_id))
    assert (certificate.found, certificate.done, certificate.outcome) == (3, 3, "done")
    assert [(part.region, part.done, part.keys) for part in certificate.regions] == [
        ("eu", 2, 1),
        ("us", 1, 1),
    ]
    assert certificate.checked == 3


def refused_with(act):
    with pytest.raises(AuditvaultError) as refused:
        act()
    return refused.value.code


def code_of(result):
    return result.code if isinstance(result, AuditvaultError) else result


def people(cluster, tenant, *users, region="eu"):
    """The subject of each of these users, in the order in which they first spoke."""
    with superuser(cluster, f"region_{region}") as connection:
        rows = connection.execute(
            "SELECT subject_id FROM vault_subject WHERE tenant_id = %s AND kind = 'person' ORDER BY 1",
            (tenant.tenant_id,),
        ).fetchall()
    assert len(rows) == len(users)
    return [row[0] for row in rows]


def become_one(tenant, one, other):
    from auditvault.vault.merging import merge_subjects

    merge_subjects(
        region="eu", tenant_id=tenant.tenant_id, one=one, other=other, actor="t", case="CASE-1"
    )


# What is found


def test_discovery_says_what_each_region_has_and_who_is_beside_them(
    client, tenant, cluster, officers
):
    from auditvault.privacy.erasing.discovery import discover
    from tests.integration.ingest.sending import chat, record

    trace = b"t" * 16
    record(
        client,
        tenant,
        chat("one", user="anna", trace_id=trace),
        chat("two", user="bert", trace_id=trace),
        chat("three", user="carla"),
    )
    request_id = officers.ask()
    eu, us = discover(
        region="eu",
        credential=officers.credential(officers.operator),
        request_id=request_id,
        now=datetime.now(UTC),
    )
    everybody = set(people(cluster, tenant, "anna", "bert", "carla"))
    (anna,) = eu.found.subject_ids
    (bert,) = eu.neighbours
    assert {anna, bert} < everybody
    assert (eu.found.objects, eu.found.records, eu.found.names, eu.found.keys) == (1, 1, 1, 1)
    assert (us.found.subject_ids, us.found.objects, us.neighbours) == ((), 0, [])


def test_what_was_found_is_frozen_and_its_digest_is_what_is_approved(
    client, tenant, cluster, officers
):
    from auditvault.core.policy.manifest import objects_digest, read_manifest
    from auditvault.ledger.scope import region_alias, tenant_scope
    from auditvault.privacy.erasing.store import manifest_body

    say(client, tenant, "one", "two")
    request_id = officers.ask()
    frozen = officers.freeze(request_id)
    with tenant_scope(region_alias("eu"), tenant.tenant_id) as connection:
        manifest = read_manifest(manifest_body(connection, request_id, frozen.request.manifest))
    with superuser(cluster, "region_eu") as connection:
        rows = connection.execute(
            "SELECT object_id FROM vault_object WHERE subject_id = ANY(%s)",
            (list(manifest.part("eu").subject_ids),),
        ).fetchall()
    part = manifest.part("eu")
    assert part.objects_digest == objects_digest(row[0] for row in rows)
    assert (part.objects, manifest.subjects, manifest.part("us").objects) == (2, 1, 0)
    assert refused_with(partial(officers.freeze, request_id)) == "privacy_request_move"


def test_nothing_is_frozen_of_somebody_who_was_not_identified(client, tenant, cluster, officers):
    say(client, tenant, "one")
    request_id = officers.receive(identifiers=(("user", "anna"),)).request_id
    assert refused_with(partial(officers.freeze, request_id)) == "privacy_request_move"
    with superuser(cluster, "region_eu") as connection:
        assert connection.execute(
            "SELECT count(*) FROM privacy_listing WHERE tenant_id = %s", (tenant.tenant_id,)
        ).fetchone() == (0,)


def test_more_subjects_than_a_person_has_are_confirmed_by_their_number(
    client, tenant, officers, monkeypatch
):
    from auditvault.privacy.erasing import freezing

    monkeypatch.setattr(freezing, "MANY_SUBJECTS", 0)
    say(client, tenant, "one")
    request_id = officers.ask()
    assert refused_with(partial(officers.freeze, request_id)) == "manifest_unconfirmed"
    assert refused_with(partial(officers.freeze, request_id, confirmed=2)) == "manifest_unconfirmed"
    assert officers.freeze(request_id, confirmed=1).request.state.value == "scoped"


def test_what_is_not_due_is_not_written_by_the_application_either(tenant, connect, officers):
    request_id = officers.ask(regions=())
    connection = connect("app")
    act_for(connection, tenant.tenant_id)
    named = f"'{tenant.tenant_id}', '{request_id}'"
    assert not_refused(connection, [
        f"INSERT INTO privacy_manifest (tenant_id, request_id, digest, body) VALUES ({named}, sha256('x'), 'x')",
        f"INSERT INTO privacy_certificate VALUES ({named}, gen_random_uuid(), 'x', now())",
        f"SELECT privacy_request_name('{request_id}', '{{us}}', '{{user}}', ARRAY[sha256('')], '{{1}}')",
        "UPDATE privacy_part SET state = 'verified'",
        "DELETE FROM privacy_listing",
        "SELECT * FROM privacy_requests_underway()",
    ]) == {}  # fmt: skip


def test_a_request_names_regions_that_its_people_work_in_once_each(officers):
    assert refused_with(partial(officers.receive, regions=("us",))) == "region_unavailable"
    for regions in (("eu",), ("us", "us")):
        assert refused_with(partial(officers.ask, regions=regions)) == "privacy_request_invalid"


def test_a_request_about_the_same_person_is_about_the_same_regions(tenant, officers):
    from auditvault.ledger.scope import region_alias, tenant_scope
    from auditvault.privacy.requests.services import clone_request
    from auditvault.privacy.requests.store import region_tags_of

    one = officers.ask()
    other = clone_request(
        region="eu",
        credential=officers.credential(officers.operator),
        request_id=one,
        asked=officers.asked(identifiers=()),
        now=datetime.now(UTC),
    ).request_id
    with tenant_scope(region_alias("eu"), tenant.tenant_id) as connection:
        found = region_tags_of(connection, one)
        assert (list(found), region_tags_of(connection, other)) == (["us"], found)


# What goes


def test_a_request_that_found_nobody_takes_the_same_steps_and_is_certified(officers):
    request_id = officers.approved("nobody")
    assert officers.work(request_id) == "certified"
    certificate = read_certificate(officers.certificate(request_id))
    assert (certificate.outcome, certificate.found, certificate.checked) == ("nothing_found", 0, 0)
    assert certificate.backups_past_recall_at is None


def test_what_comes_between_freezing_and_execution_goes_under_the_same_request(
    client, tenant, cluster, officers
):
    say(client, tenant, "one")
    request_id = officers.approved()
    say(client, tenant, "two", "three")
    say(client, tenant, "four", region="us")
    anna = subject_of(cluster, tenant)
    assert officers.work(request_id) == "backup_pending"
    assert left(cluster, tenant, anna) == NOTHING
    assert (officers.part(request_id).destroyed, officers.part(request_id, "us").destroyed) == (
        3,
        1,
    )


def test_whoever_turns_out_to_be_the_person_after_freezing_goes_too(
    client, tenant, cluster, officers
):
    say(client, tenant, "one", user="anna")
    say(client, tenant, "two", user="anna2")
    anna, other = people(cluster, tenant, "anna", "anna2")
    request_id = officers.approved()
    become_one(tenant, anna, other)
    assert officers.work(request_id) == "backup_pending"
    assert left(cluster, tenant, other) == NOTHING


def test_whoever_is_no_more_the_person_is_not_erased_until_somebody_looks_again(
    client, tenant, cluster, officers
):
    from auditvault.vault.merging import split_subjects

    say(client, tenant, "one", user="anna")
    say(client, tenant, "two", user="bert")
    anna, bert = people(cluster, tenant, "anna", "bert")
    become_one(tenant, anna, bert)
    request_id = officers.approved()
    split_subjects(
        region="eu", tenant_id=tenant.tenant_id, leaving=[bert], actor="t", case="CASE-1"
    )
    assert refused_with(partial(officers.work, request_id)) == "manifest_drifted"
    assert officers.state(request_id) == "scheduled"

    officers.move(request_id, Action.RESCOPE)
    officers.approve(request_id, by=make_person(tenant, "privacy_officer"))
    assert officers.work(request_id) == "backup_pending"
    assert (state_of(cluster, tenant, anna), state_of(cluster, tenant, bert)) == (
        "erased",
        "active",
    )


def test_what_comes_after_the_execution_is_somebody_new_and_is_counted(client, tenant, officers):
    say(client, tenant, "one")
    request_id = officers.approved(regions=())
    officers.drive(request_id)
    officers.carry_out(request_id, "eu")
    say(client, tenant, "two")
    assert officers.work(request_id) == "backup_pending"
    assert officers.part(request_id).arrived == 1


def test_a_part_that_nobody_approved_destroys_nothing(client, tenant, cluster, officers):
    from auditvault.ledger.scope import region_alias, tenant_scope
    from auditvault.privacy.erasing.store import order_part

    say(client, tenant, "one")
    request_id = officers.ask(regions=())
    digest = officers.freeze(request_id).request.manifest
    with tenant_scope(region_alias("eu"), tenant.tenant_id) as connection:
        assert order_part(connection, request_id, home="eu", manifest=digest)
    assert refused_with(partial(officers.carry_out, request_id, "eu")) == "erasure_not_ordered"
    assert state_of(cluster, tenant, subject_of(cluster, tenant)) == "active"


def test_each_region_records_what_was_done_there(client, tenant, cluster, officers):
    say(client, tenant, "one", region="us")
    request_id = officers.approved()
    officers.work(request_id)
    part = officers.part(request_id, "us")
    with superuser(cluster, "region_us") as connection:
        rows = connection.execute(
            "SELECT header FROM admin_event WHERE tenant_id = %s AND action LIKE 'erasure.%%'"
            " ORDER BY record_id",
            (tenant.tenant_id,),
        ).fetchall()
    from auditvault.core.tlog.canonical import parse_canonical

    done, verified = (parse_canonical(bytes(header))["details"] for (header,) in rows)
    common = {"request": str(request_id), "home": "eu", "manifest": part.manifest.hex()}
    assert done == common | {
        "objects": 1,
        "keys": 1,
        "records": [{"i": part.idxs[0], "hash": part.hashes[0].hex()}],
    }
    assert verified == common | {"checked": 1, "remaining": 0, "opened": 0, "arrived": 0}


# What waits


def test_a_hold_stops_what_it_covers_and_its_release_lets_it_go_on(
    client, tenant, cluster, officers, lawyers
):
    say(client, tenant, "one")
    say(client, tenant, "two", region="us")
    anna, over_there = subject_of(cluster, tenant), subject_of(cluster, tenant, region="us")
    request_id = officers.approved()
    placed = lawyers.place(SubjectScope(subject_ids=frozenset({anna})))

    assert officers.work(request_id) == "held"
    assert state_of(cluster, tenant, anna) == "active"
    assert left(cluster, tenant, over_there, region="us") == NOTHING
    _, timeline, _ = officers.stored(request_id)
    assert details_of(cluster, timeline[-1].record_id)["holds"] == [str(placed.hold_id)]

    lawyers.release(placed.hold_id)
    assert officers.work(request_id) == "backup_pending"
    assert left(cluster, tenant, anna) == NOTHING
    turn_epochs()
    officers.work(request_id)
    assert read_certificate(officers.certificate(request_id)).outcome == "done"


def test_a_region_that_is_down_is_waited_for_and_the_other_does_its_part(
    client, tenant, cluster, officers
):
    say(client, tenant, "one")
    say(client, tenant, "two", region="us")
    anna, over_there = subject_of(cluster, tenant), subject_of(cluster, tenant, region="us")
    request_id = officers.approved()
    officers.drive(request_id)
    with unreachable(cluster, "region_us"):
        officers.work(request_id, regions=("eu",))
    assert officers.state(request_id) == "executing"
    assert left(cluster, tenant, anna) == NOTHING
    assert state_of(cluster, tenant, over_there, region="us") == "active"
    assert officers.work(request_id) == "backup_pending"
    assert left(cluster, tenant, over_there, region="us") == NOTHING


def test_a_part_that_fails_is_tried_again_later(client, tenant, cluster, officers, monkeypatch):
    from auditvault.privacy.erasing import executing

    say(client, tenant, "one")
    request_id = officers.approved(regions=())
    real = executing.destroy

    def fails(**_given):
        monkeypatch.setattr(executing, "destroy", real)
        raise OSError("the disk of the ledger is gone")

    monkeypatch.setattr(executing, "destroy", fails)
    assert officers.work(request_id) == "failed_retry"
    assert officers.part(request_id).code == "database_unavailable"
    assert officers.work(request_id) == "failed_retry"
    assert officers.work(request_id, now=datetime.now(UTC) + timedelta(hours=1)) == "backup_pending"


def test_backups_are_waited_for_until_the_keys_have_turned(client, tenant, officers):
    say(client, tenant, "one")
    request_id = officers.approved(regions=())
    assert officers.work(request_id, now=datetime.now(UTC) + LATER) == "backup_pending"
    turn_epochs()
    assert officers.work(request_id) == "certified"


# What a crash leaves


@pytest.mark.parametrize("step", ["_done", "note_part", "record_in", "destroy"])
def test_a_part_that_ends_half_way_is_finished_and_counts_the_same(
    client, tenant, cluster, officers, monkeypatch, step
):
    from auditvault.privacy.erasing import executing

    say(client, tenant, "one", "two")
    anna = subject_of(cluster, tenant)
    request_id = officers.approved(regions=())
    officers.drive(request_id)
    real = getattr(executing, step)

    def ends(*given, **named):
        monkeypatch.setattr(executing, step, real)
        real(*given, **named)
        raise CutOffError

    monkeypatch.setattr(executing, step, ends)
    with pytest.raises(CutOffError):
        officers.carry_out(request_id, "eu")
    assert officers.part(request_id).state.value == "ordered"
    assert officers.work(request_id) == "backup_pending"
    assert left(cluster, tenant, anna) == NOTHING
    part = officers.part(request_id)
    assert (part.destroyed, part.keys, len(part.idxs)) == (2, 1, 1)


@pytest.mark.parametrize(
    "step", ["bar_keys", "hide", "_write_record", "destroy_keys", "erase_rows", "finish"]
)
def test_an_erasure_that_ends_half_way_is_finished_under_its_request(
    client, tenant, cluster, officers, cut_off, step
):
    say(client, tenant, "one", "two")
    anna = subject_of(cluster, tenant)
    request_id = officers.approved(regions=())
    officers.drive(request_id)
    cut_off(step, "after")
    with pytest.raises(CutOffError):
        officers.carry_out(request_id, "eu")
    assert officers.work(request_id) == "backup_pending"
    assert left(cluster, tenant, anna) == NOTHING
    part = officers.part(request_id)
    assert (part.destroyed, part.keys, len(part.idxs)) == (2, 1, 1)


@pytest.mark.parametrize(
    ("step", "state"),
    [
        ("order_part", "executing"),
        ("advance_request", "scheduled"),
        ("forget_listings", "notifying"),
    ],
)
def test_the_service_goes_on_where_it_ended(client, tenant, officers, monkeypatch, step, state):
    from auditvault.privacy.erasing import driving

    say(client, tenant, "one")
    request_id = officers.approved()
    if state == "notifying":
        officers.work(request_id)
        turn_epochs()
    real = getattr(driving, step)

    def ends(*given, **named):
        monkeypatch.setattr(driving, step, real)
        if step != "advance_request":
            real(*given, **named)
        raise CutOffError

    monkeypatch.setattr(driving, step, ends)
    with pytest.raises(CutOffError):
        officers.work(request_id)
    assert officers.state(request_id) == state
    officers.work(request_id)
    turn_epochs()
    assert officers.work(request_id) == "certified"
    assert officers.actions(request_id) == EDGES


# What meets


def test_two_workers_at_one_request_do_it_once(client, tenant, cluster, officers):
    say(client, tenant, "one", "two")
    anna = subject_of(cluster, tenant)
    request_id = officers.approved(regions=())
    officers.drive(request_id)
    before = len(records())
    results = together(*[partial(officers.carry_out, request_id, "eu")] * 2)
    assert sorted(map(code_of, results)) == [False, True]
    assert len(records()) == before + 1
    assert left(cluster, tenant, anna) == NOTHING
    together(*[partial(officers.drive, request_id)] * 2)
    assert officers.work(request_id) == "backup_pending"
    assert officers.actions(request_id) == EDGES[:-2]


def test_a_hold_and_an_erasure_at_once_come_in_one_order(
    client, tenant, cluster, officers, lawyers
):
    say(client, tenant, "one")
    anna = subject_of(cluster, tenant)
    request_id = officers.approved(regions=())
    officers.drive(request_id)
    scope = SubjectScope(subject_ids=frozenset({anna}))
    together(partial(officers.carry_out, request_id, "eu"), partial(lawyers.place, scope))
    state = officers.work(request_id)
    rows = left(cluster, tenant, anna)
    assert (state, rows == NOTHING) in {("held", False), ("backup_pending", True)}


# What is left


def test_something_that_is_still_there_reopens_the_request(client, tenant, cluster, officers):
    say(client, tenant, "one")
    anna = subject_of(cluster, tenant)
    with superuser(cluster, "region_eu") as connection:
        kept = connection.execute(
            "SELECT * FROM vault_object WHERE subject_id = %s", (anna,)
        ).fetchone()
        request_id = officers.approved(regions=())
        officers.drive(request_id)
        officers.carry_out(request_id, "eu")
        places = ", ".join(["%s"] * len(kept))
        connection.execute(f"INSERT INTO vault_object VALUES ({places})", kept)
    assert officers.work(request_id) == "backup_pending"
    assert officers.actions(request_id)[-4:] == ["reopen", "destroy_keys", "finish", "confirm"]
    assert left(cluster, tenant, anna) == NOTHING


def test_a_list_that_was_changed_is_no_verification(client, tenant, cluster, officers):
    say(client, tenant, "one", "two")
    request_id = officers.approved(regions=())
    officers.drive(request_id)
    officers.carry_out(request_id, "eu")
    with superuser(cluster, "region_eu") as connection:
        connection.execute(
            "DELETE FROM privacy_listing_object WHERE (tenant_id, object_id) IN ("
            "SELECT tenant_id, object_id FROM privacy_listing_object WHERE tenant_id = %s LIMIT 1)",
            (tenant.tenant_id,),
        )
    assert refused_with(partial(officers.work, request_id)) == "manifest_listing_damaged"
    assert officers.state(request_id) == "verifying"


def test_lists_go_with_the_certificate_and_with_a_request_that_is_at_an_end(
    client, tenant, cluster, officers
):
    from auditvault.privacy.tasks import sweep_old_listings
    from settings.celery import app

    assert app.conf.beat_schedule["listings-eu"]["task"] == sweep_old_listings.name
    say(client, tenant, "one")
    certified = officers.approved()
    officers.work(certified)
    turn_epochs()
    officers.work(certified)
    say(client, tenant, "two")
    withdrawn, open_one = officers.ask(), officers.ask()
    for request_id in (withdrawn, open_one):
        officers.freeze(request_id)
    officers.move(withdrawn, Action.WITHDRAW)
    for region in BOTH:
        with superuser(cluster, f"region_{region}") as connection:
            connection.execute(
                "UPDATE privacy_listing SET made_at = now() - interval '2 hours' WHERE tenant_id = %s",
                (tenant.tenant_id,),
            )
        sweep_old_listings(region)
        with superuser(cluster, f"region_{region}") as connection:
            rows = connection.execute(
                "SELECT request_id FROM privacy_listing WHERE tenant_id = %s", (tenant.tenant_id,)
            ).fetchall()
        assert rows == [(open_one,)]
