"""Scheduled jobs: claimed once, taken over from the dead, and said to have failed where they did."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from uuid import UUID

import pytest

from tests.integration.evidence.rewriting import cut, drop_checkpoints
from tests.integration.evidence.verdict import findings, logs_of
from tests.integration.ingest.sending import chat, protobuf_of, send
from tests.integration.ledger.superuser import superuser, tampering

SECONDS = 60.0
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def job_name(service, cluster):
    """A job of this test's own, whose row is gone afterwards."""
    name = "test_" + "".join(letter for letter in chat().trace_id.hex() if letter.isalpha())
    yield name
    with superuser(cluster, "region_us") as connection:
        connection.execute("DELETE FROM scheduled_job WHERE name = %s", (name,))


class Counted:
    """A job that notes when it ran, and does something."""

    def __init__(self, name, work=dict):
        from auditvault.evidence.jobs import Job

        self.ran = []
        self._work = work
        self.job = Job(name=name, every=timedelta(hours=1), run=self._run)

    def _run(self, _region, now):
        self.ran.append(now)
        return self._work()

    def look(self, now=NOW):
        from auditvault.evidence.jobs import run_due

        return run_due("us", [self.job], now)


def row(cluster, name):
    with superuser(cluster, "region_us") as connection:
        return connection.execute(
            "SELECT outcome, detail, due_at, started_at, finished_at FROM scheduled_job WHERE name = %s",
            (name,),
        ).fetchone()


def test_a_job_runs_when_it_is_due_and_not_before(job_name):
    job = Counted(job_name)
    for minutes in (0, 1, 59, 60, 61):
        job.look(NOW + timedelta(minutes=minutes))
    assert job.ran == [NOW, NOW + timedelta(minutes=60)]


def test_a_job_that_ran_says_so(job_name, cluster):
    Counted(job_name, lambda: {"found": 3}).look()
    outcome, detail, due_at, started_at, finished_at = row(cluster, job_name)
    assert (outcome, detail) == ("ok", {"found": 3})
    assert (started_at, due_at) == (NOW, NOW + timedelta(hours=1))
    assert finished_at is not None


