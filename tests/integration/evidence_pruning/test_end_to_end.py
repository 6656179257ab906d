"""A prune from the first word to the auditor's last: a witness and an authority outside, everything real between."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import call_command
from django.test import override_settings

from tests.integration.api.growing import vkey_of
from tests.integration.evidence.running_witness import RunningWitness
from tests.integration.evidence.verdict import findings
from tests.integration.evidence_pruning.old_logs import (
    AGE,
    DATABASE,
    OLD,
    PARTITION,
    POLICY,
    REGION,
    YOUNG,
    partitions,
    rows,
    run,
)
from tests.integration.ledger.superuser import superuser
from tests.reference.bare_verifier import BareVerifier, outcomes
from tests.reference.timestamp_authority import TimestampAuthority, reply, serving

YEAR = timedelta(days=POLICY["min_age_days"]["interactions"])


@pytest.fixture
def witness(expired, tmp_path):
    """`auditvault-verify witness` for this log, a process of its own."""
    folder = tmp_path / "witness"
    folder.mkdir()
    running = RunningWitness(folder, expired.origin)
    running.start()
    (folder / "policy").write_text(f"witness w1 {running.vkey} {running.url}\nquorum w1\n")
    yield running
    running.stop()


@pytest.fixture(scope="module")
def tsa(tmp_path_factory):
    return TimestampAuthority.make(tmp_path_factory.mktemp("tsa"), days=(-500, 365))


@pytest.fixture
def server(tsa):
    with serving(tsa) as found:
        yield found


@pytest.fixture
def anchors(service, cluster, server, tsa):
    """The authority is configured, and its job has not run yet."""
    forget(cluster)
    with override_settings(TSA_URL=server.url, TSA_CA_FILE=str(tsa.root_file)):
        yield
    forget(cluster)


def forget(cluster):
    with superuser(cluster, DATABASE) as connection:
        connection.execute("DELETE FROM scheduled_job WHERE name = 'time_stamp'")


def stamp(cluster):
    """The product's own job, due now."""
    from auditvault.evidence.anchors.jobs import timestamp_jobs
    from auditvault.evidence.jobs import last_runs, run_due

    forget(cluster)
    run_due(REGION, timestamp_jobs(), datetime.now(UTC))
    return next(each for each in last_runs(REGION) if each.name == "time_stamp")


def cosign(log):
    """What the product's own job does for this log."""
    from auditvault.evidence.witnesses import Round, submit_log
    from auditvault.ledger.cosignatures import configured_policy

    found = Round()
    submit_log(
        region=REGION, each=log, policy=configured_policy(), now=datetime.now(UTC), found=found
    )
    return found


def waiting(log, policy):
    code, said = run(log, policy)
    assert (code, said["state"]) == (3, "pending")
    return said["waiting_for"]


def test_a_prune_is_anchored_outside_carried_out_and_verified(
    expired, policy, run_signer, witness, anchors, cluster, tenant, tsa, tmp_path
):
    before = partitions(cluster, expired)
    with override_settings(WITNESS_POLICY_FILE=str(witness.directory / "policy")):
        assert waiting(expired, policy) == ["checkpoint", "witnesses", "timestamp"]
        run_signer()
        assert waiting(expired, policy) == ["witnesses", "timestamp"]
        assert cosign(expired).cosigned == 1
        assert waiting(expired, policy) == ["timestamp"]
        assert rows(cluster, tenant, "ledger_entry") == OLD + YOUNG + 1
        assert stamp(cluster).outcome == "ok"
        code, said = run(expired, policy)
        assert (code, said["state"], said["minimum"]) == (0, "pruned", 2 * PARTITION)
        assert rows(cluster, tenant, "ledger_entry") == OLD + YOUNG + 1 - 2 * PARTITION
        bundle = bundle_of(tenant, tmp_path)
    gone = before.keys() - partitions(cluster, expired).keys()
    assert gone == {f"ledger_entry_{expired.log_id}_{n}" for n in (0, 1)}
    assert findings(tenant, region=REGION) == {}
    code, report = judge(bundle, expired, witness, tsa, tmp_path)
    assert (code, report["bundle"]["size"]) == (0, OLD + YOUNG + 1)
    assert {outcomes(report)[name] for name in ("range", "witnesses", "timestamps", "prunes")} == {
        "holds"
    }


def bundle_of(tenant, folder):
    path = folder / "evidence.zip"
    words = ["bundle", "create", "--tenant", tenant.slug, "--region", REGION, "-o", str(path)]
    call_command(*words, "--from", str(2 * PARTITION), stdout=io.StringIO())
    return path


def judge(bundle, log, witness, tsa, folder):
    """What an auditor says who trusts one key, one witness and one authority."""
    (folder / "trust.json").write_text(json.dumps({"logs": [{"vkey": vkey_of(log)}]}))
    (folder / "bare").mkdir()
    return BareVerifier(folder / "bare").run(
        *("bundle", str(bundle), "--trust", str(folder / "trust.json")),
        *("--witnesses", str(witness.directory / "policy"), "--tsa-roots", str(tsa.root_file)),
    )


def early(server, tsa, at):
    """The authority's answers say another time: that of an outside clock, while ours were ahead."""
    server.answering = lambda handler, request: reply(handler, tsa.answer_dated(request, at))


@pytest.mark.parametrize("by", [timedelta(days=-1), timedelta(days=1)], ids=["early", "late"])
def test_a_stamp_decides_that_the_entries_are_old_enough(
    expired, policy, run_signer, anchors, server, tsa, cluster, tenant, monkeypatch, by
):
    """Both clocks of the service were days ahead when the prune was recorded and stamped; the stamp's own was not.

    That the service took the stamp then is due to its own bound, which is set aside for that one run.
    """
    from auditvault.evidence.anchors import authority

    assert waiting(expired, policy) == ["checkpoint", "timestamp"]
    run_signer()
    early(server, tsa, datetime.now(UTC) - AGE + YEAR + by)
    with monkeypatch.context() as patch:
        patch.setattr(authority, "TOLERANCE", AGE)
        assert stamp(cluster).outcome == "ok"
    code, said = run(expired, policy)
    if by > timedelta():
        assert (code, said["state"]) == (0, "pruned")
    else:
        assert (code, said["error"]) == (1, "prune_clock_untrusted")
        assert "earlier than the policy allows" in said["message"]
        assert rows(cluster, tenant, "ledger_entry") == OLD + YOUNG + 1
