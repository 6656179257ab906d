"""Whoever owns the database changes entries, headers or access records, and `auditvault verify` names it."""

from __future__ import annotations

import dataclasses

import pytest

from tests.integration.evidence.rewriting import SIZE, cut, drop_checkpoints, record_at, rewrite
from tests.integration.evidence.verdict import findings, logs_of, verify
from tests.integration.ledger.superuser import superuser


def test_logs_that_were_left_alone_hold_and_the_exit_code_is_the_verdict(recorded):
    code, answer = verify()
    mine = {each.origin for each in logs_of(recorded).values()}
    assert [item["holds"] for item in answer["logs"] if item["origin"] in mine] == [True] * 3
    assert answer["database"] == []
    # Other tests leave damaged logs in the region.
    whole = all(item["holds"] for item in answer["logs"])
    assert (code, answer["verdict"]) == ((0, "holds") if whole else (1, "does_not_hold"))


def test_what_was_checked_is_counted(recorded, log, cluster):
    _, answer = verify()
    (found,) = [item for item in answer["logs"] if item["origin"] == log.origin]
    # A log that does not grow is signed again after a while.
    with superuser(cluster, "region_us") as connection:
        (signed,) = connection.execute(
            "SELECT count(*) FROM ledger_checkpoint WHERE log_id = %s", (log.log_id,)
        ).fetchone()
    assert signed >= 2
    assert (found["entries"], found["headers"], found["checkpoints"]) == (SIZE, SIZE, signed)


def test_a_changed_log_does_not_hold(recorded, log, forger):
    cut(forger, log, SIZE - 1)
    code, answer = verify()
    assert (code, answer["verdict"]) == (1, "does_not_hold")


def test_the_command_says_in_words_what_does_not_hold(recorded, log, forger, capsys):
    from django.core.management import call_command

    forger.execute(
        "UPDATE traces_header SET header = '{}' WHERE record_id = %s", (record_at(forger, log, 7),)
    )
    with pytest.raises(SystemExit):
        call_command("verify", region=["us"])
    said = capsys.readouterr().out
    assert "DOES NOT HOLD" in said
    assert "header_commitment: first at index 7" in said


def test_an_edited_entry_is_named(recorded, log, forger):
    forger.execute(
        "UPDATE ledger_entry SET entry = set_byte(entry, 9, 65) WHERE log_id = %s AND idx = 5",
        (log.log_id,),
    )
    found = findings(recorded)["interactions"]
    assert found == {"entry_changed": 5, "entry_form": 5, "leaf_hash": 5}


def test_an_edited_entry_with_its_own_hash_mended_is_named_itself(recorded, log, forger):
    other = forger.execute(
        "SELECT entry, leaf_hash FROM ledger_entry WHERE log_id = %s AND idx = 9", (log.log_id,)
    ).fetchone()
    forger.execute(
        "UPDATE ledger_entry SET entry = %s, leaf_hash = %s WHERE log_id = %s AND idx = 5",
        (*other, log.log_id),
    )
    found = findings(recorded)["interactions"]
    assert found == {"entry_changed": 5, "entry_place": 5, "header_commitment": 5}


def test_a_changed_leaf_hash_alone_is_named(recorded, log, forger):
    forger.execute(
        "UPDATE ledger_entry SET leaf_hash = %s WHERE log_id = %s AND idx = 5",
        (bytes(32), log.log_id),
    )
    assert findings(recorded) == {"interactions": {"leaf_hash": 5}}


def test_entries_rewritten_with_everything_mended_contradict_the_signature(recorded, log, forger):
    def change(entry):
        return dataclasses.replace(entry, src="somebody:else") if entry.index == 150 else entry

    rewrite(forger, log, change)
    assert findings(recorded) == {"interactions": {"checkpoint_root": SIZE - 101}}


def test_a_rewritten_end_contradicts_the_later_signature_only(recorded, log, forger):
    def change(entry):
        return dataclasses.replace(entry, src="somebody:else") if entry.index == SIZE - 1 else entry

    rewrite(forger, log, change)
    assert findings(recorded) == {"interactions": {"checkpoint_root": SIZE - 1}}


