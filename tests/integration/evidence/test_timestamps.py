"""The time stamp of a region: stored only when it is true, and every log proved to have been under it."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from auditvault.core.tlog.log_key import log_verifiers
from auditvault.core.tlog.merkle import ProofRootError
from auditvault.core.tlog.super_root import TimestampProof
from tests.integration.evidence.verdict import logs_of
from tests.integration.ingest.sending import chat, protobuf_of, send
from tests.integration.ledger.attempts import act_for, not_refused, outcome
from tests.integration.ledger.superuser import superuser, tampering
from tests.reference.timestamp_authority import POLICY, TimestampAuthority, reply, serving

REGION = "us"
DATABASE = "region_us"


@pytest.fixture(scope="module")
def tsa(tmp_path_factory):
    return TimestampAuthority.make(tmp_path_factory.mktemp("tsa"))


@pytest.fixture
def server(tsa):
    with serving(tsa) as found:
        yield found


@pytest.fixture
def stamping(service, cluster, server, tsa):
    """`stamping()` runs the product's own job, due now, against the authority on loopback."""
    from django.test import override_settings

    from auditvault.evidence.anchors.jobs import timestamp_jobs
    from auditvault.evidence.jobs import last_runs, run_due

    def run(**changes):
        values = {"TSA_URL": server.url, "TSA_CA_FILE": str(tsa.root_file)} | changes
        forget(cluster)
        with override_settings(**values):
            run_due(REGION, timestamp_jobs(), datetime.now(UTC))
        return next(run for run in last_runs(REGION) if run.name == "time_stamp")

    yield run
    forget(cluster)


def forget(cluster):
    with superuser(cluster, DATABASE) as connection:
        connection.execute("DELETE FROM scheduled_job WHERE name = 'time_stamp'")


def record(client, tenant, count):
    body = protobuf_of(*[chat(f"{n}") for n in range(count)])
    headers = tenant.headers("ingest", regions=(REGION,))
    assert send(client, tenant, body, headers=headers).status_code == 200
    return logs_of(tenant)["interactions"]


@pytest.fixture
def log(client, tenant, run_signer):
    """A tenant's log of three entries, signed."""
    log = record(client, tenant, 3)
    run_signer()
    return log


def stamps(cluster):
    with superuser(cluster, DATABASE) as connection:
        return connection.execute("SELECT count(*) FROM evidence_timestamp").fetchone()[0]


def first(log, size=1):
    from auditvault.evidence.anchors.selectors import first_timestamp
    from auditvault.ledger.scope import region_alias, tenant_scope

    with tenant_scope(region_alias(REGION), log.tenant_id) as connection:
        return first_timestamp(connection, log, size=size)


def opened(proof, log):
    from pathlib import Path

    from django.conf import settings

    from auditvault.evidence.verification import read_log_keys

    keys = read_log_keys(Path(settings.LOG_VKEYS_FILE))
    return proof.check_checkpoint(origin=log.origin, verifiers=log_verifiers(log.origin, keys))


def test_every_signed_log_is_proved_to_have_been_under_the_stamp(
    log, other_tenant, client, run_signer, stamping, tsa
):
    another = record(client, other_tenant, 2)
    run_signer()
    run = stamping()
    assert run.outcome == "ok"
    for found, size in ((log, 3), (another, 2)):
        stamp = first(found)
        checkpoint = opened(stamp.proof, found)
        assert (stamp.size, checkpoint.size) == (size, size)
        assert stamp.proof.check_inclusion(checkpoint) == stamp.proof.super_root.imprint()
        data = stamp.proof.super_root.text().encode()
        assert "Verification: OK" in tsa.verify(data, stamp.proof.response)


def test_the_stamp_is_over_all_logs_of_the_region_that_were_signed(log, stamping, cluster):
    with superuser(cluster, DATABASE) as connection:
        signed = connection.execute(
            "SELECT count(DISTINCT (tenant_id, log_id)) FROM ledger_checkpoint"
        ).fetchone()[0]
    run = stamping()
    assert run.detail["logs"] == signed == first(log).proof.super_root.size


