from __future__ import annotations

from datetime import UTC, datetime

import pytest
from cryptography.hazmat import asn1
from cryptography.x509 import ObjectIdentifier
from hypothesis import given
from hypothesis import strategies as st

from auditvault.core.tlog import der
from auditvault.core.tlog.der import DerError, Reader


@given(st.integers(-(2**200), 2**200))
def test_an_integer_is_read_as_another_library_wrote_it(number: int) -> None:
    assert der.only(asn1.encode_der(number), der.INTEGER).integer() == number


@given(
    st.tuples(st.integers(0, 2), st.integers(0, 39)),
    st.lists(st.integers(0, 2**64), min_size=1, max_size=10),
)
def test_an_object_identifier_is_read_as_another_library_wrote_it(
    first: tuple[int, int], rest: list[int]
) -> None:
    dotted = ".".join(map(str, [*first, *rest]))
    data = asn1.encode_der(ObjectIdentifier(dotted))
    assert der.only(data, der.OBJECT_ID).object_id() == dotted


@given(st.binary(max_size=70_000))
def test_bytes_of_any_length_are_read(content: bytes) -> None:
    element = der.only(asn1.encode_der(content), der.OCTET_STRING)
    assert element.content == content


@given(st.binary(max_size=40))
def test_any_bytes_are_read_or_refused_and_what_is_read_is_all_there_is(data: bytes) -> None:
    reader, found = Reader(data), []
    try:
        while not reader.is_at_end:
            found.append(reader.take_any().raw)
    except DerError:
        return
    assert b"".join(found) == data


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x02",
        b"\x02\x01",
        b"\x02\x01\x00\x00",  # more behind it
        b"\x30\x80\x00\x00",  # indefinite
        b"\x02\x81\x01\x00",  # a short length in the long form
        b"\x04\x82\x00\x80" + bytes(128),  # a length with a zero before it
        b"\x04\x85\x00\x00\x00\x00\x01\x00",  # a length of five bytes
        b"\x04\x84\xff\xff\xff\xff",  # longer than there is
        b"\x1f\x81\x01\x00",  # a tag of more than a byte
    ],
)
def test_what_is_not_one_element_in_its_one_form_is_refused(data: bytes) -> None:
    with pytest.raises(DerError):
        der.only(data, der.INTEGER)


@pytest.mark.parametrize("content", [b"", b"\x00\x01", b"\xff\x80"])
def test_an_integer_that_is_padded_or_empty_is_refused(content: bytes) -> None:
    with pytest.raises(DerError):
        der.Element(der.INTEGER, b"", content).integer()


@pytest.mark.parametrize("content", [b"", b"\x2a\x86", b"\x2a\x80\x01"])
def test_an_object_identifier_that_is_padded_or_cut_is_refused(content: bytes) -> None:
    with pytest.raises(DerError):
        der.Element(der.OBJECT_ID, b"", content).object_id()


def test_a_time_keeps_its_fraction_cut_to_microseconds() -> None:
    element = der.Element(der.GENERALIZED_TIME, b"", b"20261124183354.1234567Z")
    assert element.time() == datetime(2026, 11, 24, 18, 33, 54, 123456, tzinfo=UTC)


@pytest.mark.parametrize(
    "content",
    [
        b"20261124183354",
        b"20261124183354.50Z",
        b"20261124183354+0100",
        b"2611241833Z",
        b"20261324183354Z",
        b"20261124183360Z",
        "２０２６1124183354Z".encode(),  # noqa: RUF001  # digits of another alphabet
    ],
)
def test_a_time_in_another_form_is_refused(content: bytes) -> None:
    with pytest.raises(DerError):
        der.Element(der.GENERALIZED_TIME, b"", content).time()
