"""Attacks by whoever owns the database, on real PostgreSQL with triggers off: each is found, and named for what it is.

Edits of single rows, tiles, heads and checkpoints are in `test_verification` and `test_signatures`, those of contents
in `test_payloads`, those of the database itself in `test_grants`, older backups in `test_restores`.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from tests.integration.evidence.rewriting import SIZE, cut, drop_checkpoints, resign, rewrite
from tests.integration.evidence.verdict import findings, logs_of, verify
from tests.integration.ingest.sending import chat, protobuf_of, send
from tests.integration.ledger.superuser import tampering


def src(connection, log, index):
    """Change who an entry says it came from, and the leaf hash stored beside it."""
    from auditvault.core.tlog.entry import Entry, leaf_hash

    row = connection.execute(
        "SELECT entry FROM ledger_entry WHERE log_id = %s AND idx = %s", (log.log_id, index)
    ).fetchone()
    entry = dataclasses.replace(Entry.from_bytes(bytes(row[0])), src="somebody:else").to_bytes()
    connection.execute(
        "UPDATE ledger_entry SET entry = %s, leaf_hash = %s WHERE log_id = %s AND idx = %s",
        (entry, leaf_hash(entry), log.log_id, index),
    )


@pytest.mark.parametrize("index", [0, 7, 255, 256, SIZE - 1])
def test_one_edited_entry_is_named_and_nothing_else(recorded, log, forger, index):
    src(forger, log, index)
    assert findings(recorded, with_payloads=True) == {"interactions": {"entry_changed": index}}


def test_neighbours_that_were_both_edited_are_named_by_the_first(recorded, log, forger):
    src(forger, log, 7)
    src(forger, log, 8)
    assert findings(recorded) == {"interactions": {"entry_changed": 7}}


def test_an_entry_whose_chain_was_edited_is_named_itself(recorded, log, forger):
    from auditvault.core.tlog.entry import Entry, leaf_hash

    row = forger.execute(
        "SELECT entry FROM ledger_entry WHERE log_id = %s AND idx = 7", (log.log_id,)
    ).fetchone()
    entry = dataclasses.replace(Entry.from_bytes(bytes(row[0])), prev=b"\1" * 32).to_bytes()
    forger.execute(
        "UPDATE ledger_entry SET entry = %s, leaf_hash = %s WHERE log_id = %s AND idx = 7",
        (entry, leaf_hash(entry), log.log_id),
    )
    assert findings(recorded) == {"interactions": {"entry_changed": 7}}


@pytest.mark.parametrize("moment", ["2020", "2099"])
def test_an_entry_whose_time_was_edited_is_named_itself(recorded, log, forger, moment):
    from auditvault.core.tlog.entry import Entry, leaf_hash

    row = forger.execute(
        "SELECT entry FROM ledger_entry WHERE log_id = %s AND idx = 7", (log.log_id,)
    ).fetchone()
    read = Entry.from_bytes(bytes(row[0]))
    entry = dataclasses.replace(read, recorded_at=moment + read.recorded_at[4:]).to_bytes()
    forger.execute(
        "UPDATE ledger_entry SET entry = %s, leaf_hash = %s WHERE log_id = %s AND idx = 7",
        (entry, leaf_hash(entry), log.log_id),
    )
    found = findings(recorded)["interactions"]
    assert found["entry_changed"] == 7
    assert set(found.values()) == {7}


@pytest.mark.parametrize(("first", "last"), [(0, 0), (100, 100), (100, 139), (255, 255)])
def test_entries_missing_in_the_middle_are_named_and_nothing_else(
    recorded, log, forger, first, last
):
    forger.execute(
        "DELETE FROM ledger_entry WHERE log_id = %s AND idx BETWEEN %s AND %s",
        (log.log_id, first, last),
    )
    assert findings(recorded, with_payloads=True) == {"interactions": {"entry_missing": first}}


def test_an_entry_moved_to_the_end_of_the_numbers_is_named_where_it_is_missing(
    recorded, log, forger
):
    forger.execute(
        "UPDATE ledger_entry SET idx = 262143 WHERE log_id = %s AND idx = 100", (log.log_id,)
    )
    found = findings(recorded)["interactions"]
    assert found["entry_missing"] == 100
    assert found["entry_place"] == 262143


def test_a_missing_entry_hides_no_edited_one(recorded, log, forger):
    forger.execute("DELETE FROM ledger_entry WHERE log_id = %s AND idx = 100", (log.log_id,))
    src(forger, log, 150)
    assert findings(recorded) == {"interactions": {"entry_missing": 100, "entry_changed": 150}}


def test_the_newest_hundred_taken_away_with_the_head_mended_is_a_rollback(recorded, log, forger):
    cut(forger, log, SIZE - 100)
    drop_checkpoints(forger, log, SIZE - 100)
    assert findings(recorded, with_payloads=True) == {"interactions": {"rollback": SIZE - 100}}


@pytest.fixture
def signing_key():
    from django.conf import settings

    from auditvault.ledger.signer_keys import load_signing_key

    return load_signing_key(Path(settings.SIGNER_KEY_FILE)).private


@pytest.fixture
def rewritten(log, forger, signing_key, tmp_path):
    """Everything from index 10 on rewritten, mended and signed with the stolen key; an old checkpoint was kept."""
    kept = tmp_path / "checkpoint"
    kept.write_text(
        forger.execute(
            "SELECT note FROM ledger_checkpoint WHERE log_id = %s AND size = %s",
            (log.log_id, SIZE - 100),
        ).fetchone()[0]
    )
    rewrite(
        forger,
        log,
        lambda entry: dataclasses.replace(entry, src="x:y") if entry.index >= 10 else entry,
    )
    resign(forger, log, signing_key)
    return kept


def test_a_log_signed_anew_with_the_stolen_key_contradicts_the_signers_memory(recorded, rewritten):
    assert findings(recorded) == {"interactions": {"checkpoint_root": SIZE - 1}}


def test_without_anything_kept_outside_the_stolen_key_wins(recorded, rewritten):
    """What memory, receipts and witnesses are for."""
    assert findings(recorded, with_memory=False) == {}


def test_a_log_signed_anew_contradicts_a_checkpoint_that_was_kept(recorded, rewritten):
    found = findings(recorded, with_memory=False, kept=(rewritten,))
    assert found == {"interactions": {"checkpoint_root": SIZE - 101}}


def test_a_checkpoint_that_was_kept_is_taken_by_the_command(
    recorded, log, rewritten, monkeypatch, tmp_path
):
    from django.conf import settings

    monkeypatch.setattr(settings, "SIGNER_STATE_FILE", "")
    code, answer = verify(checkpoint=[rewritten])
    (found,) = [item for item in answer["logs"] if item["origin"] == log.origin]
    assert (code, found["first_bad"]) == (1, {"checkpoint_root": SIZE - 101})


def test_a_receipt_that_was_kept_contradicts_a_log_signed_anew(
    client, recorded, log, forger, signing_key, tmp_path
):
    kept = tmp_path / "receipt.json"
    record_id = forger.execute(
        "SELECT record_id FROM ledger_entry WHERE log_id = %s AND idx = 20", (log.log_id,)
    ).fetchone()[0]
    headers = recorded.headers("engineer", regions=("us",))
    kept.write_bytes(client.get(f"/api/v1/receipts/{record_id}", headers=headers).content)
    rewrite(
        forger,
        log,
        lambda entry: dataclasses.replace(entry, src="x:y") if entry.index >= 10 else entry,
    )
    resign(forger, log, signing_key)
    found = findings(recorded, with_memory=False, kept=(kept,))
    assert found == {"interactions": {"checkpoint_root": SIZE - 1}}


@pytest.mark.parametrize("text", ["", "not a note", "{}", '{"checkpoint": null}'])
def test_a_kept_file_without_a_checkpoint_is_no_verdict(service, tmp_path, text):
    kept = tmp_path / "kept"
    kept.write_text(text)
    code, answer = verify(checkpoint=[kept])
    assert (code, answer["verdict"]) == (2, "not_checked")


def test_a_kept_checkpoint_of_a_region_that_is_not_verified_is_no_verdict(
    recorded, log, forger, tmp_path
):
    kept = tmp_path / "kept"
    kept.write_text(
        forger.execute(
            "SELECT note FROM ledger_checkpoint WHERE log_id = %s LIMIT 1", (log.log_id,)
        ).fetchone()[0]
    )
    code, answer = verify(region="eu", checkpoint=[kept])
    assert (code, answer["verdict"]) == (2, "not_checked")


def test_entries_of_two_tenants_that_changed_places_are_named_in_both(
    client, recorded, log, other_tenant, cluster, run_signer, forger
):
    body = protobuf_of(*[chat(f"{n}") for n in range(10)])
    headers = other_tenant.headers("ingest", regions=("us",))
    assert send(client, other_tenant, body, headers=headers).status_code == 200
    run_signer()
    other = logs_of(other_tenant)["interactions"]
    with tampering(cluster, other_tenant.tenant_id, "region_us"):
        forger.execute(
            "UPDATE ledger_entry AS a SET record_id = b.record_id, leaf_hash = b.leaf_hash,"
            " entry = b.entry FROM ledger_entry AS b WHERE a.idx = 5 AND b.idx = 5"
            " AND (a.log_id, b.log_id) IN ((%s, %s), (%s, %s))",
            (log.log_id, other.log_id, other.log_id, log.log_id),
        )
        found = [findings(tenant, with_payloads=True) for tenant in (recorded, other_tenant)]
    assert [list(logs) for logs in found] == [["interactions"], ["interactions"]]
    for logs in found:
        assert {"entry_changed", "entry_place", "header_missing"} <= set(logs["interactions"])
        assert set(logs["interactions"].values()) == {5}


def test_logs_verified_at_once_in_processes_give_the_same_reports(recorded, log, forger):
    src(forger, log, 7)
    assert json.dumps(verify(jobs=2)) == json.dumps(verify())