def test_a_proof_can_be_handed_out_as_json(log, stamping):
    stamping()
    proof = first(log).proof
    again = TimestampProof.from_json(json.dumps(proof.to_dict()))
    assert again == proof
    assert again.check_inclusion(opened(again, log))


def test_a_proof_is_of_no_other_log(log, other_tenant, client, run_signer, stamping):
    another = record(client, other_tenant, 2)
    run_signer()
    stamping()
    checkpoint = opened(first(another).proof, another)
    with pytest.raises(ProofRootError):
        first(log).proof.check_inclusion(checkpoint)


def test_the_first_stamp_over_a_size_is_the_one_that_is_kept(log, stamping):
    stamping()
    before = first(log)
    stamping()
    assert first(log) == before


def test_a_log_that_grew_is_stamped_again(log, client, tenant, run_signer, stamping):
    stamping()
    record(client, tenant, 2)
    run_signer()
    stamping()
    assert [first(log, size).size for size in (1, 3, 4, 5)] == [3, 3, 5, 5]


def test_what_no_stamp_covers_has_none(log, stamping):
    assert first(log) is None
    stamping()
    assert first(log, 4) is None


def test_a_tenant_sees_no_others_place(log, other_tenant, stamping):
    from auditvault.ledger.scope import region_alias, tenant_scope

    stamping()
    with tenant_scope(region_alias(REGION), other_tenant.tenant_id) as connection:
        rows = connection.execute("SELECT DISTINCT tenant_id FROM evidence_stamped").fetchall()
    assert {row[0] for row in rows} <= {other_tenant.tenant_id}


def test_a_log_whose_checkpoint_was_forged_is_left_out_and_named(
    log, tenant, cluster, stamping, caplog
):
    with tampering(cluster, tenant.tenant_id, DATABASE) as connection:
        connection.execute(
            "UPDATE ledger_checkpoint SET note = replace(note, E'\\n3\\n', E'\\n4\\n')"
            " WHERE log_id = %s",
            (log.log_id,),
        )
        run = stamping()
    assert (run.outcome, run.detail["left_out"]) == ("failed", [log.origin])
    assert run.detail["gen_time"]
    assert first(log) is None
    assert any(line.levelname == "CRITICAL" for line in caplog.records)


def test_the_age_of_the_newest_stamp_is_in_the_metrics(log, stamping, client):
    stamping()
    text = client.get("/metrics").content.decode()
    (line,) = [
        line
        for line in text.splitlines()
        if line.startswith('auditvault_timestamp_age_seconds{region="us"}')
    ]
    assert -2 < float(line.split()[-1]) < 60


def test_where_a_stamp_should_be_and_is_none_the_age_is_infinite(client, service, cluster):
    from django.test import override_settings

    with superuser(cluster, "region_eu") as connection:
        assert connection.execute("SELECT count(*) FROM evidence_timestamp").fetchone()[0] == 0
    with override_settings(TSA_URL="http://127.0.0.1:1/"):
        text = client.get("/metrics").content.decode()
    assert 'auditvault_timestamp_age_seconds{region="eu"} +Inf' in text


def test_no_authority_is_asked_where_none_is_set(service):
    from django.test import override_settings

    from auditvault.evidence.anchors.jobs import timestamp_jobs

    with override_settings(TSA_URL=""):
        assert timestamp_jobs() == []


def test_the_job_comes_round_as_often_as_the_settings_say(service):
    from django.test import override_settings

    from auditvault.evidence.anchors.jobs import timestamp_jobs

    with override_settings(TSA_URL="http://127.0.0.1:1/", TSA_EVERY_SECONDS=77):
        (job,) = timestamp_jobs()
    assert job.every == timedelta(seconds=77)


# --- every bad answer: a stated outcome, a loud line, nothing stored ---------------------------------------


