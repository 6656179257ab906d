"""A plan's digest tells every drift, and no run goes on a clock that something contradicts."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditvault.core.policy.calendar import Period, Unit
from auditvault.core.policy.retention import Outcome, PolicyLapsedError, dispose
from auditvault.core.policy.retention_policy import (
    Facts,
    RecordClass,
    RetentionPolicy,
    Rule,
    Scope,
)
from auditvault.core.policy.retention_presets import build
from auditvault.core.policy.retention_run import (
    MOST_APART,
    MOST_SILENT,
    ClassCounts,
    Clocks,
    RunPlan,
    candidates_root,
    distrust,
    due_before,
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
        {"counts": {PAYLOAD: ClassCounts(due=1, shared=1)}},
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


PERIODS = st.one_of(
    st.builds(Period, st.integers(1, 800), st.just(Unit.DAYS)),
    st.builds(Period, st.integers(1, 40), st.just(Unit.MONTHS)),
    st.builds(Period, st.integers(1, 8), st.just(Unit.YEARS)),
)
FACTS = Facts(record_class=PAYLOAD, tenant_id=UUID(int=1), region="eu")


@given(PERIODS, st.dates(date(2000, 1, 1), date(2100, 1, 1)), st.integers(-40, 40))
def test_what_was_recorded_before_that_day_is_due_and_nothing_else(keep, today, offset):
    rules = tuple(
        Rule(scope=Scope(record_class=each), keep=keep, ceiling=Period(100, Unit.YEARS))
        for each in RecordClass
    )
    policy = RetentionPolicy(text="Decided by the board this year.", rules=rules)
    first_kept = due_before(policy, FACTS, today=today)
    day = first_kept + timedelta(days=offset)
    disposal = dispose(policy, FACTS, recorded_on=day, today=today, is_held=False)
    assert (disposal.outcome is Outcome.DESTROY) == (day < first_kept)


def test_under_a_policy_that_has_lapsed_no_day_is_named():
    policy = replace(build([], text="Decided by the board this year."), lapses_on=date(2026, 1, 1))
    with pytest.raises(PolicyLapsedError):
        due_before(policy, FACTS, today=date(2026, 1, 1))
