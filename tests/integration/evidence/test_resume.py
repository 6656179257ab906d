"""`auditvault verify --resume`: what was verified is not read again, counts as evidence, and is named in the report."""

from __future__ import annotations

import dataclasses
import json
import stat

import pytest

from tests.integration.evidence.rewriting import (
    SIZE,
    cut,
    drop_checkpoints,
    record_at,
    resign,
    rewrite,
)
from tests.integration.evidence.test_attacks import signing_key, src  # noqa: F401
from tests.integration.evidence.verdict import findings, logs_of, reports_of, verify
from tests.integration.ingest.sending import chat, protobuf_of, send

RANGE = 256


@pytest.fixture
def path(tmp_path):
    return tmp_path / "verified.json"


@pytest.fixture
def resumed(path):
    """Verify the interactions log in ranges of 256 entries, with the state in `path`, read anew each time."""
    from auditvault.evidence.verification import VerificationState

    def run(tenant, **how):
        state = VerificationState(path)
        return reports_of(tenant, state=state, range_levels=1, **how)["interactions"]

    return run


def ranges(path, log):
    return json.loads(path.read_text())["logs"][log.origin]["ranges"]


def spoil_header(connection, log, index):
    connection.execute(
        "UPDATE traces_header SET header = '{}' WHERE record_id = %s",
        (record_at(connection, log, index),),
    )


def read_from(report):
    """The index that the report says it read from; 0 where it says nothing."""
    said = [note for note in report.notes if "read from index" in note]
    return int(said[0].split("read from index ")[1].split()[0]) if said else 0


def test_the_second_run_reads_on_from_where_the_first_was_whole(recorded, resumed):
    reads = []
    first = resumed(recorded)
    second = resumed(recorded, progress=lambda _origin, done, _size: reads.append(done))
    assert (read_from(first), read_from(second)) == (0, RANGE)
    # Progress of both logs: of this one only what lies behind the first range.
    assert SIZE in reads
    assert RANGE not in reads


def test_what_was_taken_from_the_state_counts_as_it_did(recorded, resumed):
    first, second = resumed(recorded, with_payloads=True), resumed(recorded, with_payloads=True)
    assert read_from(second) == RANGE
    assert dataclasses.replace(second, notes=[]) == dataclasses.replace(first, notes=[])
    assert (second.entries, second.headers, second.payloads) == (SIZE, SIZE, 2 * SIZE)


def test_a_change_behind_what_was_verified_is_found(recorded, log, forger, resumed):
    resumed(recorded)
    spoil_header(forger, log, RANGE + 4)
    assert resumed(recorded).first_bad == {"header_commitment": RANGE + 4}


def test_a_change_within_what_was_verified_is_found_by_a_run_without_the_state(
    recorded, log, forger, resumed
):
    """And not by one with it, which says so."""
    resumed(recorded)
    spoil_header(forger, log, 7)
    src(forger, log, 9)
    report = resumed(recorded)
    assert (report.first_bad, read_from(report)) == ({}, RANGE)
    assert findings(recorded)["interactions"]["header_commitment"] == 7


def test_an_edited_entry_behind_what_was_verified_is_named_and_nothing_else(
    recorded, log, forger, resumed
):
    resumed(recorded)
    src(forger, log, SIZE - 1)
    assert resumed(recorded).first_bad == {"entry_changed": SIZE - 1}


def test_a_rewritten_log_that_was_signed_anew_contradicts_what_was_verified(
    recorded,
    log,
    forger,
    resumed,
    signing_key,  # noqa: F811
):
    resumed(recorded, with_memory=False)
    rewrite(
        forger,
        log,
        lambda entry: dataclasses.replace(entry, src="x:y") if entry.index >= 10 else entry,
    )
    resign(forger, log, signing_key)
    assert findings(recorded, with_memory=False) == {}
    assert resumed(recorded, with_memory=False).first_bad == {"checkpoint_root": RANGE - 1}


def test_a_log_that_became_shorter_than_what_was_verified_was_put_back(
    recorded, log, forger, resumed
):
    resumed(recorded, with_memory=False)
    cut(forger, log, 220)
    drop_checkpoints(forger, log, 220)
    assert resumed(recorded, with_memory=False).first_bad == {"rollback": 220}


def test_another_signed_root_than_before_makes_it_read_again(recorded, log, forger, resumed):
    resumed(recorded)
    drop_checkpoints(forger, log, 0)
    assert read_from(resumed(recorded)) == 0


def test_contents_that_were_not_opened_before_make_it_read_again(recorded, resumed):
    resumed(recorded, with_payloads=False)
    assert read_from(resumed(recorded, with_payloads=True)) == 0
    assert read_from(resumed(recorded, with_payloads=False)) == RANGE


def test_a_range_in_which_something_was_found_is_read_again(recorded, log, forger, resumed):
    spoil_header(forger, log, 7)
    for _ in range(2):
        assert resumed(recorded).first_bad == {"header_commitment": 7}


def test_what_no_signed_root_covers_is_not_kept(recorded, log, forger, resumed):
    """It may have been rewritten: kept, it would accuse the log when that is put right."""
    drop_checkpoints(forger, log, RANGE)
    resumed(recorded, with_memory=False)
    assert read_from(resumed(recorded, with_memory=False)) == 0


def test_what_contradicts_a_later_signed_root_is_not_kept(recorded, log, forger, resumed):
    rewrite(
        forger,
        log,
        lambda entry: dataclasses.replace(entry, src="x:y") if entry.index == 250 else entry,
    )
    for _ in range(2):
        report = resumed(recorded)
        assert (report.first_bad, read_from(report)) == ({"checkpoint_root": SIZE - 1}, 0)


class StoppedError(Exception):
    """Somebody pressed Ctrl-C."""


def test_a_run_that_was_stopped_goes_on_at_its_last_whole_range(
    client, tenant, run_signer, resumed, path
):
    for count in (300, 300):
        body = protobuf_of(*[chat(f"{n} of {count}") for n in range(count)])
        headers = tenant.headers("ingest", regions=("us",))
        assert send(client, tenant, body, headers=headers).status_code == 200
        run_signer()

    def stop(_origin, _done, _size):
        if path.exists():
            raise StoppedError

    with pytest.raises(StoppedError):
        resumed(tenant, progress=stop, with_memory=False)
    log = logs_of(tenant)["interactions"]
    # The second range reached the signed size 300, which speaks for the first.
    assert len(ranges(path, log)) == 1
    report = resumed(tenant)
    assert (report.holds, read_from(report), report.entries) == (True, RANGE, 600)


def test_the_command_writes_a_state_that_only_its_owner_reads(recorded, path):
    _, answer = verify(resume=path)
    mine = {each.origin for each in logs_of(recorded).values()}
    assert [item["holds"] for item in answer["logs"] if item["origin"] in mine] == [True] * 3
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_text())["v"] == "auditvault/verification-state/1"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        '{"v": "auditvault/verification-state/2", "logs": {}}',
        '{"v": "auditvault/verification-state/1", "logs": {"a/us/b": {"entries": 256, "ranges": [{}]}}}',
    ],
)
def test_a_state_that_is_none_is_no_verdict(service, path, text):
    path.write_text(text)
    code, answer = verify(resume=path)
    assert (code, answer["verdict"]) == (2, "not_checked")


def test_a_state_that_cannot_be_written_is_no_verdict(service, path):
    code, answer = verify(resume=path / "beside")
    assert (code, answer["verdict"]) == (2, "not_checked")
