"""`auditvault verify` on a pruned log: it holds, and whoever prunes without the log's own word is found."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from auditvault.core.tlog.commitment import header_commitment
from auditvault.core.tlog.entry import Entry
from auditvault.core.tlog.prune import ENTRY_TYPE, PruneRecord
from tests.integration.evidence.verdict import findings, logs_of, reports_of, verify
from tests.integration.evidence_pruning.old_logs import (
    DATABASE,
    OLD,
    PARTITION,
    REGION,
    YOUNG,
    expire,
    fill,
    policy_file,
    record,
    run,
)
from tests.integration.ledger.superuser import superuser

MINIMUM = 2 * PARTITION
_made = []


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("policy")


@pytest.fixture
def owner(client, tenant, run_signer, monkeypatch, cluster, directory):
    """A tenant with a pruned log, made once: whoever tampers with it puts it back."""
    if not _made:
        log = fill(client, tenant, run_signer, monkeypatch)
        expire(cluster, log, OLD)
        policy = policy_file(directory)
        run(log, policy)
        run_signer()
        assert run(log, policy)[1]["state"] == "pruned"
        record(client, tenant, 3, "later")
        run_signer()
        _made.append(tenant)
    return _made[0]


@pytest.fixture
def log(owner):
    return logs_of(owner, region=REGION)["interactions"]


TABLES = (
    "ledger_prune",
    "ledger_pruned",
    "ledger_entry",
    "ledger_tile",
    "ledger_checkpoint",
    "ledger_head",
    "traces_header",
)


@pytest.fixture
def forger(cluster, owner):
    """A superuser with triggers off; afterwards the tenant's rows are as they were."""
    with superuser(cluster, DATABASE) as connection:
        connection.execute("SET session_replication_role = replica")
        for table in TABLES:
            connection.execute(
                f"CREATE TEMP TABLE saved_{table} AS SELECT * FROM {table}"
                f" WHERE tenant_id = '{owner.tenant_id}'"
            )
        yield connection
        for table in TABLES:
            connection.execute(f"DELETE FROM {table} WHERE tenant_id = %s", (owner.tenant_id,))
            connection.execute(f"INSERT INTO {table} SELECT * FROM saved_{table}")


def found(owner, **options):
    return findings(owner, region=REGION, **options).get("interactions", {})


def test_a_pruned_log_holds_with_contents_and_memory(owner):
    assert findings(owner, region=REGION, with_payloads=True) == {}
    report = reports_of(owner, region=REGION)["interactions"]
    assert (report.pruned, report.entries) == (MINIMUM, OLD + YOUNG + 1 + 3)
    assert report.headers == OLD + YOUNG + 1 + 3 - MINIMUM


@pytest.mark.parametrize(("levels", "walks"), [(1, False), (2, True)])
def test_a_pruned_log_is_verified_by_ranges_where_one_begins_at_its_minimum(
    owner, log, monkeypatch, levels, walks
):
    from auditvault.evidence import verification_end

    walked, walk = [], verification_end.Walk
    monkeypatch.setattr(verification_end, "Walk", lambda *words: walked.append(1) or walk(*words))
    report = by_ranges(log, levels)
    assert (report.first_bad, report.pruned) == ({}, MINIMUM)
    assert report.entries == OLD + YOUNG + 1 + 3
    assert report.headers == report.entries - MINIMUM
    assert bool(walked) == walks


def by_ranges(log, levels):
    from django.conf import settings

    from auditvault.evidence.verification import Trust, read_log_keys, verify_logs

    trust = Trust(keys=read_log_keys(Path(settings.LOG_VKEYS_FILE)))
    (report,) = verify_logs(region=REGION, logs=[log], trust=trust, range_levels=levels)
    return report


def test_an_edited_row_behind_whole_ranges_is_named_itself(owner, log, forger):
    forger.execute(
        "UPDATE ledger_entry SET leaf_hash = sha256(entry) WHERE log_id = %s AND idx = %s",
        (log.log_id, MINIMUM + 5),
    )
    assert by_ranges(log, 1).first_bad == {"leaf_hash": MINIMUM + 5}


def test_a_log_with_a_pending_prune_holds(
    client, tenant, run_signer, monkeypatch, cluster, directory
):
    log = fill(client, tenant, run_signer, monkeypatch)
    expire(cluster, log, OLD)
    run(log, policy_file(directory))
    assert findings(tenant, region=REGION, with_payloads=True) == {}
    assert reports_of(tenant, region=REGION)["interactions"].pruned == 0


def test_the_command_says_where_it_began(owner, log):
    _, said = verify(region=REGION)
    (report,) = [each for each in said["logs"] if each["origin"] == log.origin]
    assert (report["pruned"], report["holds"]) == (MINIMUM, True)


def test_a_beginning_that_is_missing_without_a_record_is_missing(owner, log, forger):
    forger.execute("DELETE FROM ledger_prune WHERE log_id = %s", (log.log_id,))
    bad = found(owner)
    assert bad["entry_missing"] == 0
    assert bad["header_missing"] == OLD + YOUNG


def test_more_missing_than_the_record_says_is_missing(owner, log, forger):
    forger.execute(
        "DELETE FROM traces_header AS h USING ledger_entry AS e WHERE e.log_id = %s"
        " AND e.idx < %s AND e.record_id = h.record_id",
        (log.log_id, MINIMUM + 10),
    )
    forger.execute(
        "DELETE FROM ledger_entry WHERE log_id = %s AND idx < %s", (log.log_id, MINIMUM + 10)
    )
    assert found(owner) == {"entry_missing": MINIMUM}


