"""Who reads a pruned log: every proof there ever was, tiles for ever, and a clear word about entries that have gone."""

from __future__ import annotations

import io
import json
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import call_command

from auditvault.core.ids import uuid7
from auditvault.core.tlog.entry import leaf_hash
from auditvault.core.tlog.merkle import verify_consistency, verify_inclusion
from tests.integration.api.growing import http_service, uuid_of, vkey_of
from tests.integration.evidence.verdict import logs_of
from tests.integration.evidence_pruning.old_logs import (
    DATABASE,
    OLD,
    REGION,
    YOUNG,
    expire,
    fill,
    in_the_past,
    open_small,
    policy_file,
    record,
    run,
)
from tests.integration.ledger.superuser import superuser
from tests.reference import merkle_oracle as oracle
from tests.reference.bare_verifier import BareVerifier, outcomes

SIZE = OLD + YOUNG
_made = []


@pytest.fixture
def pruned(client, tenant, run_signer, monkeypatch, cluster, tmp_path_factory):
    """A pruned log, its owner, and the leaves that it had: made once, and only read."""
    if not _made:
        log = fill(client, tenant, run_signer, monkeypatch)
        leaves, records = before(cluster, log)
        expire(cluster, log, OLD)
        policy = policy_file(tmp_path_factory.mktemp("policy"))
        run(log, policy)
        run_signer()
        assert run(log, policy)[1]["state"] == "pruned"
        _made.append((tenant, log, leaves, records))
    return _made[0]


def before(cluster, log):
    with superuser(cluster, DATABASE) as connection:
        rows = connection.execute(
            "SELECT entry, record_id FROM ledger_entry WHERE log_id = %s ORDER BY idx",
            (log.log_id,),
        ).fetchall()
    return [leaf_hash(row[0]) for row in rows], [row[1] for row in rows]


@pytest.fixture
def get(client, pruned):
    owner, _log, _, _ = pruned

    def read(path):
        return client.get(path, headers=owner.headers("auditor", regions=(REGION,)))

    return read


@pytest.fixture
def tile(get, pruned):
    return lambda path: get(f"/tlog/{uuid_of(pruned[1])}/{path}")


@pytest.mark.parametrize("path", ["000", "001", "001.p/44"])
def test_bundles_below_the_minimum_are_answered_404(tile, path):
    answer = tile(f"tile/entries/{path}")
    assert (answer.status_code, answer.json()["code"]) == (404, "entries_pruned")
    assert answer["Cache-Control"] == "no-store"


def test_the_bundle_at_the_minimum_is_given_out(tile):
    assert tile("tile/entries/002.p/109").status_code == 200


def test_tiles_over_pruned_entries_are_given_out(tile, pruned):
    leaves = pruned[2]
    assert tile("tile/0/000").content == b"".join(leaves[:256])
    assert tile("tile/0/001").content == b"".join(leaves[256:512])
    # The first checkpoint was over 300 entries: its partial tile is cut out of the full one.
    assert tile("tile/0/001.p/44").content == b"".join(leaves[256:300])
    assert tile("tile/1/000.p/2").status_code == 200


SIZES = [1, 2, 255, 256, 257, 300, 511, 512, 513, 600, SIZE]


def test_every_inclusion_proof_of_every_size_still_leads_to_its_root(get, pruned):
    _, log, leaves, _ = pruned
    for size in SIZES:
        for index in {0, 1, 255, 256, 299, 511, 512, size - 1}:
            if index < size:
                path = f"/api/v1/logs/{log.log_id}/proof/inclusion?index={index}&size={size}"
                proof = [bytes.fromhex(value) for value in get(path).json()["hashes"]]
                verify_inclusion(
                    leaf_hash=leaves[index],
                    index=index,
                    size=size,
                    proof=proof,
                    root=oracle.tree_hash(leaves[:size]),
                )


def test_every_consistency_proof_still_leads_from_root_to_root(get, pruned):
    _, log, leaves, _ = pruned
    for old in SIZES:
        for new in SIZES:
            if old <= new:
                path = f"/api/v1/logs/{log.log_id}/proof/consistency?from={old}&to={new}"
                verify_consistency(
                    old_size=old,
                    new_size=new,
                    old_root=oracle.tree_hash(leaves[:old]),
                    new_root=oracle.tree_hash(leaves[:new]),
                    proof=[bytes.fromhex(value) for value in get(path).json()["hashes"]],
                )


