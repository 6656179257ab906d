"""Rows of COPY's binary format, whichever way they are put together."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from auditvault.ledger.copying import (
    encode_row,
    framed,
    framed_texts,
    read_timestamptz,
    row_start,
    text,
    timestamptz,
)

fields = st.lists(st.none() | st.binary(max_size=300), max_size=8)


def test_a_row_is_the_number_of_fields_and_each_field_after_its_length() -> None:
    assert encode_row(b"ab", None, b"") == (
        b"\0\3" + b"\0\0\0\2ab" + b"\xff\xff\xff\xff" + b"\0\0\0\0"
    )


@given(fields, fields)
def test_a_row_made_from_its_start_is_the_whole_row(
    first: list[bytes | None], rest: list[bytes | None]
) -> None:
    columns = ", ".join(f"c{number}" for number in range(max(1, len(first) + len(rest))))
    fields = [*first, *rest] or [None]
    assert row_start(columns, *fields[: len(first)]) + framed(*fields[len(first) :]) == encode_row(
        *fields
    )


@given(st.lists(st.none() | st.text(), max_size=5))
def test_remembered_texts_are_framed_as_others(values: list[str | None]) -> None:
    assert framed_texts(*values) == framed(*map(text, values))


@given(st.datetimes(datetime(1900, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_an_instant_comes_back_to_the_microsecond(at: datetime) -> None:
    assert read_timestamptz(timestamptz(at)) == at