def test_a_prune_that_no_checkpoint_covers_is_none(owner, log, forger):
    forger.execute(
        "DELETE FROM ledger_checkpoint WHERE log_id = %s AND size > %s", (log.log_id, OLD + YOUNG)
    )
    assert found(owner, with_memory=False)["entry_missing"] == 0


def test_a_record_whose_header_was_edited_is_found(owner, log, forger):
    forger.execute(
        "UPDATE ledger_prune SET header = replace(convert_from(header, 'UTF8'),"
        " 'retention-2026', 'retention-2025')::bytea WHERE log_id = %s",
        (log.log_id,),
    )
    assert found(owner)["prune_record"] == OLD + YOUNG
    assert found(owner)["entry_missing"] == 0


@pytest.mark.parametrize(
    "change",
    ["previous = 256", "idx = 622", "cutoff = now()", "last_at = last_at - interval '1 day'"],
)
def test_a_record_whose_columns_were_edited_is_found(owner, log, forger, change):
    forger.execute(f"UPDATE ledger_prune SET {change} WHERE log_id = %s", (log.log_id,))
    assert "prune_record" in found(owner)


def test_a_forged_record_that_is_whole_in_itself_is_found(owner, log, forger):
    """It has everything but the log's word: range, root, last entry, proof, and an entry that commits to them."""
    header, entry = forger.execute(
        "SELECT header, entry FROM ledger_prune WHERE log_id = %s", (log.log_id,)
    ).fetchone()
    forged = dataclasses.replace(PruneRecord.from_bytes(bytes(header)), policy_id="forged")
    commits = dataclasses.replace(
        Entry.from_bytes(bytes(entry)),
        index=OLD + YOUNG + 1,
        commitment=header_commitment(bytes(32), ENTRY_TYPE, forged.to_bytes()),
    )
    forger.execute(
        "UPDATE ledger_prune SET idx = %s, record_id = gen_random_uuid(), entry = %s, opening = %s,"
        " header = %s WHERE log_id = %s",
        (commits.index, commits.to_bytes(), bytes(32), forged.to_bytes(), log.log_id),
    )
    assert found(owner) == {
        "prune_record": OLD + YOUNG + 1,
        "prune_row": 0,
        "entry_missing": 0,
        "header_missing": OLD + YOUNG,
    }


def test_entries_that_were_pruned_otherwise_than_the_service_says_are_found(owner, log, forger):
    forger.execute("DELETE FROM ledger_pruned WHERE log_id = %s", (log.log_id,))
    assert found(owner) == {"prune_row": 0}


def test_a_tile_over_pruned_entries_that_was_edited_is_found(owner, log, forger):
    forger.execute(
        "UPDATE ledger_tile SET hashes = overlay(hashes placing '\\x00'::bytea from 1)"
        " WHERE log_id = %s AND level = 0 AND n = 1",
        (log.log_id,),
    )
    bad = found(owner)
    # Of 512 entries there is one subtree in the range: that is as near as can be said.
    assert bad["tile"] == 0


def test_a_tile_over_pruned_entries_that_is_missing_is_found(owner, log, forger):
    forger.execute(
        "DELETE FROM ledger_tile WHERE log_id = %s AND level = 0 AND n = 0", (log.log_id,)
    )
    assert found(owner)["tile"] == 0


def test_an_old_checkpoint_over_pruned_entries_that_was_exchanged_is_found(
    owner, log, forger, cluster
):
    from auditvault.core.tlog.checkpoint import Checkpoint
    from auditvault.core.tlog.note import NoteSigner, sign_note
    from auditvault.ledger.signer_keys import load_signing_key

    file = Path(cluster.environment("signer")["AUDITVAULT_SIGNER_KEY_FILE"])
    key = load_signing_key(file).private
    body = Checkpoint(origin=log.origin, size=300, root=bytes(32)).body()
    forger.execute(
        "UPDATE ledger_checkpoint SET root = %s, note = %s WHERE log_id = %s AND size = 300",
        (bytes(32), sign_note(body, [NoteSigner(log.origin, key)]), log.log_id),
    )
    assert found(owner) == {"checkpoint_root": 299}


@pytest.mark.parametrize("index", [MINIMUM, MINIMUM + 1, OLD + YOUNG])
def test_an_edited_entry_of_a_pruned_log_is_named_itself(owner, log, forger, index):
    from auditvault.core.tlog.entry import leaf_hash

    (data,) = forger.execute(
        "SELECT entry FROM ledger_entry WHERE log_id = %s AND idx = %s", (log.log_id, index)
    ).fetchone()
    edited = bytes(data).replace(b'"src":"', b'"src":"x')
    forger.execute(
        "UPDATE ledger_entry SET entry = %s, leaf_hash = %s WHERE log_id = %s AND idx = %s",
        (edited, leaf_hash(edited), log.log_id, index),
    )
    assert found(owner) == {"entry_changed": index}


def test_a_first_entry_that_names_another_one_before_it_is_found(owner, log, forger):
    from auditvault.core.tlog.entry import leaf_hash

    (data,) = forger.execute(
        "SELECT entry FROM ledger_entry WHERE log_id = %s AND idx = %s", (log.log_id, MINIMUM)
    ).fetchone()
    edited = bytes(data).replace(b'"prev":"', b'"prev":"0', 1)
    cut = edited.index(b'"prev":"') + len(b'"prev":"') + 64
    edited = edited[:cut] + edited[cut + 1 :]
    forger.execute(
        "UPDATE ledger_entry SET entry = %s, leaf_hash = %s WHERE log_id = %s AND idx = %s",
        (edited, leaf_hash(edited), log.log_id, MINIMUM),
    )
    assert found(owner) == {"entry_changed": MINIMUM}
