"""`auditvault prune` on real databases: what goes, what stays, and what is refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from unittest.mock import ANY

import pytest

from tests.integration.evidence.verdict import findings, logs_of
from tests.integration.evidence_pruning.old_logs import (
    DATABASE,
    OLD,
    PARTITION,
    REGION,
    YOUNG,
    expire,
    in_the_past,
    open_small,
    partitions,
    policy_file,
    record,
    rows,
    run,
)
from tests.integration.ledger.superuser import superuser, tampering


@pytest.fixture
def pruned(expired, policy, run_signer):
    assert run(expired, policy)[0] == 3
    run_signer()
    assert run(expired, policy)[0] == 0
    return expired


def test_a_log_is_pruned_in_two_runs_with_a_signature_between(
    expired, policy, run_signer, cluster, tenant
):
    code, said = run(expired, policy)
    assert (code, said["state"], said["waiting_for"]) == (3, "pending", ["checkpoint"])
    assert rows(cluster, tenant, "ledger_entry") == OLD + YOUNG + 1
    run_signer()
    code, said = run(expired, policy)
    assert (code, said["state"]) == (0, "pruned")
    assert (said["previous"], said["minimum"]) == (0, 2 * PARTITION)
    assert (said["entries"], said["headers"]) == (2 * PARTITION, 2 * PARTITION)
    assert rows(cluster, tenant, "ledger_entry") == OLD + YOUNG + 1 - 2 * PARTITION
    assert rows(cluster, tenant, "traces_header") == OLD + YOUNG - 2 * PARTITION


def test_the_disk_really_shrinks(expired, policy, run_signer, cluster):
    before = partitions(cluster, expired)
    run(expired, policy)
    run_signer()
    said = run(expired, policy)[1]
    after = partitions(cluster, expired)
    gone = {f"ledger_entry_{expired.log_id}_0", f"ledger_entry_{expired.log_id}_1"}
    assert before.keys() - after.keys() == gone
    assert said["size_bytes"] == sum(before[name] for name in gone)
    assert sum(after.values()) < sum(before.values()) / 2


def test_a_preview_says_what_would_go_and_changes_nothing(expired, policy, cluster, tenant):
    code, said = run(expired, policy, dry_run=True)
    assert (code, said["state"], said["minimum"]) == (0, "would_prune", 2 * PARTITION)
    assert (said["entries"], said["contents"], said["headers"]) == (2 * PARTITION, 0, None)
    assert said["size_bytes"] > 0
    assert rows(cluster, tenant, "ledger_prune") == 0
    assert rows(cluster, tenant, "ledger_entry") == OLD + YOUNG


def test_nothing_goes_while_content_of_a_pruned_record_remains(log, policy, cluster, tenant):
    code, said = run(log, policy)
    assert (code, said["error"]) == (1, "prune_content_remains")
    assert rows(cluster, tenant, "ledger_prune") == 0
    assert run(log, policy, dry_run=True)[1]["contents"] >= 2 * PARTITION


def test_one_remaining_content_is_enough(log, policy, cluster):
    expire(cluster, log, 2 * PARTITION - 1)
    assert run(log, policy)[1]["error"] == "prune_content_remains"


def test_content_of_younger_records_is_not_in_the_way_and_stays(
    log, policy, run_signer, cluster, tenant
):
    expire(cluster, log, 2 * PARTITION)
    before = rows(cluster, tenant, "vault_object")
    run(log, policy)
    run_signer()
    assert run(log, policy)[0] == 0
    assert rows(cluster, tenant, "vault_object") == before > OLD - 2 * PARTITION


def test_the_records_owners_go_with_their_headers(expired, policy, run_signer, cluster, tenant):
    with superuser(cluster, DATABASE) as connection:
        connection.execute(
            "INSERT INTO vault_record SELECT e.tenant_id, e.record_id, s.subject_id"
            " FROM ledger_entry AS e JOIN vault_subject AS s USING (tenant_id)"
            " WHERE s.kind = 'person' AND e.log_id = %s AND e.idx IN (0, 511, 512)",
            (expired.log_id,),
        )
    run(expired, policy)
    run_signer()
    run(expired, policy)
    assert rows(cluster, tenant, "vault_record") == 1


def test_without_a_policy_nothing_is_pruned(expired, cluster, tenant):
    code, said = run(expired, None)
    assert code == 2
    assert "policy" in said["message"]
    assert rows(cluster, tenant, "ledger_prune") == 0


def test_a_policy_that_does_not_name_the_kind_prunes_nothing(expired, tmp_path):
    policy = policy_file(tmp_path, min_age_days={"access": 1})
    assert run(expired, policy) == (2, {"error": "prune_policy_malformed", "message": ANY})


def test_what_is_younger_than_the_policy_says_stays(expired, tmp_path, cluster, tenant):
    policy = policy_file(tmp_path, min_age_days={"interactions": 401})
    code, said = run(expired, policy)
    assert (code, said["state"], said["minimum"]) == (0, "nothing_due", 0)
    assert rows(cluster, tenant, "ledger_prune") == 0


def test_a_log_is_pruned_again_from_where_it_begins(
    client, tenant, run_signer, monkeypatch, cluster, tmp_path
):
    open_small(tenant)
    for age in (500, 400):
        with in_the_past(monkeypatch, timedelta(days=age)):
            record(client, tenant, 300, f"{age}")
    record(client, tenant, 1, "young")
    run_signer()
    log = logs_of(tenant, region=REGION)["interactions"]
    expire(cluster, log, OLD)
    minima = []
    for days in (450, 365):
        policy = policy_file(tmp_path, min_age_days={"interactions": days})
        run(log, policy)
        run_signer()
        said = run(log, policy)[1]
        minima.append((said["state"], said["previous"], said["minimum"]))
    assert minima == [("pruned", 0, PARTITION), ("pruned", PARTITION, 2 * PARTITION)]
    assert rows(cluster, tenant, "ledger_prune") == 2


def test_a_pruned_log_has_nothing_due(pruned, policy):
    code, said = run(pruned, policy)
    assert (code, said["state"], said["minimum"]) == (0, "nothing_due", 2 * PARTITION)


def test_a_pruned_log_takes_entries_on(pruned, client, tenant, cluster):
    record(client, tenant, 300, "more")
    assert rows(cluster, tenant, "ledger_entry") == OLD + YOUNG + 1 - 2 * PARTITION + 300


def test_a_sealed_reason_is_content_like_any(tenant, run_signer, monkeypatch, cluster, policy):
    log = open_small(tenant, "access")
    with in_the_past(monkeypatch):
        for n in range(PARTITION):
            look(tenant, reason=n == 7)
    look(tenant)
    run_signer()
    assert run(log, policy)[1]["error"] == "prune_content_remains"
    expire(cluster, log, PARTITION)
    assert run(log, policy)[1]["state"] == "pending"
    run_signer()
    assert run(log, policy)[1]["headers"] == PARTITION
    assert rows(cluster, tenant, "access_event") == 1


def look(tenant, *, reason=False):
    from auditvault.access.events.services import Act, record_act
    from auditvault.core.policy.access import Purpose, PurposeCode

    purpose = Purpose(code=PurposeCode.INCIDENT, case="INC-1", reason="The customer complained.")
    act = Act(
        actor="token:test",
        actor_role="auditor",
        action="search",
        outcome="granted",
        details={},
        purpose=purpose if reason else None,
    )
    record_act(region=REGION, tenant_id=tenant.tenant_id, act=act, now=datetime.now(UTC))


@pytest.fixture
def asked(expired, policy):
    """`asked(host_clock=…)` is what the command asks the service for."""
    from django.conf import settings

    from auditvault.evidence.pruning.planning import Ask, read_policy
    from auditvault.evidence.verification import read_log_keys

    keys = read_log_keys(Path(settings.LOG_VKEYS_FILE))
    return partial(Ask, region=REGION, log=expired, policy=read_policy(policy), keys=keys)


@pytest.mark.parametrize("off", [timedelta(hours=1), timedelta(hours=-1)])
def test_a_clock_that_disagrees_with_the_databases_stops_it(asked, off):
    from auditvault.core.policy.pruning import PruneClockError
    from auditvault.evidence.pruning.services import preview, prune

    ask = asked(host_clock=lambda: datetime.now(UTC) + off)
    with pytest.raises(PruneClockError):
        preview(ask)
    with pytest.raises(PruneClockError):
        prune(ask, wait=lambda: False)


def test_a_log_with_entries_to_come_stops_it(expired, policy, client, tenant, monkeypatch):
    with in_the_past(monkeypatch, timedelta(days=-1)):
        record(client, tenant, 1, "tomorrow")
    assert run(expired, policy)[1]["error"] == "prune_clock_untrusted"


def test_a_hold_is_in_the_way_also_of_a_prune_that_is_pending(
    expired, policy, run_signer, monkeypatch, cluster, tenant
):
    from auditvault.core.policy.pruning import HoldFindings
    from auditvault.evidence.pruning import holds

    run(expired, policy)
    run_signer()
    held = HoldFindings(sources=("test",), blocking=1)
    monkeypatch.setattr(holds, "look_for_holds", lambda **_: held)
    assert run(expired, policy) == (1, {"error": "prune_held", "message": ANY})
    assert rows(cluster, tenant, "ledger_entry") == OLD + YOUNG + 1


def test_a_hold_is_in_the_way_before_anything_is_recorded(
    expired, policy, monkeypatch, cluster, tenant
):
    from auditvault.core.policy.pruning import HoldFindings
    from auditvault.evidence.pruning import holds

    held = HoldFindings(sources=("test",), blocking=1)
    monkeypatch.setattr(holds, "look_for_holds", lambda **_: held)
    assert run(expired, policy)[1]["error"] == "prune_held"
    assert rows(cluster, tenant, "ledger_prune") == 0


def test_a_pending_prune_is_finished_under_its_own_policy_only(
    expired, policy, tmp_path, run_signer
):
    run(expired, policy)
    run_signer()
    policy_file(tmp_path, id="retention-2027")
    assert run(expired, policy)[1]["error"] == "prune_policy_changed"
    policy_file(tmp_path)
    assert run(expired, policy)[1]["state"] == "pruned"


def test_a_configured_quorum_and_authority_are_waited_for(expired, policy, run_signer, tmp_path):
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from django.test import override_settings

    from auditvault.core.tlog.cosignature import CosignatureSigner

    vkey = CosignatureSigner("witness.example/w1", Ed25519PrivateKey.generate()).verifier().vkey()
    witnesses = tmp_path / "witnesses"
    witnesses.write_text(f"witness w1 {vkey}\nquorum w1\n")
    run(expired, policy)
    run_signer()
    with override_settings(WITNESS_POLICY_FILE=str(witnesses), TSA_URL="http://127.0.0.1:9"):
        code, said = run(expired, policy)
    assert (code, said["waiting_for"]) == (3, ["witnesses", "timestamp"])
    assert run(expired, policy)[1]["state"] == "pruned"


def test_write_once_copies_are_waited_for_and_outlive_the_prune(
    expired, policy, run_signer, tmp_path, capsys
):
    """What goes here is in the copy, which verifies as a whole without the service."""
    from django.test import override_settings

    from auditvault.evidence.copies.services import copy_region
    from auditvault.evidence.copies.stores import region_target
    from auditvault.verifier.main import main
    from tests.integration.api.growing import vkey_of

    store = tmp_path / "copies"
    store.mkdir()
    with override_settings(COPIES_URLS={REGION: f"file://{store}"}):
        copy_region(region_target(REGION))
        run(expired, policy)
        run_signer()
        code, said = run(expired, policy)
        assert (code, said["waiting_for"]) == (3, ["copies"])
        copy_region(region_target(REGION))
        assert run(expired, policy)[1]["state"] == "pruned"
        after = copy_region(region_target(REGION))
    assert expired.origin not in after.bad
    trust = tmp_path / "trust.json"
    trust.write_text(json.dumps({"logs": [{"vkey": vkey_of(expired)}]}))
    (copy,) = store.rglob(expired.origin.split("/")[-1])
    assert main(["tiles", str(copy), "--trust", str(trust), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["log"]["size"] == OLD + YOUNG + 1


def test_a_log_that_is_not_as_it_was_signed_is_not_pruned(expired, policy, cluster, tenant):
    with tampering(cluster, tenant.tenant_id, DATABASE) as forger:
        forger.execute(
            "UPDATE ledger_tile SET hashes = overlay(hashes placing '\\x00'::bytea from 1),"
            " root = sha256(root) WHERE log_id = %s AND level = 0 AND n = 0",
            (expired.log_id,),
        )
        assert run(expired, policy)[1]["error"] == "prune_log_damaged"
        assert rows(cluster, tenant, "ledger_prune") == 0


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM ledger_entry WHERE log_id = {log} AND idx = 100",
        "UPDATE ledger_entry SET entry = entry || ' '::bytea WHERE log_id = {log} AND idx = 100",
    ],
)
def test_a_prune_does_not_clear_away_what_was_tampered_with(
    expired, policy, run_signer, cluster, tenant, damage
):
    run(expired, policy)
    run_signer()
    with tampering(cluster, tenant.tenant_id, DATABASE) as forger:
        forger.execute(damage.format(log=expired.log_id))
        assert run(expired, policy)[1]["error"] == "prune_log_damaged"
    assert run(expired, policy)[1]["state"] == "pruned"


def test_the_log_is_named_by_its_origin(policy, service):
    from types import SimpleNamespace

    unknown = SimpleNamespace(origin="localhost/us/00000000-0000-4000-8000-000000000000")
    assert run(unknown, policy) == (2, {"error": "log_not_found", "message": ANY})


def test_the_command_says_in_words_what_went(expired, policy, run_signer, capsys):
    from django.core.management import call_command

    run(expired, policy)
    run_signer()
    with pytest.raises(SystemExit) as left:
        call_command("prune", region=REGION, log=expired.origin, policy=policy, wait=0)
    said = capsys.readouterr().out
    assert left.value.code == 0
    assert "PRUNED" in said
    assert "0 to 511: 512 entries" in said


def test_a_log_that_is_old_to_its_last_entry_is_pruned_to_its_prune_entry(
    client, tenant, run_signer, monkeypatch, cluster, policy
):
    open_small(tenant)
    with in_the_past(monkeypatch):
        record(client, tenant, 2 * PARTITION, "old")
    run_signer()
    log = logs_of(tenant, region=REGION)["interactions"]
    expire(cluster, log, 2 * PARTITION)
    run(log, policy)
    run_signer()
    assert run(log, policy)[1]["minimum"] == 2 * PARTITION
    assert rows(cluster, tenant, "ledger_entry") == 1
    record(client, tenant, 3, "new")
    run_signer()
    assert findings(tenant, region=REGION) == {}
