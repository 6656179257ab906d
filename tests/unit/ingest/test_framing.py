"""Content negotiation and the bounded gunzip."""

from __future__ import annotations

import gzip
import tracemalloc
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditvault.ingest.otlp.framing import (
    BodyTooLargeError,
    UnsupportedEncodingError,
    negotiate,
    read_body,
)
from auditvault.ingest.otlp.reading import OtlpDecodeError


def chunked(data: bytes, size: int) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


@pytest.mark.parametrize(
    ("content_type", "encoding"),
    [
        ("application/x-protobuf", "protobuf"),
        ("application/json", "json"),
        ("application/json; charset=utf-8", "json"),
        ("Application/X-Protobuf ;x=y", "protobuf"),
    ],
)
def test_it_tells_the_encodings_apart_by_content_type(content_type: str, encoding: str) -> None:
    framing = negotiate(content_type, None)
    assert (framing.encoding, framing.gzipped) == (encoding, False)


def test_the_answers_content_type_mirrors_the_requests() -> None:
    assert negotiate("application/json; charset=utf-8", None).content_type == "application/json"
    assert negotiate("application/x-protobuf", None).content_type == "application/x-protobuf"


@pytest.mark.parametrize("content_type", [None, "", "text/plain", "application/protobuf", "json"])
def test_it_refuses_other_content_types(content_type: str | None) -> None:
    with pytest.raises(UnsupportedEncodingError):
        negotiate(content_type, None)


@pytest.mark.parametrize(
    ("coding", "gzipped"),
    [(None, False), ("", False), ("none", False), ("identity", False), ("GZIP", True)],
)
def test_it_takes_gzip_and_none(coding: str | None, *, gzipped: bool) -> None:
    assert negotiate("application/json", coding).gzipped is gzipped


@pytest.mark.parametrize("coding", ["br", "deflate", "gzip, gzip", "zstd"])
def test_it_refuses_other_content_encodings(coding: str) -> None:
    with pytest.raises(UnsupportedEncodingError):
        negotiate("application/json", coding)


@given(data=st.binary(max_size=5000), size=st.integers(1, 700), gzipped=st.booleans())
def test_a_body_comes_out_as_it_went_in(data: bytes, size: int, *, gzipped: bool) -> None:
    sent = gzip.compress(data) if gzipped else data
    assert read_body(chunked(sent, size), gzipped=gzipped) == data


def test_it_reads_gzip_of_several_members() -> None:
    sent = gzip.compress(b"one", mtime=0) + gzip.compress(b"two", mtime=0)
    assert read_body([sent], gzipped=True) == b"onetwo"


def test_it_reads_what_a_real_exporter_compressed(capture: Callable[[str], bytes]) -> None:
    sent = capture("openinference-openai/plain__gzip.raw.pb.gz")
    expected = capture("openinference-openai/plain__gzip.pb")
    assert read_body(chunked(sent, 100), gzipped=True) == expected


def test_an_empty_body_is_an_empty_request() -> None:
    assert read_body([], gzipped=True) == b""


@pytest.mark.parametrize("cut", [1, 9, -1])
def test_it_refuses_gzip_that_is_cut_off(cut: int) -> None:
    with pytest.raises(OtlpDecodeError):
        read_body([gzip.compress(b"x" * 1000)[:cut]], gzipped=True)


@pytest.mark.parametrize(
    "sent", [b"not gzip at all", gzip.compress(b"x", mtime=0) + b"trailing rubbish"]
)
def test_it_refuses_what_is_not_gzip(sent: bytes) -> None:
    with pytest.raises(OtlpDecodeError):
        read_body([sent], gzipped=True)


@pytest.mark.parametrize("gzipped", [False, True])
def test_the_limit_itself_is_accepted_and_one_more_byte_is_not(*, gzipped: bool) -> None:
    pack = gzip.compress if gzipped else bytes
    assert len(read_body([pack(b"x" * 1000)], gzipped=gzipped, limit_bytes=1000)) == 1000
    with pytest.raises(BodyTooLargeError):
        read_body([pack(b"x" * 1001)], gzipped=gzipped, limit_bytes=1000)


def test_a_gzip_bomb_costs_its_limit_and_no_more() -> None:
    bomb = gzip.compress(bytes(300_000_000), compresslevel=1)
    tracemalloc.start()
    try:
        with pytest.raises(BodyTooLargeError):
            read_body(chunked(bomb, 65_536), gzipped=True, limit_bytes=2_000_000)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


def test_it_stops_reading_when_the_limit_is_passed() -> None:
    read: list[int] = []

    def endless() -> Iterator[bytes]:
        while True:
            read.append(1)
            yield b"x" * 1000

    with pytest.raises(BodyTooLargeError):
        read_body(endless(), gzipped=False, limit_bytes=10_000)
    assert len(read) == 11