@pytest.mark.parametrize("start", [0, 511])
def test_pruned_entries_are_answered_410(get, pruned, start):
    answer = get(f"/api/v1/logs/{pruned[1].log_id}/entries?start={start}&end=600")
    assert (answer.status_code, answer.json()["code"]) == (410, "entry_pruned")
    assert "512" in answer.json()["detail"]


def test_entries_from_the_minimum_on_are_given_out(get, pruned):
    answer = get(f"/api/v1/logs/{pruned[1].log_id}/entries?start=512&end=600")
    assert len(answer.json()["entries"]) == 88


def test_the_receipt_of_a_time_that_was_pruned_is_answered_410(get, pruned):
    old = uuid7(datetime.now(UTC) - timedelta(days=401))
    answer = get(f"/api/v1/receipts/{old}")
    assert (answer.status_code, answer.json()["code"]) == (410, "entry_pruned")


def test_the_receipt_of_a_record_that_never_was_is_answered_404(get, pruned):
    answer = get(f"/api/v1/receipts/{uuid7(datetime.now(UTC))}")
    assert (answer.status_code, answer.json()["code"]) == (404, "entry_not_found")


def test_receipts_of_what_stayed_are_given_out(get, pruned):
    answer = get(f"/api/v1/receipts/{pruned[3][512]}")
    assert answer.status_code == 200
    assert answer.json()["index"] == 512


@pytest.fixture(scope="module")
def verifier(tmp_path_factory):
    return BareVerifier(tmp_path_factory.mktemp("bare"))


@contextmanager
def visits(verifier, folder, owner, log):
    """`visit(options)` is one visit of a bare verifier to the running log."""
    (folder / "token").write_text(owner.token("auditor", regions=(REGION,)) + "\n")
    (folder / "trust.json").write_text(json.dumps({"logs": [{"vkey": vkey_of(log)}]}))
    with http_service() as url:

        def visit(*options):
            words = ["log", f"{url}/tlog/{uuid_of(log)}", "--trust", str(folder / "trust.json")]
            return verifier.run(*words, "--token-file", str(folder / "token"), *options)

        yield visit


def make_bundle(owner, path, *options):
    words = ["bundle", "create", "--tenant", owner.slug, "--region", REGION, "-o", str(path)]
    call_command(*words, *options, stdout=io.StringIO())
    return str(path)


def test_a_follower_without_a_state_reads_what_is_left(service, pruned, verifier, tmp_path):
    owner, log, _, _ = pruned
    bundle = make_bundle(owner, tmp_path / "bundle", "--from", "600")
    with visits(verifier, tmp_path, owner, log) as visit:
        code, report = visit()
        assert (code, outcomes(report)["beginning"]) == (2, "not_checked")
        assert {outcomes(report)[name] for name in ("entries", "root", "tiles")} == {"holds"}
        assert (report["log"]["minimum"], report["log"]["read"]) == (512, SIZE + 1 - 512)
        code, report = visit("--prunes", bundle)
        assert (code, outcomes(report)["beginning"]) == (0, "holds")


@pytest.mark.parametrize("seen", [300, OLD + YOUNG])
def test_a_follower_goes_on_over_a_prune(  # a whole service
    client, tenant, run_signer, monkeypatch, cluster, tmp_path, verifier, seen
):
    """From a state of before, which ends below the minimum or behind it."""
    state = ("--state", str(tmp_path / "state"))
    open_small(tenant)
    with in_the_past(monkeypatch):
        record(client, tenant, 300, "first")
        run_signer()
        log = logs_of(tenant, region=REGION)["interactions"]
        with visits(verifier, tmp_path, tenant, log) as visit:
            if seen == 300:
                assert visit(*state)[0] == 0
            record(client, tenant, OLD - 300, "old")
    record(client, tenant, YOUNG, "young")
    run_signer()
    expire(cluster, log, OLD)
    with visits(verifier, tmp_path, tenant, log) as visit:
        if seen != 300:
            assert visit(*state)[0] == 0
        policy = policy_file(tmp_path)
        run(log, policy)
        run_signer()
        assert run(log, policy)[1]["state"] == "pruned"
        bundle = make_bundle(tenant, tmp_path / "bundle", "--from", "600")
        code, report = visit(*state, "--prunes", bundle)
    assert (code, outcomes(report)["growth"]) == (0, "holds")
    assert report["log"]["read"] == SIZE + 1 - max(seen, 512)
    assert ("beginning" in outcomes(report)) == (seen == 300)
