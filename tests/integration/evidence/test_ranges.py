"""Every attack once more, on logs that are cut into ranges of 256 entries for two processes: the findings are the same.

The tests are those of `test_attacks` and `test_verification`, which verify a log in one range and one process.
"""

from __future__ import annotations

import dataclasses
from contextlib import contextmanager

import pytest

from auditvault.core.tlog.entry import Entry, leaf_hash
from tests.integration.evidence import verdict
from tests.integration.evidence.rewriting import drop_checkpoints, mend, rewrite
from tests.integration.evidence.test_attacks import *  # noqa: F403
from tests.integration.evidence.test_verification import *  # noqa: F403


@pytest.fixture(scope="module")
def two_processes():
    """Made once for all tests here: a process needs a second to start."""
    from auditvault.evidence.verification_pool import workers

    with workers(2, lambda _origin, _entries: None) as crew:
        yield crew


@pytest.fixture(autouse=True)
def in_ranges(service, two_processes, monkeypatch):
    from auditvault.evidence import verification

    @contextmanager
    def the_two(_jobs, _tell):
        yield two_processes

    monkeypatch.setattr(verification, "workers", the_two)
    monkeypatch.setitem(verdict.HOW, "range_levels", 1)


def test_the_log_has_more_ranges_than_one(recorded, log):
    from auditvault.evidence.verification_plan import _starts
    from auditvault.ledger.scope import region_alias, tenant_scope

    with tenant_scope(region_alias("us"), log.tenant_id) as connection:
        assert list(_starts(connection, log, 256)) == [0, 256]


def test_two_leaf_hashes_at_the_seam_of_ranges_that_changed_places_are_named(recorded, log, forger):
    forger.execute(
        "UPDATE ledger_entry AS a SET leaf_hash = b.leaf_hash FROM ledger_entry AS b"
        " WHERE a.log_id = %s AND b.log_id = a.log_id AND (a.idx, b.idx) IN ((255, 256), (256, 255))",
        (log.log_id,),
    )
    assert verdict.findings(recorded) == {"interactions": {"leaf_hash": 255}}


@pytest.mark.parametrize("n", [0, 255])
def test_an_edited_tile_is_named_by_the_first_entry_under_it(recorded, log, forger, n):
    forger.execute(
        "UPDATE ledger_tile SET hashes = set_byte(hashes, %s, get_byte(hashes, %s) # 1)"
        " WHERE log_id = %s AND level = 0 AND n = 0",
        (32 * n, 32 * n, log.log_id),
    )
    assert verdict.findings(recorded) == {"interactions": {"tile": 0}}


def test_entries_missing_on_both_sides_of_a_seam_are_named_by_the_first(recorded, log, forger):
    forger.execute(
        "DELETE FROM ledger_entry WHERE log_id = %s AND idx BETWEEN 250 AND 260", (log.log_id,)
    )
    assert verdict.findings(recorded, with_payloads=True) == {
        "interactions": {"entry_missing": 250}
    }


def test_a_chain_that_does_not_join_at_a_seam_is_named_where_all_else_was_mended(
    recorded, log, forger
):
    """Entry 256 names another leaf than that of 255; leaf hashes, later entries, tiles and head fit it."""
    rows = forger.execute(
        "SELECT idx, entry FROM ledger_entry WHERE log_id = %s ORDER BY idx", (log.log_id,)
    ).fetchall()
    leaves = []
    for index, data in rows:
        entry = Entry.from_bytes(bytes(data))
        if index >= 256:
            prev = bytes([1]) * 32 if index == 256 else leaves[-1]
            entry = dataclasses.replace(entry, prev=prev)
        leaves.append(leaf_hash(entry.to_bytes()))
        forger.execute(
            "UPDATE ledger_entry SET entry = %s, leaf_hash = %s WHERE log_id = %s AND idx = %s",
            (entry.to_bytes(), leaves[-1], log.log_id, index),
        )
    mend(forger, log, leaves)
    drop_checkpoints(forger, log, 0)
    assert verdict.findings(recorded, with_memory=False) == {"interactions": {"chain": 256}}


def test_a_time_that_goes_back_at_a_seam_is_named_where_all_else_was_mended(recorded, log, forger):
    def change(entry):
        is_first = entry.index == 256
        return (
            dataclasses.replace(entry, recorded_at="2020" + entry.recorded_at[4:])
            if is_first
            else entry
        )

    rewrite(forger, log, change)
    drop_checkpoints(forger, log, 0)
    assert verdict.findings(recorded, with_memory=False) == {"interactions": {"time": 256}}
