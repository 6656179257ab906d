"""What a written policy allows to be pruned, and what stands in the way."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditvault.core.clock import ClockState
from auditvault.core.policy.pruning import (
    HoldFindings,
    LogState,
    PruneClockError,
    PruneContentRemainsError,
    PruneHeldError,
    PrunePolicy,
    PrunePolicyError,
    check_clocks,
    check_release,
    new_minimum,
)

NOW = datetime(2026, 11, 24, tzinfo=UTC)
POLICY = {
    "v": "auditvault/prune-policy/1",
    "id": "retention-2026",
    "text": "Interactions are kept for a year.",
    "min_age_days": {"interactions": 365},
}
NONE_HELD = HoldFindings(sources=(), blocking=0)


def parse(**changes):
    return PrunePolicy.parse(json.dumps(POLICY | changes).encode())


def test_a_policy_says_up_to_when_entries_may_go():
    policy = parse()
    assert policy.cutoff("interactions", NOW) == NOW - timedelta(days=365)
    assert policy.policy_id == "retention-2026"


def test_a_kind_that_is_not_named_is_not_pruned():
    with pytest.raises(PrunePolicyError):
        parse().cutoff("access", NOW)


def test_a_policys_hash_is_of_the_files_own_bytes():
    data = json.dumps(POLICY, indent=1).encode()
    from hashlib import sha256

    assert PrunePolicy.parse(data).sha256 == sha256(data).hexdigest()


@pytest.mark.parametrize(
    "change",
    [
        {"v": "auditvault/prune-policy/2"},
        {"id": ""},
        {"id": "a b"},
        {"id": 1},
        {"text": "because"},
        {"text": " " * 40},
        {"text": None},
        {"min_age_days": {}},
        {"min_age_days": 365},
        {"min_age_days": {"interactions": 0}},
        {"min_age_days": {"interactions": -1}},
        {"min_age_days": {"interactions": True}},
        {"min_age_days": {"interactions": "365"}},
        {"min_age_days": {"interactions": 36_501}},
        {"min_age_days": {"everything": 365}},
        {"more": 1},
    ],
    ids=str,
)
def test_what_is_no_policy_is_refused(change):
    with pytest.raises(PrunePolicyError):
        parse(**change)


@pytest.mark.parametrize(
    "data", [b"", b"[]", b'{"v":1,"v":1}', b"\xff", b"{" * 70_000, b'{"v": 1.5}']
)
def test_what_is_no_json_object_is_no_policy(data):
    with pytest.raises(PrunePolicyError):
        PrunePolicy.parse(data)


def clocks(*, disagrees=False):
    zero = timedelta(0)
    return ClockState(offset=zero, jump=zero, disagrees=disagrees, jumped=False)


def test_clocks_that_agree_stop_nothing():
    check_clocks(clocks(), now=NOW, last_at=NOW)
    check_clocks(clocks(), now=NOW, last_at=None)


def test_a_host_that_disagrees_with_the_database_stops_it():
    with pytest.raises(PruneClockError):
        check_clocks(clocks(disagrees=True), now=NOW, last_at=None)


def test_a_log_that_is_ahead_of_the_database_stops_it():
    with pytest.raises(PruneClockError):
        check_clocks(clocks(), now=NOW, last_at=NOW + timedelta(seconds=1))


def day(index):
    """The time of entry `index` of a log that gets one a day."""
    return NOW + timedelta(days=index)


def minimum(*, signed=10, per=2, at=0, cutoff):
    state = LogState(minimum=at, signed_size=signed, partition_entries=per)
    return new_minimum(state, cutoff=cutoff, time_of=day)


@pytest.mark.parametrize(
    ("cutoff", "expected"),
    [(day(-1), 0), (day(0), 0), (day(1), 2), (day(2), 2), (day(3), 4), (day(99), 10)],
)
def test_whole_partitions_go_that_have_nothing_younger_than_the_cutoff(cutoff, expected):
    assert minimum(cutoff=cutoff) == expected


def test_nothing_goes_that_is_not_signed():
    assert minimum(cutoff=day(99), signed=7) == 6


def test_a_minimum_never_goes_back():
    assert minimum(cutoff=day(-1), at=4) == 4


@given(st.integers(0, 40), st.integers(1, 7), st.integers(0, 3), st.integers(-2, 45))
def test_the_minimum_is_the_one_that_looking_at_every_border_finds(signed, per, at, days):
    start = min(at * per, signed // per * per)
    borders = [
        border
        for border in range(start, signed + 1, per)
        if border == start or day(border - 1) <= day(days)
    ]
    assert minimum(cutoff=day(days), signed=signed, per=per, at=start) == max(borders)


def test_nothing_in_the_way_is_released():
    check_release(contents=0, holds=NONE_HELD)


def test_content_that_remains_is_in_the_way():
    with pytest.raises(PruneContentRemainsError):
        check_release(contents=1, holds=NONE_HELD)


def test_a_hold_is_in_the_way_before_anything_else():
    with pytest.raises(PruneHeldError):
        check_release(contents=1, holds=HoldFindings(sources=("holds",), blocking=1))
