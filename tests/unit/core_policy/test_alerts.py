"""How often it is tried to tell somebody."""

from __future__ import annotations

from datetime import timedelta

from auditvault.core.policy.alerts import MAX_ATTEMPTS, wait_after


def test_each_wait_is_three_times_as_long_up_to_two_hours_and_there_is_an_end():
    waits = [wait_after(attempts) for attempts in range(1, MAX_ATTEMPTS)]
    assert waits[:3] == [timedelta(seconds=10), timedelta(seconds=30), timedelta(seconds=90)]
    assert waits[-1] == timedelta(hours=2)
    assert timedelta(hours=10) < sum(waits, timedelta()) < timedelta(hours=12)
    assert wait_after(MAX_ATTEMPTS) is None