def away(server, _tsa):
    def hang_up(handler, _request):
        handler.connection.close()

    server.answering = hang_up


def broken(server, _tsa):
    server.answering = lambda handler, _request: reply(handler, b"", status=503)


def of_no_form(server, _tsa):
    server.answering = lambda handler, _request: reply(handler, b"junk")


def refusing(server, tsa):
    server.answering = lambda handler, _request: reply(handler, tsa.answer(b"no request"))


def of_other_data(server, tsa):
    from rfc3161_client import TimestampRequestBuilder

    other = TimestampRequestBuilder().data(b"something else").build().as_bytes()
    server.answering = lambda handler, _request: reply(handler, tsa.answer(other))


def for_mail(server, tsa):
    server.answering = lambda handler, request: reply(handler, tsa.answer_for_mail(request))


def dated(server, tsa, minutes):
    at = datetime.now(UTC) + timedelta(minutes=minutes)
    server.answering = lambda handler, request: reply(handler, tsa.answer_dated(request, at))


BAD = {
    "away": (away, "timestamp_authority_unavailable"),
    "broken": (broken, "timestamp_authority_unavailable"),
    "of no form": (of_no_form, "timestamp_answer_malformed"),
    "refusing": (refusing, "timestamp_refused"),
    "of other data": (of_other_data, "timestamp_of_other_data"),
    "for mail": (for_mail, "timestamp_not_verified"),
    "of yesterday": (
        lambda server, tsa: dated(server, tsa, -24 * 60),
        "timestamp_time_implausible",
    ),
    "of tomorrow": (lambda server, tsa: dated(server, tsa, 24 * 60), "timestamp_time_implausible"),
}


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_answer_is_a_stated_failure_and_nothing_is_stored(
    bad, log, server, tsa, stamping, cluster, caplog
):
    behave, code = BAD[bad]
    behave(server, tsa)
    before = stamps(cluster)
    run = stamping()
    assert (run.outcome, run.detail) == ("failed", {"error": code})
    assert stamps(cluster) == before
    assert first(log) is None
    (line,) = [line for line in caplog.records if line.levelname == "CRITICAL"]
    assert code in line.getMessage()


@pytest.fixture(scope="module")
def expired(tmp_path_factory):
    return TimestampAuthority.make(tmp_path_factory.mktemp("expired"), days=(-60, -1))


@pytest.mark.parametrize(
    ("days_ago", "code"), [(0, "timestamp_not_verified"), (5, "timestamp_time_implausible")]
)
def test_an_expired_certificate_stamps_nothing_not_even_dated_back(
    days_ago, code, log, server, expired, stamping, cluster
):
    at = datetime.now(UTC) - timedelta(days=days_ago)
    server.answering = lambda handler, request: reply(handler, expired.answer_dated(request, at))
    before = stamps(cluster)
    run = stamping(TSA_CA_FILE=str(expired.root_file))
    assert (run.detail, stamps(cluster)) == ({"error": code}, before)


def test_an_authority_that_nobody_trusts_stamps_nothing(log, expired, stamping, cluster):
    before = stamps(cluster)
    run = stamping(TSA_CA_FILE=str(expired.root_file))
    assert (run.detail, stamps(cluster)) == ({"error": "timestamp_not_verified"}, before)


@pytest.mark.parametrize(("policy", "outcome"), [(POLICY, "ok"), ("1.2.3.4.9", "failed")])
def test_the_policy_must_be_the_one_that_is_set(policy, outcome, log, stamping):
    assert stamping(TSA_POLICY=policy).outcome == outcome


def test_roots_that_cannot_be_read_are_a_stated_failure(log, stamping):
    run = stamping(TSA_CA_FILE="/nowhere/roots.pem")
    assert run.detail == {"error": "timestamp_authority_unusable"}


