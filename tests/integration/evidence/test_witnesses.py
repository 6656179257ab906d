"""Checkpoints go to a real witness, which an outside party runs, and come back cosigned."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.integration.evidence.rewriting import drop_checkpoints, rewrite
from tests.integration.evidence.running_witness import RunningWitness
from tests.integration.evidence.verdict import logs_of
from tests.integration.evidence_bundles.forging import sign_anew
from tests.integration.ingest.sending import chat, protobuf_of, send
from tests.integration.ledger.superuser import superuser, tampering

MAX_AGE = 3600
NOBODY = "http://127.0.0.1:9"  # discard: nothing listens there


def grow(client, tenant, run_signer, prompt):
    body = protobuf_of(chat(prompt))
    headers = tenant.headers("ingest", regions=("us",))
    assert send(client, tenant, body, headers=headers).status_code == 200
    run_signer()


@pytest.fixture
def log(client, tenant, run_signer):
    grow(client, tenant, run_signer, "one")
    return logs_of(tenant)["interactions"]


@pytest.fixture
def witness(log, tmp_path):
    running = RunningWitness(tmp_path, log.origin)
    running.start()
    yield running
    running.stop()


@pytest.fixture
def policy(witness):
    return policy_of(witness.vkey, witness.url)


def policy_of(vkey, url):
    from auditvault.core.tlog.witness_policy import WitnessPolicy

    text = f"witness w1 {vkey} {url}\nquorum w1\n"
    return WitnessPolicy.parse(text.encode(), max_age_seconds=MAX_AGE)


def submit(log, policy, now=None):
    from auditvault.evidence.witnesses import Round, submit_log

    found = Round()
    submit_log(region="us", each=log, policy=policy, now=now or datetime.now(UTC), found=found)
    return found


def witnessed(log, policy):
    from auditvault.ledger.cosignatures import witnessed_checkpoint
    from auditvault.ledger.scope import region_alias, tenant_scope

    with tenant_scope(region_alias("us"), log.tenant_id) as connection:
        return witnessed_checkpoint(connection, log, policy)


def test_a_checkpoint_comes_back_cosigned(log, policy):
    from auditvault.core.tlog.witness_policy import check

    found = submit(log, policy)
    assert (found.cosigned, found.refused, found.unmet) == (1, {}, {})
    seen = check(policy, witnessed(log, policy).note, now=int(time.time()))
    assert (seen.checkpoint.size, set(seen.cosigned_at)) == (1, {"w1"})


def test_a_log_that_grew_is_proved_from_where_the_witness_stands(
    client, tenant, run_signer, log, policy
):
    submit(log, policy)
    grow(client, tenant, run_signer, "two")
    assert submit(log, policy).refused == {}
    assert witnessed(log, policy).size == 2


def test_a_fresh_cosignature_is_not_asked_for_again(log, policy):
    submit(log, policy)
    assert submit(log, policy).cosigned == 0


def test_an_idle_log_is_cosigned_again_before_the_age_runs_out(log, policy):
    submit(log, policy)
    assert submit(log, policy, datetime.now(UTC) + timedelta(seconds=MAX_AGE / 2)).cosigned == 1


def test_what_was_answered_and_then_lost_is_asked_for_from_where_the_witness_stands(
    client, tenant, run_signer, cluster, log, policy
):
    submit(log, policy)
    with superuser(cluster, "region_us") as connection:
        connection.execute("ALTER TABLE ledger_cosignature DISABLE TRIGGER ALL")
        connection.execute("DELETE FROM ledger_cosignature WHERE log_id = %s", (log.log_id,))
        connection.execute("ALTER TABLE ledger_cosignature ENABLE TRIGGER ALL")
    grow(client, tenant, run_signer, "two")
    assert (submit(log, policy).refused, witnessed(log, policy).size) == ({}, 2)


def test_a_witness_that_has_seen_a_longer_log_is_an_alarm(
    client, tenant, run_signer, cluster, log, policy
):
    grow(client, tenant, run_signer, "two")
    submit(log, policy)
    with superuser(cluster, "region_us") as connection:
        for table in ("ledger_cosignature", "ledger_checkpoint"):
            connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
            connection.execute(f"DELETE FROM {table} WHERE log_id = %s AND size = 2", (log.log_id,))
            connection.execute(f"ALTER TABLE {table} ENABLE TRIGGER ALL")
    assert submit(log, policy).refused == {log.origin: "witness_ahead"}


@pytest.mark.parametrize("grown", [False, True])
def test_a_log_that_was_rewritten_and_signed_with_the_stolen_key_is_refused_and_an_alarm(
    client, tenant, run_signer, cluster, log, policy, grown, caplog
):
    for number in range(14):
        grow(client, tenant, run_signer, f"{number}")
    assert submit(log, policy).refused == {}
    with tampering(cluster, tenant.tenant_id, "region_us") as connection:
        rewrite(connection, log, lambda each: each if each.index < 10 else replace(each, src="x:y"))
        drop_checkpoints(connection, log, 0)
        if grown:
            body = protobuf_of(chat("another"))
            headers = tenant.headers("ingest", regions=("us",))
            assert send(client, tenant, body, headers=headers).status_code == 200
        sign_anew(connection, log)
        connection.execute("DELETE FROM ledger_cosignature WHERE log_id = %s", (log.log_id,))
        assert submit(log, policy).refused == {log.origin: "witness_refused"}
        assert witnessed(log, policy) is None
    assert "refuses" in caplog.text


def test_a_witness_that_does_not_know_the_log_refuses(
    log, policy, client, other_tenant, run_signer
):
    grow(client, other_tenant, run_signer, "one")
    other = logs_of(other_tenant)["interactions"]
    assert submit(other, policy).refused == {other.origin: "witness_refused"}


def test_a_line_that_does_not_verify_is_not_kept(log, policy, witness):
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from auditvault.core.tlog.cosignature import CosignatureSigner

    somebody = CosignatureSigner("witness.example/w1", Ed25519PrivateKey.generate())
    wrong = policy_of(somebody.vkey(), witness.url)
    assert submit(log, wrong).refused == {log.origin: "witness_refused"}
    assert witnessed(log, wrong) is None


def test_a_witness_that_is_away_leaves_the_log_unmet(log, witness):
    found = submit(log, policy_of(witness.vkey, NOBODY))
    assert (found.away, found.unmet) == ({"w1"}, {log.origin: "witness_quorum_missing"})


def test_a_cosignature_that_grew_too_old_leaves_the_log_unmet(log, policy, witness):
    submit(log, policy)
    late = datetime.now(UTC) + timedelta(seconds=MAX_AGE + 60)
    found = submit(log, policy_of(witness.vkey, NOBODY), late)
    assert found.unmet == {log.origin: "cosignature_stale"}


def test_a_witness_that_comes_back_goes_on(client, tenant, run_signer, log, witness):
    submit(log, policy_of(witness.vkey, witness.url))
    witness.stop()
    grow(client, tenant, run_signer, "two")
    assert submit(log, policy_of(witness.vkey, witness.url)).away == {"w1"}
    witness.start()
    assert submit(log, policy_of(witness.vkey, witness.url)).cosigned == 1


@pytest.fixture
def configured(witness, tmp_path, settings_of):
    path = tmp_path / "policy"
    path.write_text(f"witness w1 {witness.vkey} {witness.url}\nquorum w1\n")
    settings_of(WITNESS_POLICY_FILE=str(path), WITNESS_MAX_AGE_SECONDS=MAX_AGE)


@pytest.fixture
def settings_of(monkeypatch, service):
    from django.conf import settings

    def change(**values):
        for name, value in values.items():
            monkeypatch.setattr(settings, name, value)

    return change


def test_the_checkpoint_that_is_given_out_is_the_witnessed_one(
    client, tenant, run_signer, log, policy, configured
):
    submit(log, policy)
    grow(client, tenant, run_signer, "two")
    uuid = log.origin.rpartition("/")[2]
    headers = tenant.headers("auditor", regions=("us",))
    note = client.get(f"/tlog/{uuid}/checkpoint", headers=headers).content.decode()
    assert note.splitlines()[1] == "1"
    assert "witness.example/w1 " in note


def test_readyz_says_that_nobody_has_witnessed_the_logs(client, configured):
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["checks"]["witnesses_us"] == "unmet"


def test_readyz_is_satisfied_by_a_round_that_met_the_policy(client, configured, cluster):
    for region in ("eu", "us"):
        with superuser(cluster, f"region_{region}") as connection:
            connection.execute(
                "INSERT INTO scheduled_job (name, interval_seconds, finished_at, outcome)"
                " VALUES ('witness', 10, now(), 'ok')"
            )
    try:
        assert client.get("/readyz").status_code == 200
    finally:
        for region in ("eu", "us"):
            with superuser(cluster, f"region_{region}") as connection:
                connection.execute("DELETE FROM scheduled_job WHERE name = 'witness'")


def test_a_policy_that_cannot_be_read_is_an_error_that_says_so(settings_of, tmp_path):
    from auditvault.ledger.cosignatures import WitnessPolicyUnreadableError, configured_policy

    settings_of(WITNESS_POLICY_FILE=str(tmp_path / "missing"))
    with pytest.raises(WitnessPolicyUnreadableError):
        configured_policy()


def test_there_is_no_job_without_a_policy(service):
    from auditvault.evidence.witnesses import witness_jobs

    assert witness_jobs() == []


def test_a_bundle_brings_the_cosignatures_along(log, policy, witness, tenant, tmp_path, capsys):
    from django.test import override_settings

    from auditvault.evidence.bundles import Order, create_bundle
    from auditvault.evidence.witnesses import submit_region
    from auditvault.verifier.main import main
    from tests.integration.api.growing import vkey_of

    now = datetime.now(UTC)
    submit_region(region="us", policy=policy, now=now)
    (tmp_path / "policy").write_text(f"witness w1 {witness.vkey} {witness.url}\nquorum w1\n")
    (tmp_path / "auditor.json").write_text(json.dumps({"logs": [{"vkey": vkey_of(log)}]}))
    order = Order(tenant_id=tenant.tenant_id, region="us", kind="interactions")
    made = tmp_path / "evidence.zip"
    with override_settings(WITNESS_POLICY_FILE=str(tmp_path / "policy")):
        create_bundle(order=order, credential=None, path=made, now=now)
    files = ["--trust", str(tmp_path / "auditor.json"), "--witnesses", str(tmp_path / "policy")]
    code = main(["bundle", str(made), *files, "--json"])
    said = {
        check["name"]: check["outcome"] for check in json.loads(capsys.readouterr().out)["checks"]
    }
    assert (code, said["witnesses"]) == (0, "holds")