def test_runners_that_look_at_once_claim_a_job_once(job_name):
    from django.db import connections

    start, inside = threading.Barrier(4), threading.Event()
    job = Counted(job_name, lambda: inside.wait(SECONDS) and {})
    names = []

    def runner():
        start.wait(SECONDS)
        names.append(job.look())
        if len(names) == 3:  # the others have found nothing: the one inside may finish
            inside.set()
        connections.close_all()

    threads = [threading.Thread(target=runner) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    assert len(job.ran) == 1
    assert sorted(names) == [[], [], [], [job_name]]


def test_a_job_whose_runner_died_comes_back_after_its_lease(job_name, cluster):
    from auditvault.evidence.jobs import LEASE

    class DiedError(BaseException):
        """As a killed process: nothing after it runs."""

    def die():
        raise DiedError

    with pytest.raises(DiedError):
        Counted(job_name, die).look()
    again = Counted(job_name)
    again.look(NOW + LEASE - timedelta(seconds=1))
    again.look(NOW + LEASE)
    assert again.ran == [NOW + LEASE]
    assert row(cluster, job_name)[0] == "ok"


def test_a_job_that_takes_long_has_a_longer_lease(job_name):
    class DiedError(BaseException):
        """As a killed process: nothing after it runs."""

    def die():
        raise DiedError

    lease = timedelta(hours=3)
    died, again = Counted(job_name, die), Counted(job_name)
    died.job, again.job = replace(died.job, lease=lease), replace(again.job, lease=lease)
    with pytest.raises(DiedError):
        died.look()
    again.look(NOW + lease - timedelta(seconds=1))
    again.look(NOW + lease)
    assert again.ran == [NOW + lease]


def test_a_job_that_breaks_is_said_to_have_failed_without_its_message(job_name, cluster):
    def fail():
        raise RuntimeError("Anna's prompt")

    Counted(job_name, fail).look()
    assert row(cluster, job_name)[:2] == ("failed", {"error": "RuntimeError"})


def test_a_job_that_breaks_is_run_again_when_it_is_next_due(job_name):
    def fail():
        raise RuntimeError

    job = Counted(job_name, fail)
    job.look()
    job.look(NOW + timedelta(hours=1))
    assert len(job.ran) == 2


def test_a_job_that_this_runner_does_not_know_is_left_to_others(job_name, cluster):
    """During an upgrade an old worker meets the new one's jobs."""
    Counted(job_name).look()
    Counted("test_nothing").look(NOW + timedelta(hours=2))
    with superuser(cluster, "region_us") as connection:
        connection.execute("DELETE FROM scheduled_job WHERE name = 'test_nothing'")
    assert row(cluster, job_name)[2] == NOW + timedelta(hours=1)


def the_job(name):
    from auditvault.evidence.tasks import JOBS

    (job,) = [job for job in JOBS if job.name == name]
    return job


@pytest.fixture
def due(service, cluster):
    """`due(name, region)` makes one of the product's jobs due, and no other."""

    def make(name, region):
        with superuser(cluster, f"region_{region}") as connection:
            connection.execute("DELETE FROM scheduled_job WHERE name = %s", (name,))

    return make


def last(region, name):
    from auditvault.evidence.jobs import last_runs

    return next((run for run in last_runs(region) if run.name == name), None)


@pytest.mark.parametrize(
    "name", ["verify", "verify_payloads", "sweep_orphan_keys", "make_partitions"]
)
def test_every_job_of_the_product_runs(due, name):
    from auditvault.evidence.jobs import run_due

    due(name, "us")
    assert run_due("us", [the_job(name)], datetime.now(UTC)) == [name]
    # Verification finds what other tests have damaged in the region; it ran all the same.
    assert "error" not in last("us", name).detail


def test_partitions_are_made_for_this_month_and_the_next(due, cluster):
    from auditvault.evidence.jobs import run_due

    due("make_partitions", "us")
    run_due("us", [the_job("make_partitions")], datetime(2031, 12, 31, 23, 59, tzinfo=UTC))
    due("make_partitions", "us")
    with superuser(cluster, "region_us") as connection:
        rows = connection.execute(
            "SELECT relname FROM pg_class WHERE relname ~ '_(203112|203201)$' ORDER BY 1"
        ).fetchall()
    assert [row[0] for row in rows] == [
        f"{table}_{month}"
        for table in (
            "access_event",
            "traces_header",
            "vault_object",
            "vault_piece",
            "vault_record",
        )
        for month in ("203112", "203201")
    ]


@pytest.fixture
def three_records(client, tenant, run_signer):
    body = protobuf_of(*[chat(f"{n}") for n in range(3)])
    send(client, tenant, body, headers=tenant.headers("ingest", regions=("us",)))
    run_signer()
    return logs_of(tenant)["interactions"]


def test_a_verification_that_fails_leaves_the_first_bad_index(
    three_records, tenant, cluster, due, caplog
):
    from auditvault.evidence.jobs import run_due

    due("verify", "us")
    with tampering(cluster, tenant.tenant_id, "region_us") as connection:
        cut(connection, three_records, 2)
        run_due("us", [the_job("verify")], datetime.now(UTC))
    found = last("us", "verify")
    due("verify", "us")
    assert found.outcome == "failed"
    assert found.detail["bad"][three_records.origin] == {"rollback": 2}
    assert found.detail["database"] == []
    assert "do not hold" in caplog.text
    assert f"{three_records.origin} (rollback at 2)" in caplog.text


def test_the_scheduled_verification_has_the_signers_memory(three_records, tenant, cluster, due):
    from auditvault.evidence.jobs import run_due

    due("verify", "us")
    with tampering(cluster, tenant.tenant_id, "region_us") as connection:
        cut(connection, three_records, 2)
        drop_checkpoints(connection, three_records, 2)
        run_due("us", [the_job("verify")], datetime.now(UTC))
    found = last("us", "verify")
    due("verify", "us")
    assert found.detail["bad"][three_records.origin] == {"rollback": 2}


def test_a_worker_is_told_where_the_signers_memory_lies(cluster):
    told = [
        cluster.environment(name)["AUDITVAULT_SIGNER_STATE_FILE"] for name in ("worker", "signer")
    ]
    assert told[0] == told[1]


def test_the_scheduled_verification_of_contents_names_a_damaged_one(
    three_records, tenant, cluster, due
):
    from auditvault.evidence.jobs import run_due

    due("verify_payloads", "us")
    with tampering(cluster, tenant.tenant_id, "region_us") as connection:
        connection.execute(
            "UPDATE vault_object SET envelope = '' WHERE tenant_id = %s", (tenant.tenant_id,)
        )
        run_due("us", [the_job("verify_payloads")], datetime.now(UTC))
    found = last("us", "verify_payloads")
    due("verify_payloads", "us")
    assert found.detail["bad"][three_records.origin] == {"payload_damaged": 0}


def test_a_failed_verification_shows_in_the_metrics(three_records, tenant, cluster, due, client):
    from auditvault.evidence.jobs import run_due

    due("verify", "us")
    with tampering(cluster, tenant.tenant_id, "region_us") as connection:
        cut(connection, three_records, 2)
        run_due("us", [the_job("verify")], datetime.now(UTC))
        text = client.get("/metrics").content.decode()
    due("verify", "us")
    assert 'auditvault_job_ok{job="verify",region="us"} 0.0' in text


@pytest.fixture
def worker(cluster, tmp_path, service):
    """A real worker process of the region `us` on the real broker."""
    log = (tmp_path / "worker.log").open("w")
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "celery", "-A", "settings.celery", "worker"),
            *("--pool", "solo", "--queues", "region-us", "--without-gossip", "--without-mingle"),
        ],
        env=cluster.environment("worker", regions=("us",)),
        cwd=tmp_path,
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    yield process
    process.terminate()
    process.wait(SECONDS)
    log.close()


