"""Heads, tiles, checkpoints and cut tails: what the signatures and the signer's memory bring to light."""

from __future__ import annotations

import dataclasses

import pytest

from tests.integration.evidence.rewriting import SIZE, cut, drop_checkpoints, record_at, rewrite
from tests.integration.evidence.verdict import findings, verify
from tests.integration.ledger.outage import unreachable


def note_of(connection, log, size):
    return connection.execute(
        "SELECT note FROM ledger_checkpoint WHERE log_id = %s AND size = %s", (log.log_id, size)
    ).fetchone()[0]


def put_note(connection, log, note):
    connection.execute(
        "UPDATE ledger_checkpoint SET note = %s WHERE log_id = %s AND size = %s",
        (note, log.log_id, SIZE),
    )


def test_a_rewritten_log_without_its_checkpoints_contradicts_the_signers_memory(
    recorded, log, forger
):
    def change(entry):
        return dataclasses.replace(entry, src="somebody:else") if entry.index == 150 else entry

    rewrite(forger, log, change)
    drop_checkpoints(forger, log, 0)
    assert findings(recorded) == {"interactions": {"checkpoint_root": SIZE - 1}}


def test_a_cut_tail_is_named_by_the_checkpoint_beyond_it(recorded, log, forger):
    cut(forger, log, 250)
    assert findings(recorded, with_memory=False) == {"interactions": {"rollback": 250}}


def test_a_cut_tail_without_its_checkpoints_is_named_by_the_signers_memory(recorded, log, forger):
    cut(forger, log, 250)
    drop_checkpoints(forger, log, 250)
    assert findings(recorded) == {"interactions": {"rollback": 250}}


def test_a_tail_that_was_cut_without_mending_the_head_is_named(recorded, log, forger):
    forger.execute("DELETE FROM ledger_entry WHERE log_id = %s AND idx >= 250", (log.log_id,))
    found = findings(recorded)["interactions"]
    assert (found["head_size"], found["entry_missing"]) == (250, 250)


@pytest.mark.parametrize(
    "change",
    [
        "hashes = set_byte(hashes, 4, get_byte(hashes, 4) # 1)",
        "root = set_byte(root, 4, get_byte(root, 4) # 1)",
        "n = 5",
    ],
)
def test_an_edited_tile_is_named(recorded, log, forger, change):
    forger.execute(f"UPDATE ledger_tile SET {change} WHERE log_id = %s", (log.log_id,))
    assert findings(recorded)["interactions"] == {"tile": 0}


def test_a_missing_tile_is_named(recorded, log, forger):
    forger.execute("DELETE FROM ledger_tile WHERE log_id = %s", (log.log_id,))
    assert findings(recorded) == {"interactions": {"tile": 0}}


@pytest.mark.parametrize(
    "change",
    [
        "range = set_byte(range, 4, get_byte(range, 4) # 1)",
        "range = substring(range FROM 33)",
        "range = ''",
        "size = size - 1",
        "size = size + 1",
    ],
)
def test_an_edited_head_is_named_and_hides_nothing_else(recorded, log, forger, change):
    forger.execute(f"UPDATE ledger_head SET {change} WHERE log_id = %s", (log.log_id,))
    forger.execute(
        "UPDATE traces_header SET opening = %s WHERE record_id = %s",
        (bytes(32), record_at(forger, log, 7)),
    )
    found = findings(recorded)["interactions"]
    assert {"head_size", "head_root"} & set(found)
    assert found["header_commitment"] == 7


def test_an_edited_last_leaf_is_named_before_anything_is_built_on_it(recorded, log, forger):
    forger.execute(
        "UPDATE ledger_head SET last_leaf = %s WHERE log_id = %s", (bytes(32), log.log_id)
    )
    assert findings(recorded) == {"interactions": {"head_leaf": SIZE - 1}}


