"""A plan's digest tells every drift, and no run goes on a clock that something contradicts."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest

from auditvault.core.policy.retention_policy import RecordClass
from auditvault.core.policy.retention_run import (
    MOST_APART,
    MOST_SILENT,
    ClassCounts,
    Clocks,
    RunPlan,
    candidates_root,
    distrust,
)

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
PAYLOAD, HEADER = RecordClass.PAYLOAD, RecordClass.HEADER
PLAN = RunPlan(
    tenant_id=UUID(int=1),
    region="eu",
    policy="ab" * 32,
    as_of=date(2026, 11, 25),
    candidates=candidates_root([(UUID(int=7), PAYLOAD)]),
    counts={PAYLOAD: ClassCounts(due=1)},
)


def clocks(host=NOW, database=NOW, *, entry=NOW - timedelta(hours=1), **witnessed):
    return Clocks(
        host_at=host,
        database_at=database,
        recorded={"entry": entry},
        witnessed=witnessed or {"time_stamp": NOW - timedelta(days=1)},
    )


def test_a_clock_that_all_agree_on_is_trusted():
    assert distrust(clocks(entry=NOW, witness=NOW - timedelta(hours=1))) is None


@pytest.mark.parametrize("shift", [timedelta(hours=-48), timedelta(days=8 * 365)])
def test_a_host_whose_clock_was_set_alone_is_told_from_its_database(shift):
    assert distrust(clocks(host=NOW + shift)) == "database"


@pytest.mark.parametrize("name", ["entry", "time_stamp", "witness"])
def test_a_machine_set_back_48_hours_is_behind_whoever_saw_the_time(name):
    back = NOW - timedelta(hours=48)
    assert distrust(clocks(back, back, **{"entry": back, name: NOW})) == name


def test_a_machine_set_forward_8_years_is_confirmed_by_nobody():
    forward = NOW + timedelta(days=8 * 365)
    assert distrust(clocks(forward, forward, entry=NOW, witness=NOW)) == "silence"


def test_an_entry_that_was_appended_after_the_jump_confirms_nothing():
    forward = NOW + timedelta(days=8 * 365)
    assert distrust(clocks(forward, forward, entry=forward, witness=NOW)) == "silence"


def test_a_clock_that_nobody_witnessed_is_not_trusted():
    alone = Clocks(host_at=NOW, database_at=NOW, recorded={"entry": NOW}, witnessed={})
    assert distrust(alone) == "silence"


def test_the_allowances_are_inclusive():
    assert distrust(clocks(host=NOW + MOST_APART, entry=NOW + MOST_APART)) is None
    assert distrust(clocks(witness=NOW - MOST_SILENT)) is None


@pytest.mark.parametrize(
    "drift",
    [
        {"tenant_id": UUID(int=2)},
        {"region": "us"},
        {"policy": "cd" * 32},
        {"as_of": date(2026, 11, 26)},
        {"candidates": candidates_root([(UUID(int=8), PAYLOAD)])},
        {"counts": {PAYLOAD: ClassCounts(due=1, held=1)}},
    ],
)
def test_whatever_differs_shows_in_the_digest(drift):
    assert replace(PLAN, **drift).digest() != PLAN.digest()


def test_the_root_is_that_of_the_specification():
    data = hashlib.sha256(UUID(int=7).bytes + b"payload").digest()
    assert PLAN.candidates == hashlib.sha256(b"\x00" + data).digest()
    assert candidates_root([]) == hashlib.sha256(b"").digest()


def test_a_record_may_be_due_in_two_classes_and_each_once():
    both = candidates_root([(UUID(int=7), HEADER), (UUID(int=7), PAYLOAD)])
    assert both != PLAN.candidates
    with pytest.raises(ValueError, match="ascending"):
        candidates_root([(UUID(int=7), PAYLOAD), (UUID(int=7), PAYLOAD)])


def test_candidates_out_of_order_are_refused():
    with pytest.raises(ValueError, match="ascending"):
        candidates_root([(UUID(int=8), PAYLOAD), (UUID(int=7), PAYLOAD)])
