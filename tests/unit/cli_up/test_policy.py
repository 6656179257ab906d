"""When a dead child is started again, and when it is given up."""

from __future__ import annotations

import signal

from hypothesis import given
from hypothesis import strategies as st

from auditvault.cli.up.policy import QUICK_DEATHS_ALLOWED, QUICK_SECONDS, Death, judge


def death(**changes):
    facts = {"code": 1, "lived_seconds": 0.1, "need_failed": False}
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


@given(
    code=st.integers(-31, 255),
    lived=st.floats(0, 1e6),
    need=st.booleans(),
    before=st.integers(0, QUICK_DEATHS_ALLOWED),
)
def test_a_child_always_waits_a_little_and_never_long(code, lived, need, before):
    verdict = judge(Death(code=code, lived_seconds=lived, need_failed=need), before)

    assert 0 < verdict.delay_seconds < QUICK_SECONDS
    assert 0 <= verdict.quick_deaths <= before + 1
