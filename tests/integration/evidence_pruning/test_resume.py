"""`auditvault verify --resume` on a pruned log: what was verified behind the minimum is not read again."""

from __future__ import annotations

import json

import pytest

from tests.integration.evidence.verdict import reports_of
from tests.integration.evidence_pruning.old_logs import (
    DATABASE,
    OLD,
    PARTITION,
    REGION,
    YOUNG,
    record,
    run,
)
from tests.integration.ledger.superuser import tampering

MINIMUM = 2 * PARTITION
MORE = 200
SIZE = OLD + YOUNG + 1 + MORE


@pytest.fixture
def path(tmp_path):
    return tmp_path / "verified.json"


@pytest.fixture
def resumed(path, tenant):
    """Verify the log in ranges of 256 entries, with the state in `path`, read anew each time."""
    from auditvault.evidence.verification import VerificationState

    def verify():
        state = VerificationState(path)
        return reports_of(tenant, region=REGION, state=state, range_levels=1)["interactions"]

    return verify


@pytest.fixture
def prune(expired, policy, run_signer, client, tenant):
    """Prunes the log, which then grows beyond a whole range."""

    def carry_out():
        run(expired, policy)
        run_signer()
        assert run(expired, policy)[1]["state"] == "pruned"
        record(client, tenant, MORE, "more")
        run_signer()
        return expired

    return carry_out


def ranges(path, log):
    return json.loads(path.read_text())["logs"][log.origin]["ranges"]


def read_from(report):
    """The index that the report says it read from; 0 where it says nothing."""
    said = [note for note in report.notes if "read from index" in note]
    return int(said[0].split("read from index ")[1].split()[0]) if said else 0


def spoil(forger, log, index):
    forger.execute(
        "UPDATE traces_header AS h SET header = '{}' FROM ledger_entry AS e WHERE e.log_id = %s"
        " AND e.idx = %s AND h.tenant_id = e.tenant_id AND h.record_id = e.record_id",
        (log.log_id, index),
    )


def test_a_pruned_log_is_gone_on_from(prune, resumed, path):
    log = prune()
    first, second = resumed(), resumed()
    assert (read_from(first), read_from(second)) == (0, 3 * PARTITION)
    for report in (first, second):
        assert (report.first_bad, report.pruned, report.entries) == ({}, MINIMUM, SIZE)
        assert report.headers == SIZE - MINIMUM
    # What was pruned before it was read can never be taken for verified.
    assert [each["against"] == "00" * 32 for each in ranges(path, log)] == [True, True, False]


def test_a_log_that_was_verified_before_it_was_pruned_is_gone_on_from(prune, resumed, path):
    assert read_from(resumed()) == 0
    log = prune()
    before = ranges(path, log)
    assert len(before) == 2
    report = resumed()
    assert (report.first_bad, read_from(report), report.headers) == ({}, 0, SIZE - MINIMUM)
    assert ranges(path, log)[:2] == before
    assert read_from(resumed()) == 3 * PARTITION


def test_a_change_behind_what_was_verified_is_found(prune, resumed, cluster, tenant):
    log = prune()
    resumed()
    with tampering(cluster, tenant.tenant_id, DATABASE) as forger:
        spoil(forger, log, MINIMUM + 5)
        assert resumed().first_bad == {}
        spoil(forger, log, 3 * PARTITION + 5)
        assert resumed().first_bad == {"header_commitment": 3 * PARTITION + 5}


def test_a_pruned_log_that_is_another_than_was_verified_is_found(prune, resumed, path):
    """As if it had been rewritten before it was pruned, and signed anew."""
    resumed()
    log = prune()
    state = json.loads(path.read_text())
    state["logs"][log.origin]["ranges"][1]["root"] = "11" * 32
    path.write_text(json.dumps(state))
    assert resumed().first_bad == {"checkpoint_root": 2 * PARTITION - 1}
