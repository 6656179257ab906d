"""A run destroys exactly what was planned and is still due, keeps what is held, and leaves its record either way."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier

import psycopg
import pytest

from auditvault.core.policy.holds import RecordScope, SubjectScope
from tests.integration.evidence.verdict import reports_of
from tests.integration.ingest.sending import chat
from tests.integration.ledger.superuser import superuser
from tests.integration.privacy.running import DAY, Runs
from tests.integration.vault.erasing import CutOffError, erase, subject_of

YEARS = 8 * 365 * DAY
LAST_ID = "ffffffff-ffff-ffff-ffff-ffffffffffff"
BATCH = "SELECT * FROM retention_run_batch(%s, %s, %s, %s, '{}', '{}')"


@pytest.fixture
def runs(service, cluster, tenant):
    return Runs(cluster, tenant)


@pytest.fixture
def due(runs):
    """Three contents of one person that are past their time, under a policy, with a clock that can be trusted."""
    runs.record(*(chat(text, user="anna") for text in ("a", "b", "c")))
    runs.policy()
    runs.witness()
    return runs.contents()


@pytest.fixture
def one_by_one(monkeypatch):
    from auditvault.privacy.retention import running

    monkeypatch.setattr(running, "BATCH", 1)


def scalar(cluster, query, *values):
    with superuser(cluster, "region_eu") as connection:
        return connection.execute(query, values).fetchone()[0]


# What goes


def test_what_is_past_its_time_goes_and_what_is_not_stays(runs, due):
    runs.record(chat("d", user="anna"), ago=89 * DAY)
    young = set(runs.contents()) - set(due)

    done = runs.run()

    assert (done.outcome, done.destroyed, done.held, done.failed) == ("done", 3, 0, 0)
    assert done.bytes > 0
    assert set(runs.contents()) == young


def test_the_log_says_what_was_planned_before_and_what_became_of_it(runs, due):
    planned = runs.start()
    (plan,) = runs.entries("retention.planned")
    assert (plan["plan"], plan["due"], plan["actor"]) == (planned.digest.hex(), 3, "token:made")

    done = runs.go_on(planned.run_id)

    (ran,) = runs.entries("retention.ran")
    assert {key: ran[key] for key in ("run", "plan", "policy", "candidates")} == {
        key: plan[key] for key in ("run", "plan", "policy", "candidates")
    }
    assert ran["outcome"] == "done"
    assert ran["counts"]["payload"] == {
        "due": 3, "shared": 0, "destroyed": 3, "held": 0, "failed": 0, "gone": 0, "bytes": done.bytes
    }  # fmt: skip


def test_a_run_leaves_its_record_where_nothing_was_due(runs):
    runs.record(chat("a", user="anna"), ago=DAY)
    runs.policy()
    runs.witness()
    assert runs.start().outcome == "nothing_due"
    (ran,) = runs.entries("retention.ran")
    assert (ran["outcome"], ran["counts"]["payload"]["destroyed"]) == ("nothing_due", 0)


def test_without_a_policy_there_is_no_run(runs):
    runs.record(chat("a", user="anna"))
    assert runs.start() is None
    assert len(runs.contents()) == 1


def test_whose_a_record_was_is_known_after_its_content_is_gone(runs, cluster, tenant, due):
    anna = subject_of(cluster, tenant)
    runs.run()
    known = scalar(cluster, "SELECT count(*) FROM vault_record WHERE subject_id = %s", anna)
    assert known == 3


def test_the_tenant_s_own_contents_are_counted_and_stay_for_later_records(runs, cluster, tenant):
    runs.record(chat("a", user="anna", system="Be brief."))
    runs.record(chat("b", user="anna", system="Be brief."), ago=DAY)
    runs.policy()
    runs.witness()
    done = runs.run()
    assert (done.due, done.shared, done.destroyed) == (1, 1, 1)
    own = (
        "SELECT count(*) FROM vault_object JOIN vault_subject USING (tenant_id, subject_id)"
        " WHERE tenant_id = %s AND kind = 'tenant'"
    )
    assert scalar(cluster, own, tenant.tenant_id) == 1


def test_the_log_verifies_without_what_went(runs, due, tenant):
    runs.run()
    report = reports_of(tenant, region="eu", with_payloads=True)["interactions"]
    assert (report.first_bad, report.headers, report.payloads_gone) == ({}, 3, 3)


# Clocks


@pytest.mark.parametrize("shift", [-48 * DAY / 24, YEARS])
def test_a_host_whose_clock_was_set_alone_purges_nothing(runs, due, shift):
    ended = runs.start(datetime.now(UTC) + shift)
    assert (ended.outcome, ended.reason) == ("clock_untrusted", "database")
    assert runs.contents() == due
    assert runs.entries("retention.ran")[0]["clock"] == "database"


def test_a_machine_set_back_48_hours_purges_nothing(runs, due):
    runs.witness(datetime.now(UTC) + timedelta(hours=48))
    assert runs.start().reason == "witness"
    assert runs.contents() == due


def test_a_machine_set_back_behind_its_own_log_purges_nothing(runs, cluster, tenant, due):
    with superuser(cluster, "region_eu") as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute(
            "UPDATE ledger_head SET last_at = now() + interval '48 hours' WHERE tenant_id = %s",
            (tenant.tenant_id,),
        )
        connection.execute("SET session_replication_role = origin")
    assert runs.start().reason == "entry"
    assert runs.contents() == due


@pytest.fixture
def nobody_stamps(cluster):
    with superuser(cluster, "region_eu") as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("DELETE FROM evidence_timestamp")


def test_a_machine_set_forward_8_years_purges_nothing(runs, nobody_stamps):
    runs.record(*(chat(text, user="anna") for text in ("a", "b")))
    runs.policy()
    runs.witness(datetime.now(UTC) - YEARS)
    before = runs.contents()
    assert runs.start().reason == "silence"
    assert runs.contents() == before


def test_a_clock_that_is_set_while_a_run_is_planned_ends_it(runs, due):
    planned = runs.start()
    runs.witness(datetime.now(UTC) + timedelta(hours=48))
    assert runs.go_on(planned.run_id).outcome == "clock_untrusted"
    assert runs.contents() == due


# Drift


def test_a_policy_that_is_shortened_after_the_plan_stops_it(runs, due):
    planned = runs.start()
    runs.policy("P1D", version=2)
    assert runs.go_on(planned.run_id).outcome == "drifted"
    assert runs.contents() == due
    assert runs.run().destroyed == 3


def test_a_policy_that_is_lengthened_half_way_keeps_the_rest(runs, due, one_by_one):
    planned = runs.start()
    runs.go_on(planned.run_id, most_batches=1)
    runs.policy("P8Y", version=2)
    ended = runs.go_on(planned.run_id)
    assert (ended.outcome, ended.destroyed) == ("drifted", 1)
    assert len(runs.contents()) == 2


def test_the_database_stops_a_run_whose_policy_is_not_in_force_any_more(
    runs, due, connect, tenant, one_by_one
):
    planned = runs.start()
    runs.go_on(planned.run_id, most_batches=1)
    runs.policy("P8Y", version=2)
    assert batch(connect, tenant, planned.run_id) == "drifted"
    assert len(runs.contents()) == 2


def test_somebody_who_is_erased_after_the_plan_makes_it_another(runs, cluster, tenant, due):
    planned = runs.start()
    erase(tenant, subject_of(cluster, tenant))
    assert runs.go_on(planned.run_id).outcome == "drifted"


def test_a_content_that_went_half_way_is_counted_as_gone_and_not_as_destroyed(
    runs, cluster, tenant, due, one_by_one
):
    planned = runs.start()
    runs.go_on(planned.run_id, most_batches=1)
    erase(tenant, subject_of(cluster, tenant))
    ended = runs.go_on(planned.run_id)
    assert (ended.outcome, ended.destroyed, ended.gone) == ("done", 1, 2)


def test_a_policy_that_has_lapsed_purges_nothing(runs):
    runs.record(chat("a", user="anna"))
    runs.policy(lapses_on=(datetime.now(UTC) - DAY).date().isoformat())
    runs.witness()
    assert runs.start().outcome == "policy_lapsed"
    assert len(runs.contents()) == 1


# What stays


def test_a_hold_that_comes_after_the_plan_keeps_what_it_covers(runs, lawyers, cluster, due):
    planned = runs.start()
    record = scalar(cluster, "SELECT record_id FROM vault_object WHERE object_id = %s", due[1])
    lawyers.place(RecordScope(record_ids=frozenset({record})))

    done = runs.go_on(planned.run_id)

    assert (done.outcome, done.destroyed, done.held) == ("done", 2, 1)
    assert runs.contents() == [due[1]]


def test_a_hold_on_a_person_keeps_all_of_theirs_and_is_counted(runs, lawyers, cluster, tenant, due):
    lawyers.place(SubjectScope(subject_ids=frozenset({subject_of(cluster, tenant)})))
    done = runs.run()
    assert (done.outcome, done.destroyed, done.held) == ("done", 0, 3)
    assert runs.contents() == due


@pytest.mark.parametrize("held", [0, 1, 2])
def test_a_content_in_several_records_stays_while_any_of_them_is_held(runs, lawyers, held):
    records = runs.record(*(chat("the same", user="anna") for _ in range(3)))
    runs.policy()
    runs.witness()
    (content,) = runs.contents()
    lawyers.place(RecordScope(record_ids=frozenset({sorted(records)[held]})))
    assert runs.run().held == 1
    assert runs.contents() == [content]


def test_the_database_refuses_a_content_of_a_later_record_that_is_held(runs, cluster, lawyers):
    records = runs.record(*(chat("the same", user="anna") for _ in range(2)))
    (content,) = runs.contents()
    lawyers.place(RecordScope(record_ids=frozenset({max(records)})))
    with (
        superuser(cluster, "region_eu") as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute("DELETE FROM vault_object WHERE object_id = %s", (content,))


def test_what_a_person_had_restricted_stays(runs, cluster, tenant, due):
    runs.change(
        "UPDATE vault_subject SET state = 'restricted' WHERE subject_id = %s",
        subject_of(cluster, tenant),
    )
    done = runs.run()
    assert (done.outcome, done.held) == ("done", 3)
    assert runs.contents() == due


def test_a_released_hold_lets_the_next_run_go(runs, lawyers, cluster, tenant, due):
    placed = lawyers.place(SubjectScope(subject_ids=frozenset({subject_of(cluster, tenant)})))
    runs.run()
    lawyers.release(placed.hold_id)
    assert runs.run().destroyed == 3


# Crashes, and two at once


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", ["_allowed", "_batch", "_finish", "_end"])
def test_a_run_that_is_cut_off_finishes_and_counts_right(
    runs, due, one_by_one, monkeypatch, step, when
):
    from auditvault.privacy.retention import running

    planned, real = runs.start(), getattr(running, step)

    def failing(*arguments, **named):
        monkeypatch.setattr(running, step, real)
        if when == "after":
            real(*arguments, **named)
        raise CutOffError

    monkeypatch.setattr(running, step, failing)
    with pytest.raises(CutOffError):
        runs.go_on(planned.run_id)

    done = runs.go_on(planned.run_id)

    assert (done.outcome, done.destroyed) == ("done", 3)
    assert runs.contents() == []
    assert len(runs.entries("retention.ran")) == 1


def begun(runs):
    """A run that is carried out from here on, of which nothing is done."""
    return runs.go_on(runs.start().run_id, most_batches=0).run_id


def test_a_worker_that_is_killed_in_the_middle_of_a_batch_has_done_nothing_of_it(
    runs, due, connect, tenant
):
    run_id = begun(runs)
    with connect("retention") as connection:
        connection.execute("BEGIN")
        took = connection.execute(BATCH, (tenant.tenant_id, run_id, 2, LAST_ID)).fetchone()
        connection.close()  # as the kernel does
    assert took == ("went", 2)
    assert runs.contents() == due

    done = runs.go_on(run_id)

    assert (done.outcome, done.destroyed, runs.contents()) == ("done", 3, [])


def test_what_another_worker_is_at_is_passed_over_and_the_run_does_not_end_without_it(
    runs, due, connect, tenant
):
    run_id = begun(runs)
    with connect("retention") as connection, connection.transaction():
        connection.execute(BATCH, (tenant.tenant_id, run_id, 1, LAST_ID))
        meanwhile = runs.go_on(run_id)
        assert (meanwhile.state, meanwhile.destroyed) == ("executing", 2)
    done = runs.go_on(run_id)
    assert (done.outcome, done.destroyed) == ("done", 3)


@pytest.mark.parametrize("lock", ["legal_hold", "retention_policy"])
def test_whoever_places_a_hold_or_sets_a_policy_waits_for_the_batch(
    runs, due, connect, cluster, tenant, lock
):
    run_id = begun(runs)
    alone = "SELECT pg_try_advisory_xact_lock(hashtext(%s), hashtext(%s))"
    with connect("retention") as connection, connection.transaction():
        connection.execute(BATCH, (tenant.tenant_id, run_id, 1, LAST_ID))
        assert not scalar(cluster, alone, lock, str(tenant.tenant_id))
    assert scalar(cluster, alone, lock, str(tenant.tenant_id))


def test_two_workers_at_one_run_destroy_each_content_once(runs, one_by_one):
    from django.db import connections

    runs.record(*(chat(str(number), user="anna") for number in range(12)))
    runs.policy()
    runs.witness()
    planned, barrier = runs.start(), Barrier(2)

    def work():
        try:
            barrier.wait(10)
            return runs.go_on(planned.run_id, most_batches=100)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(2) as pool:
        for each in [pool.submit(work), pool.submit(work)]:
            each.result(60)
    done = runs.go_on(planned.run_id)
    assert (done.outcome, done.destroyed, runs.contents()) == ("done", 12, [])
    assert len(runs.entries("retention.ran")) == 1


def test_whoever_starts_a_second_run_finds_the_first(runs, due):
    assert runs.start().run_id == runs.start().run_id


def test_a_run_rests_while_it_is_paused_and_both_are_recorded(runs, due):
    from auditvault.privacy.retention.store import RunEndedError

    planned = runs.start()
    runs.pause(planned.run_id)
    assert runs.go_on(planned.run_id).state == "planned"
    assert runs.contents() == due
    runs.pause(planned.run_id, is_paused=False)
    assert runs.go_on(planned.run_id).outcome == "done"
    assert len(runs.entries("retention.run_paused")) == 1
    assert len(runs.entries("retention.run_resumed")) == 1
    with pytest.raises(RunEndedError):
        runs.pause(planned.run_id)


# The schedule


def test_the_schedule_runs_each_tenant_once_a_day(runs, due):
    from auditvault.privacy.tasks import run_retention
    from settings.celery import app

    assert app.conf.beat_schedule["retention-eu"]["task"] == run_retention.name
    for _ in range(2):
        run_retention("eu")
    assert runs.contents() == []
    assert [each["outcome"] for each in runs.entries("retention.ran")] == ["done"]


# The database


def batch(connect, tenant, run_id):
    """As the retention role, with cuts that let everything go."""
    with connect("retention") as connection:
        return connection.execute(BATCH, (tenant.tenant_id, run_id, 10, LAST_ID)).fetchone()[0]


def test_a_plan_that_was_not_begun_and_one_that_rests_destroy_nothing(runs, due, connect, tenant):
    planned = runs.start()
    assert batch(connect, tenant, planned.run_id) == "not_executing"
    runs.go_on(planned.run_id, most_batches=0)
    runs.pause(planned.run_id)
    assert batch(connect, tenant, planned.run_id) == "paused"
    assert runs.contents() == due


def test_what_somebody_put_into_a_plan_is_looked_at_again(runs, due):
    runs.record(chat("young", user="berta"), ago=DAY)
    (young,) = set(runs.contents()) - set(due)
    planned = runs.start()
    runs.change(
        "INSERT INTO retention_run_item (tenant_id, run_id, object_id) VALUES (%s, %s, %s)",
        runs.tenant.tenant_id,
        planned.run_id,
        young,
    )
    ended = runs.go_on(planned.run_id)
    assert (ended.outcome, ended.destroyed, ended.failed) == ("failed", 3, 1)
    assert runs.contents() == [young]


def test_the_application_s_role_destroys_nothing(runs, due, connect, tenant):
    planned = runs.start()
    for statement in (
        "SELECT retention_run_batch(auditvault_tenant(), %s, 1, auditvault_tenant(), '{}', '{}')",
        "UPDATE retention_run SET state = 'executing' WHERE run_id = %s",
        "DELETE FROM retention_run_item WHERE run_id = %s",
    ):
        with connect("app") as connection, connection.transaction(force_rollback=True):
            connection.execute(
                "SELECT set_config('auditvault.tenant_id', %s, true)", (str(tenant.tenant_id),)
            )
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement, (planned.run_id,))
    assert runs.contents() == due


def test_what_is_left_is_found_by_the_verification(runs, due, monkeypatch):
    from auditvault.privacy.retention import running

    real = running._finish

    def put_back(*arguments):
        runs.change(
            "INSERT INTO vault_tag_alias VALUES (%s, %s, %s)",
            runs.tenant.tenant_id,
            bytes(32),
            due[0],
        )
        real(*arguments)

    monkeypatch.setattr(running, "_finish", put_back)
    ended = runs.run()
    assert (ended.outcome, ended.remaining) == ("failed", 1)
