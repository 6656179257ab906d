"""When a dead child is started again, and when it is given up."""

from __future__ import annotations

import signal

from hypothesis import given
from hypothesis import strategies as st

from auditvault.cli.up.policy import (
    FULL_BYTES,
    QUICK_DEATHS_ALLOWED,
    QUICK_SECONDS,
    ROOM_BYTES,
    Death,
    is_disk_full,
    judge,
)

SEGMENT_BYTES = 16 * 2**20


def death(**changes):
    facts = {"code": 1, "lived_seconds": 0.1, "need_failed": False, "disk_full": False}
    return Death(**facts | changes)


def lives(*deaths):
    """The verdicts on one child's deaths in a row."""
    quick, verdicts = 0, []
    for each in deaths:
        verdict = judge(each, quick)
        quick = verdict.quick_deaths
        verdicts.append(verdict)
    return verdicts


def test_the_fifth_quick_death_is_the_last():
    verdicts = lives(*[death()] * 5)

    assert [verdict.give_up for verdict in verdicts] == [False, False, False, False, True]


def test_the_wait_grows_from_death_to_death():
    delays = [verdict.delay_seconds for verdict in lives(*[death()] * 4)]

    assert delays == sorted(delays)
    assert len(set(delays)) == 4


def test_a_long_life_wipes_the_slate():
    verdict = judge(death(lived_seconds=QUICK_SECONDS), QUICK_DEATHS_ALLOWED)

    assert not verdict.give_up
    assert verdict.quick_deaths == 0


def test_being_killed_a_hundred_times_is_no_reason_to_give_up():
    killed = death(code=-signal.SIGKILL)

    assert not any(verdict.give_up for verdict in lives(*[killed] * 100))


def test_a_child_that_was_let_down_by_its_database_is_not_blamed():
    assert not any(verdict.give_up for verdict in lives(*[death(need_failed=True)] * 100))


def test_a_full_disk_is_no_reason_to_give_up_however_long_it_lasts():
    verdicts = lives(*[death(disk_full=True)] * 100)

    assert not any(verdict.give_up for verdict in verdicts)
    assert {verdict.quick_deaths for verdict in verdicts} == {0}


def test_a_try_on_a_full_disk_is_seconds_from_the_next():
    assert 2 <= judge(death(disk_full=True), 0).delay_seconds < QUICK_SECONDS


def test_a_full_disk_neither_adds_to_nor_wipes_what_was_counted_before_it():
    verdicts = lives(*[death()] * 4, *[death(disk_full=True)] * 10, death())

    assert [verdict.give_up for verdict in verdicts] == [False] * 14 + [True]


def test_a_long_life_that_ends_on_a_full_disk_wipes_the_slate():
    ended = death(disk_full=True, lived_seconds=QUICK_SECONDS)

    assert judge(ended, QUICK_DEATHS_ALLOWED).quick_deaths == 0


def test_a_disk_is_full_while_what_postgresql_gives_back_by_dying_is_all_there_is():
    assert is_disk_full(2 * SEGMENT_BYTES, was_full=False)


@given(free=st.integers(0, 2 * ROOM_BYTES))
def test_a_disk_does_not_fill_and_clear_within_one_servers_coming_and_going(free):
    fills = is_disk_full(free, was_full=False)

    assert fills == (free < FULL_BYTES)
    assert not fills or is_disk_full(free + 2 * SEGMENT_BYTES - 1, was_full=True)
    assert not is_disk_full(ROOM_BYTES, was_full=True)


@given(
    code=st.integers(-31, 255),
    lived=st.floats(0, 1e6),
    need=st.booleans(),
    full=st.booleans(),
    before=st.integers(0, QUICK_DEATHS_ALLOWED),
)
def test_a_child_always_waits_a_little_and_never_long(code, lived, need, full, before):
    ended = Death(code=code, lived_seconds=lived, need_failed=need, disk_full=full)

    verdict = judge(ended, before)

    assert 0 < verdict.delay_seconds < QUICK_SECONDS
    assert 0 <= verdict.quick_deaths <= before + 1