def test_a_message_on_the_broker_makes_a_worker_run_what_is_due(worker, due):
    from settings.celery import app

    due("make_partitions", "us")
    app.send_task("auditvault.evidence.tasks.run_due_jobs", args=["us"], queue="region-us")
    deadline = time.monotonic() + SECONDS
    while (found := last("us", "make_partitions")) is None:
        assert worker.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert found.outcome == "ok"


def test_a_worker_takes_no_message_of_another_region(worker, due):
    from settings.celery import app

    due("make_partitions", "eu")
    app.send_task("auditvault.evidence.tasks.run_due_jobs", args=["eu"], queue="region-eu")
    due("make_partitions", "us")
    app.send_task("auditvault.evidence.tasks.run_due_jobs", args=["us"], queue="region-us")
    deadline = time.monotonic() + SECONDS
    while last("us", "make_partitions") is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert last("eu", "make_partitions") is None


def operations(cluster, action):
    """The details of the operator's records of that action, oldest first."""
    with superuser(cluster, "region_us") as connection:
        rows = connection.execute(
            "SELECT header FROM admin_event WHERE action = %s ORDER BY record_id", (action,)
        ).fetchall()
    return [json.loads(bytes(row[0]))["details"] for row in rows]


def test_a_verification_that_holds_is_recorded_in_the_operators_log(
    three_records, cluster, due, run_signer
):
    from auditvault.evidence.jobs import run_due

    before = len(operations(cluster, "verification.ended"))
    due("verify", "us")
    run_due("us", [the_job("verify")], datetime.now(UTC))
    (said,) = operations(cluster, "verification.ended")[before:]
    assert (said["job"], said["database"]) == ("verify", {})
    assert said["holds"] == (not said["bad"])
    assert three_records.origin not in said["bad"]
    assert said["entries"] >= 3
    run_signer()
    assert findings(SimpleNamespace(tenant_id=UUID(int=0)), with_memory=False) == {}


def test_a_verification_that_found_something_is_recorded_with_it(
    three_records, tenant, cluster, due
):
    from auditvault.evidence.jobs import run_due

    due("verify", "us")
    with tampering(cluster, tenant.tenant_id, "region_us") as connection:
        cut(connection, three_records, 2)
        run_due("us", [the_job("verify")], datetime.now(UTC))
    due("verify", "us")
    said = operations(cluster, "verification.ended")[-1]
    assert not said["holds"]
    assert said["bad"][three_records.origin] == {"rollback": 2}


def test_what_a_database_allows_is_recorded_without_the_names_that_its_owner_chose(
    three_records, cluster, due
):
    from auditvault.evidence.jobs import run_due

    due("verify", "us")
    with superuser(cluster, "region_us") as connection:
        connection.execute("CREATE TABLE anna_muster (id int)")
        try:
            run_due("us", [the_job("verify")], datetime.now(UTC))
        finally:
            connection.execute("DROP TABLE anna_muster")
    due("verify", "us")
    said = operations(cluster, "verification.ended")[-1]
    assert said["database"]["region.relation_unexpected"] == 1
    assert "anna" not in json.dumps(said)


def test_a_log_that_waits_for_a_signature_shows_in_the_metrics(
    client, tenant, run_signer, three_records, cluster
):
    run_signer()
    fresh = signature_age(client)
    body = protobuf_of(chat("unsigned"))
    send(client, tenant, body, headers=tenant.headers("ingest", regions=("us",)))
    with tampering(cluster, tenant.tenant_id, "region_us") as connection:
        connection.execute(
            "UPDATE ledger_checkpoint SET signed_at = signed_at - interval '1 day'"
            " WHERE log_id = %s",
            (three_records.log_id,),
        )
        late = signature_age(client)
    assert fresh < 3600
    assert 86_400 <= late < 90_000


def signature_age(client):
    text = client.get("/metrics").content.decode()
    name = 'auditvault_signature_age_seconds{region="us"}'
    (line,) = [line for line in text.splitlines() if line.startswith(name)]
    return float(line.split()[-1])
