"""What readings of three clocks show, and what a slow reading could explain."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditvault.core.clock import ClockReading, ClockState, compare

AT = datetime(2026, 11, 24, 10, tzinfo=UTC)
BOUND = timedelta(seconds=2)
small = st.timedeltas(timedelta(0), timedelta(minutes=10))
shifts = st.timedeltas(timedelta(days=-400), timedelta(days=400))


def reading(
    *, ahead: float = 0, gone: float = 0, stepped: float = 0, taking: float = 0
) -> ClockReading:
    """`gone` seconds after the start; host `ahead` of the database, both `stepped` further than the time that went."""
    database_at = AT + timedelta(seconds=gone + stepped)
    return ClockReading(
        host_at=database_at + timedelta(seconds=ahead),
        database_at=database_at,
        monotonic=timedelta(seconds=1000 + gone),
        taking=timedelta(seconds=taking),
    )


def shown(now: ClockReading, before: ClockReading | None = None) -> tuple[bool, bool]:
    state = compare(now, before, bound=BOUND)
    return state.disagrees, state.jumped


@pytest.mark.parametrize(
    ("ahead", "disagrees"), [(0, False), (2, False), (-2, False), (2.001, True), (-2.001, True)]
)
def test_a_clock_disagrees_beyond_the_bound_and_not_at_it(ahead: float, disagrees: bool) -> None:
    assert shown(reading(ahead=ahead)) == (disagrees, False)


@pytest.mark.parametrize("ahead", [5, -5])
def test_what_a_slow_reading_explains_is_no_disagreement(ahead: float) -> None:
    assert shown(reading(ahead=ahead, taking=3)) == (False, False)


def test_the_first_reading_shows_no_jump() -> None:
    assert compare(reading(), None, bound=BOUND).jump == timedelta(0)


@pytest.mark.parametrize("stepped", [2.001, -2.001, 3600, -3600])
def test_a_jump_shows_where_host_and_database_jump_together(stepped: float) -> None:
    assert shown(reading(gone=10, stepped=stepped), reading()) == (False, True)


@pytest.mark.parametrize("stepped", [0, 2, -2])
def test_a_small_step_is_no_jump(stepped: float) -> None:
    assert shown(reading(gone=10, stepped=stepped), reading()) == (False, False)


@pytest.mark.parametrize(("before", "now"), [(3, 0), (0, 3), (1.5, 1.5)])
def test_what_two_slow_readings_explain_is_no_jump(before: float, now: float) -> None:
    found = shown(reading(gone=10, stepped=5, taking=now), reading(taking=before))
    assert found == (False, False)


def test_a_clock_that_is_steadily_off_does_not_jump() -> None:
    assert shown(reading(ahead=100, gone=10), reading(ahead=100)) == (True, False)


@given(shifts, small, small, small)
def test_clocks_that_run_alike_show_nothing(
    start: timedelta, gone: timedelta, first: timedelta, second: timedelta
) -> None:
    """Wherever inside each reading the clocks were read."""
    before = ClockReading(
        host_at=AT + start, database_at=AT + start + first, monotonic=timedelta(0), taking=first
    )
    later = AT + start + gone
    now = ClockReading(host_at=later + second, database_at=later, monotonic=gone, taking=second)
    assert not compare(now, before, bound=timedelta(0)).is_skewed


@given(shifts)
def test_the_offset_is_host_less_database(shift: timedelta) -> None:
    state: ClockState = compare(
        ClockReading(
            host_at=AT + shift, database_at=AT, monotonic=timedelta(0), taking=timedelta(0)
        ),
        None,
        bound=BOUND,
    )
    assert state.offset == shift
    assert state.is_skewed == (abs(shift) > BOUND)