def test_an_authority_that_is_slow_is_given_up(log, server, stamping, cluster, monkeypatch):
    from auditvault.evidence.anchors import jobs

    monkeypatch.setattr(jobs, "Authority", partial(jobs.Authority, seconds=0.3))
    server.answering = lambda handler, _request: handler.rfile.read(1) and None
    began = time.monotonic()
    run = stamping()
    assert run.detail == {"error": "timestamp_authority_unavailable"}
    assert time.monotonic() - began < 10


# --- the database keeps what it was given ------------------------------------------------------------------


@pytest.fixture
def app(cluster, log, stamping):
    import psycopg

    stamping()
    with psycopg.connect(
        cluster.environment("web")["AUDITVAULT_REGION_US_URL"], autocommit=True
    ) as connection:
        act_for(connection, log.tenant_id)
        yield connection


def test_the_application_changes_no_stamp(app):
    statements = [
        statement.format(table=table)
        for table in ("evidence_timestamp", "evidence_stamped")
        for statement in (
            "UPDATE {table} SET size = size",
            "DELETE FROM {table}",
            "TRUNCATE {table}",
            "INSERT INTO {table} SELECT * FROM {table}",
        )
    ]
    assert not_refused(app, statements) == {}


def test_its_owner_changes_no_stamp_either(app, cluster):
    with superuser(cluster, DATABASE) as connection:
        statements = [
            "UPDATE evidence_timestamp SET gen_time = now()",
            "DELETE FROM evidence_timestamp",
            "TRUNCATE evidence_timestamp",
            "DELETE FROM evidence_stamped",
        ]
        assert not_refused(connection, statements) == {}


STORE = "SELECT evidence_store_timestamp(gen_random_uuid(), now(), now(), %s, %s, %s, %s, %s)"


def test_a_stamp_over_what_was_never_signed_is_not_stored(app, log):
    for size in (2, 4):
        values = (bytes(32), bytes(32), b"x", [log.log_id], [size])
        assert outcome(app, STORE, values) == "23000"


def test_a_stamp_with_another_number_of_leaves_is_not_stored(app, log):
    values = (bytes(32), bytes(64), b"x", [log.log_id], [3])
    assert outcome(app, STORE, values) == "23514"
    values = (bytes(32), bytes(64), b"x", [log.log_id], [3, 3])
    assert outcome(app, STORE, values) == "23000"


def test_an_auditors_bundle_says_when_its_entries_existed(
    log, client, tenant, run_signer, stamping, tsa, tmp_path, capsys
):
    """The first stamp over the whole range, though the log has grown since."""
    from auditvault.verifier.main import main
    from tests.integration.api.growing import vkey_of

    assert stamping().outcome == "ok"
    record(client, tenant, 2)
    run_signer()
    made = tmp_path / "evidence.zip"
    bundle(tenant, made, end=3)
    (tmp_path / "trust.json").write_text(json.dumps({"logs": [{"vkey": vkey_of(log)}]}))
    trusted = ["--trust", str(tmp_path / "trust.json"), "--tsa-roots", str(tsa.root_file)]
    code = main(["bundle", str(made), *trusted, "--json"])
    said = {check["name"]: check for check in json.loads(capsys.readouterr().out)["checks"]}
    assert (code, said["timestamps"]["outcome"]) == (0, "holds")
    assert said["timestamps"]["detail"].startswith("the first 3 entries existed at ")


def test_a_bundle_of_entries_that_no_stamp_covers_has_none(
    log, client, tenant, run_signer, stamping, tmp_path
):
    stamping()
    record(client, tenant, 2)
    run_signer()
    bundle(tenant, tmp_path / "evidence.zip", first=3)
    assert "bundle/timestamps/" not in (tmp_path / "evidence.zip").read_bytes().decode("latin-1")


def bundle(tenant, path, *, first=0, end=None):
    from auditvault.evidence.bundles import Order, create_bundle

    order = Order(
        tenant_id=tenant.tenant_id, region=REGION, kind="interactions", first=first, end=end
    )
    create_bundle(order=order, credential=None, path=path, now=datetime.now(UTC))