def test_a_checkpoint_that_is_no_note_is_named(recorded, log, forger):
    put_note(forger, log, "not a note")
    assert findings(recorded) == {"interactions": {"checkpoint_signature": SIZE - 1}}


def test_a_checkpoint_with_an_edited_size_is_named(recorded, log, forger):
    put_note(forger, log, note_of(forger, log, SIZE).replace(f"\n{SIZE}\n", f"\n{SIZE + 1}\n", 1))
    assert findings(recorded) == {"interactions": {"checkpoint_signature": SIZE - 1}}


def test_a_true_checkpoint_in_the_wrong_row_is_named(recorded, log, forger):
    put_note(forger, log, note_of(forger, log, SIZE - 100))
    assert findings(recorded) == {"interactions": {"checkpoint_row": SIZE - 1}}


def test_a_checkpoint_of_another_log_is_named(recorded, log, access_log, forger):
    put_note(forger, log, note_of(forger, access_log, 2))
    assert findings(recorded) == {"interactions": {"checkpoint_signature": SIZE - 1}}


def test_a_checkpoint_signed_with_another_key_is_named(recorded, log, forger):
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from auditvault.core.tlog.note import NoteSigner, sign_note

    body = note_of(forger, log, SIZE).partition("\n\n")[0] + "\n"
    put_note(forger, log, sign_note(body, [NoteSigner(log.origin, Ed25519PrivateKey.generate())]))
    assert findings(recorded) == {"interactions": {"checkpoint_signature": SIZE - 1}}


def test_a_log_that_has_vanished_whole_is_named(recorded, log, forger):
    origin = log.origin
    for table in ("ledger_entry", "ledger_head", "ledger_tile", "ledger_checkpoint", "ledger_log"):
        forger.execute(f"DELETE FROM {table} WHERE log_id = %s", (log.log_id,))
    code, answer = verify()
    (found,) = [item for item in answer["logs"] if item["origin"] == origin]
    assert (code, found["first_bad"]) == (1, {"log_missing": 0})


def test_keys_that_cannot_be_read_are_no_verdict(recorded, tmp_path, monkeypatch):
    from django.conf import settings

    monkeypatch.setattr(settings, "LOG_VKEYS_FILE", str(tmp_path / "missing"))
    code, answer = verify()
    assert (code, answer["verdict"]) == (2, "not_checked")


def test_a_signers_memory_that_cannot_be_read_is_no_verdict(recorded, tmp_path, monkeypatch):
    from django.conf import settings

    broken = tmp_path / "state.json"
    broken.write_text("{")
    monkeypatch.setattr(settings, "SIGNER_STATE_FILE", str(broken))
    code, answer = verify()
    assert (code, answer["verdict"]) == (2, "not_checked")


def test_a_database_that_is_away_is_no_verdict(recorded, cluster):
    with unreachable(cluster, "region_us"):
        code, answer = verify()
    assert (code, answer["verdict"]) == (2, "not_checked")


def test_without_the_signers_memory_the_report_says_what_it_could_not_see(
    recorded, log, monkeypatch
):
    from django.conf import settings

    monkeypatch.setattr(settings, "SIGNER_STATE_FILE", "")
    _, answer = verify()
    (found,) = [item for item in answer["logs"] if item["origin"] == log.origin]
    assert found["holds"]
    assert any("memory was not at hand" in note for note in found["notes"])


def test_every_finding_is_named_and_not_only_the_first(recorded, log, forger):
    for index in (3, 9):
        forger.execute(
            "UPDATE traces_header SET opening = %s WHERE record_id = %s",
            (bytes(32), record_at(forger, log, index)),
        )
    forger.execute("DELETE FROM ledger_tile WHERE log_id = %s", (log.log_id,))
    put_note(forger, log, "not a note")
    assert findings(recorded)["interactions"] == {
        "header_commitment": 3,
        "tile": 0,
        "checkpoint_signature": SIZE - 1,
    }
