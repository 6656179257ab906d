from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditvault.core.tlog.bundle_history import (
    HistoryStep,
    KeyRecord,
    step_name,
    step_sizes,
)
from auditvault.core.tlog.bundle_manifest import BundleError

_HASHES = st.lists(st.binary(min_size=32, max_size=32), max_size=5).map(tuple)
_RECORDS = st.builds(
    KeyRecord,
    entry=st.binary(max_size=50),
    header=st.binary(max_size=50),
    opening=st.binary(min_size=32, max_size=32),
    inclusion=_HASHES,
)
_STEPS = st.builds(
    HistoryStep,
    checkpoint=st.text(max_size=50),
    consistency=_HASHES,
    records=st.lists(_RECORDS, max_size=3).map(tuple),
)


@given(_STEPS)
def test_a_step_is_read_as_it_was_written(step: HistoryStep) -> None:
    assert HistoryStep.from_bytes(step.to_bytes()) == step


@given(st.sets(st.integers(0, 2**53 - 1), max_size=10))
def test_steps_are_found_by_their_names(sizes: set[int]) -> None:
    names = [step_name(size) for size in sizes]

    assert step_sizes([*names, "bundle/checkpoint"]) == sorted(sizes)


def test_there_are_few_steps() -> None:
    names = [step_name(size) for size in range(1025)]

    assert len(step_sizes(names[:1024])) == 1024
    with pytest.raises(BundleError):
        step_sizes(names)
