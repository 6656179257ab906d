"""However a telephone number is written, it is one text; what is none stays a text of its own."""

from __future__ import annotations

from unicodedata import normalize

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from auditvault.core.identifiers import without_invisible
from auditvault.vault.phones import REGIONS, phone

regions = st.sampled_from([None, "DE", "US", "IT", "GB", "JP", "AR"])
numbers = st.one_of(
    st.from_regex(r"\+[1-9][0-9]{6,13}", fullmatch=True),
    st.from_regex(r"0[1-9][0-9]{5,10}(;ext=[0-9]{1,4})?", fullmatch=True),
    st.text("0123456789+*#-/() .x;ext=abc\u202a\uff11\uff12", min_size=1, max_size=24),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
)


@example("+4300000000", None)
@example("0)1", "DE")
@given(numbers, regions)
def test_what_was_normalised_stays_as_it_is(value: str, region: str | None) -> None:
    once = phone(value, region)
    assert once
    assert phone(once, region) == once


@given(numbers, regions)
def test_white_space_and_what_nobody_sees_around_it_do_not_count(
    value: str, region: str | None
) -> None:
    # A text of nothing that anybody sees is kept as it is.
    # (`without_invisible` keeps such a text too; with a letter behind it, it is taken away.)
    if normalize("NFKC", without_invisible(f"{value}x"))[:-1].strip():
        assert phone(f" \u202a{value}\u202c\t", region) == phone(value, region)


@pytest.mark.parametrize(
    "written",
    [
        "+49 30 901820",
        "+49 (0)30 901820",
        "0049 30 901820",
        "030/901820",
        "030 - 90 18 20",
        "tel:+49-30-901820",
        "\u202a+49 30 901820\u202c",
        "\uff0b\uff14\uff19 \uff13\uff10 \uff19\uff10\uff11\uff18\uff12\uff10",
        "٠٣٠٩٠١٨٢٠",
    ],
)
def test_every_way_to_write_a_german_number_is_one(written: str) -> None:
    assert phone(written, "DE") == "+4930901820"


def test_an_international_number_needs_no_country() -> None:
    assert phone("+39 06 698 1234", None) == phone("06 698 1234", "IT") == "+39066981234"


def test_the_same_national_number_is_another_in_another_country() -> None:
    assert phone("030 901820", "DE") != phone("030 901820", "AT")


def test_two_extensions_of_one_switchboard_are_two() -> None:
    assert phone("+49 30 901820 ext. 12", None) == "+4930901820;ext=12"
    assert phone("+49 30 901820 ext. 13", None) != phone("+49 30 901820", None)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("030 901-820", "030901820"),
        ("110", "110"),
        ("Anna's phone", "Anna's phone"),
        (" withheld ", "withheld"),
        ("\t", "\t"),
        ("+999 123", "+999123"),
        ("*21#", "*21#"),
        ("9" * 400, "9" * 400),
    ],
)
def test_what_is_no_number_without_a_country_stays(value: str, expected: str) -> None:
    assert phone(value, None) == expected


def test_there_are_countries() -> None:
    assert {"DE", "US"} <= REGIONS
