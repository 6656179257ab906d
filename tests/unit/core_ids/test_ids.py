"""UUIDv7: version and variant, the instant they carry, and their order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditvault.core.ids import endless_uuid7s, id_text, instant_of, raw_uuid7s, uuid7, uuid7s

AT = datetime(2026, 11, 24, 10, 0, 0, 123_000, tzinfo=UTC)


def test_ids_are_of_version_7_and_of_the_variant_of_rfc_9562() -> None:
    made = list(uuid7s(AT, 500))
    assert {(item.version, item.variant) for item in made} == {(7, "specified in RFC 4122")}


@given(st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_an_id_carries_its_instant_to_the_millisecond(at: datetime) -> None:
    assert timedelta(0) <= at - instant_of(uuid7(at)) < timedelta(milliseconds=1)


def test_ids_made_together_ascend_and_never_repeat() -> None:
    made = list(islice(endless_uuid7s(AT), 5000))
    assert made == sorted(set(made))


def test_ids_made_together_are_no_neighbours() -> None:
    made = [int.from_bytes(raw) for raw in raw_uuid7s(AT, 1000)]
    assert len({later - earlier for earlier, later in pairwise(made)}) > 990


def test_two_calls_of_one_instant_begin_far_from_each_other() -> None:
    starts = [next(endless_uuid7s(AT))[6:] for _ in range(1000)]
    assert len({start[:4] for start in starts}) > 990


def test_as_many_ids_are_made_as_asked_for() -> None:
    assert [len(list(raw_uuid7s(AT, count))) for count in (0, 1, 64, 65)] == [0, 1, 64, 65]


def test_an_instant_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="zone"):
        uuid7(AT.replace(tzinfo=None))


@given(st.binary(min_size=16, max_size=16))
def test_the_text_of_an_id_is_the_customary_one(raw: bytes) -> None:
    assert id_text(raw) == str(UUID(bytes=raw))