def test_a_rewritten_log_is_not_signed(recorded, log, forger, run_signer):
    rewrite(forger, log, lambda entry: None if entry.index == 150 else entry)
    drop_checkpoints(forger, log, 0)
    run_signer()
    signed = forger.execute(
        "SELECT max(size) FROM ledger_checkpoint WHERE log_id = %s", (log.log_id,)
    ).fetchone()[0]
    assert signed is None
    assert findings(recorded)["interactions"]["rollback"] == SIZE - 1


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("model", "another"),
        ("model", None),
        ("operation", "embeddings"),
        ("status", "error"),
        ("started_at", "2026-01-01"),
        ("duration_ns", 1),
        ("trace_id", bytes(16)),
        ("span_id", bytes(8)),
        ("parent_span_id", bytes(8)),
        ("revision", 1),
        ("name", "another"),
        ("provider", "another"),
        ("input_tokens", 1),
        ("output_tokens", 1),
        ("service", "another"),
        ("environment", "another"),
        ("feature", "another"),
        ("error_type", "another"),
    ],
)
def test_an_edited_search_column_is_named(recorded, log, forger, column, value):
    forger.execute(
        f"UPDATE traces_header SET {column} = %s WHERE record_id = %s",
        (value, record_at(forger, log, 7)),
    )
    assert findings(recorded) == {"interactions": {"header_columns": 7}}


def test_every_search_column_is_compared(forger):
    """The list above is complete: what is left is the key, and what the commitment is over."""
    listed = {
        mark.args[1][n][0]
        for mark in test_an_edited_search_column_is_named.pytestmark
        if mark.name == "parametrize"
        for n in range(len(mark.args[1]))
    }
    rows = forger.execute(
        "SELECT column_name FROM information_schema.columns WHERE table_name = 'traces_header'"
    ).fetchall()
    assert {row[0] for row in rows} - listed == {"tenant_id", "record_id", "opening", "header"}


def test_a_header_that_was_taken_away_is_named(recorded, log, forger):
    forger.execute("DELETE FROM traces_header WHERE record_id = %s", (record_at(forger, log, 7),))
    assert findings(recorded) == {"interactions": {"header_missing": 7}}


def test_two_headers_that_changed_places_are_named(recorded, log, forger):
    one, two = record_at(forger, log, 7), record_at(forger, log, 9)
    forger.execute(
        "UPDATE traces_header AS a SET header = b.header, opening = b.opening FROM traces_header AS b"
        " WHERE (a.record_id, b.record_id) IN ((%s, %s), (%s, %s))",
        (one, two, two, one),
    )
    assert findings(recorded) == {"interactions": {"header_commitment": 7}}


def test_a_header_that_no_entry_records_is_found(recorded, log, forger):
    forger.execute(
        "INSERT INTO traces_header SELECT (h).* FROM (SELECT jsonb_populate_record(h,"
        " jsonb_build_object('record_id', left(h.record_id::text, 24) || '000000000000')) AS h"
        " FROM traces_header AS h WHERE record_id = %s) AS x",
        (record_at(forger, log, 7),),
    )
    assert findings(recorded) == {"interactions": {"header_unrecorded": SIZE}}


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ("header = set_byte(header, 4, 65)", "header_commitment"),
        ("opening = set_byte(opening, 4, 65)", "header_commitment"),
        ("actor = 'somebody'", "header_columns"),
        ("action = 'resolve'", "header_columns"),
        ("outcome = 'denied'", "header_columns"),
        ("actor_role = NULL", "header_columns"),
        ("purpose_code = 'LEGAL'", "header_columns"),
        ("case_ref = 'X-1'", "header_columns"),
        ("recorded_at = '2026-01-01'", "header_columns"),
    ],
)
def test_an_edited_access_record_is_named(recorded, access_log, forger, change, kind):
    forger.execute(
        f"UPDATE access_event SET {change} WHERE record_id = %s",
        (record_at(forger, access_log, 1),),
    )
    assert findings(recorded) == {"access": {kind: 1}}


def test_an_access_record_that_was_taken_away_is_named(recorded, access_log, forger):
    forger.execute(
        "DELETE FROM access_event WHERE record_id = %s", (record_at(forger, access_log, 0),)
    )
    assert findings(recorded) == {"access": {"header_missing": 0}}


def test_an_entry_missing_in_the_middle_is_named(recorded, log, forger):
    forger.execute("DELETE FROM ledger_entry WHERE log_id = %s AND idx = 100", (log.log_id,))
    assert findings(recorded) == {"interactions": {"entry_missing": 100}}


@pytest.mark.parametrize("column", ["header", "opening"])
def test_an_edited_header_is_named(recorded, log, forger, column):
    forger.execute(
        f"UPDATE traces_header SET {column} = set_byte({column}, 4, 65) WHERE record_id = %s",
        (record_at(forger, log, 7),),
    )
    assert findings(recorded) == {"interactions": {"header_commitment": 7}}
