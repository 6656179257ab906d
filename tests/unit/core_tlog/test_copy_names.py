from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditvault.core.tlog.copy_names import CopiedName, CopyNameError

sizes = st.integers(1, 2**63 - 1)


def test_a_name_is_the_size_in_19_digits_and_the_notes_hash() -> None:
    digest = sha256(b"note\n").hexdigest()
    assert str(CopiedName.of(257, b"note\n")) == f"0000000000000000257-{digest}"


@given(sizes, st.binary())
def test_a_name_is_read_as_it_was_written(size: int, note: bytes) -> None:
    name = CopiedName.of(size, note)
    assert CopiedName.parse(str(name)) == name


@given(sizes, sizes)
def test_names_sort_as_sizes_do(one: int, other: int) -> None:
    names = [str(CopiedName.of(size, b"")) for size in (one, other)]
    assert sorted(names) == [str(CopiedName.of(size, b"")) for size in sorted((one, other))]


@pytest.mark.parametrize(
    "name",
    [
        "",
        "257-" + "a" * 64,
        "0000000000000000000-" + "a" * 64,
        "9999999999999999999-" + "a" * 64,
        "0000000000000000257-" + "A" * 64,
        "0000000000000000257-" + "a" * 63,
        "0000000000000000257-" + "a" * 64 + "\n",
        "../0000000000000000257-" + "a" * 64,
        "\u0660" * 19 + "-" + "a" * 64,
    ],
)
def test_another_name_is_none(name: str) -> None:
    with pytest.raises(CopyNameError):
        CopiedName.parse(name)


def test_content_that_is_not_that_of_the_name_is_damaged() -> None:
    with pytest.raises(CopyNameError) as found:
        CopiedName.of(1, b"one").check(b"two")
    assert found.value.code == "copy_damaged"
