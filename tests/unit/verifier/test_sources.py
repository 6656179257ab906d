"""What a log's server may do to a verifier: nothing but be believed or not."""

from __future__ import annotations

import gzip
import threading
import tracemalloc
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from auditvault.verifier.sources import (
    HttpSource,
    SourceContentError,
    SourceError,
    SourceMissingError,
)

ANSWERS: dict[str, tuple[int, dict[str, str], bytes]] = {
    "/log/plain": (200, {}, b"x" * 100),
    "/log/zipped": (200, {"Content-Encoding": "gzip"}, gzip.compress(b"x" * 100)),
    "/log/bomb": (200, {"Content-Encoding": "gzip"}, gzip.compress(bytes(50_000_000))),
    "/log/cut": (200, {"Content-Encoding": "gzip"}, gzip.compress(b"x" * 100)[:-9]),
    "/log/wrong": (200, {"Content-Encoding": "gzip"}, b"not gzip"),
    "/log/moved": (302, {"Location": "/log/plain"}, b""),
    "/log/refused": (401, {}, b"\x1b[31mcanary"),
    "/log/gone": (404, {}, b""),
    "/log/broken": (503, {}, b""),
    "/log/short": (200, {"Content-Length": "1000"}, b"x"),
}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        seen.append((self.path, self.headers.get("Authorization")))
        status, headers, body = ANSWERS[self.path]
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = "Content-Length" in headers

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class's name
        """Say nothing."""


seen: list[tuple[str, str | None]] = []


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/log/"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def source(url: str) -> Iterator[HttpSource]:
    seen.clear()
    made = HttpSource(url, "token")
    yield made
    made.close()


@pytest.mark.parametrize("path", ["plain", "zipped"])
def test_a_body_is_read_packed_or_not(source: HttpSource, path: str) -> None:
    assert source.read(path, 100) == b"x" * 100
    assert seen == [(f"/log/{path}", "Bearer token")]


@pytest.mark.parametrize("path", ["plain", "zipped"])
def test_a_body_longer_than_it_can_be_is_refused(source: HttpSource, path: str) -> None:
    with pytest.raises(SourceContentError):
        source.read(path, 99)


@pytest.mark.parametrize("path", ["bomb", "cut", "wrong"])
def test_a_body_packed_wrongly_or_to_hurt_is_refused(source: HttpSource, path: str) -> None:
    with pytest.raises(SourceContentError):
        source.read(path, 100_000)


def test_a_bomb_is_not_unpacked_further_than_it_may_be(source: HttpSource) -> None:
    tracemalloc.start()
    with pytest.raises(SourceContentError):
        source.read("bomb", 100_000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 5_000_000


@pytest.mark.parametrize("path", ["moved", "refused", "broken", "short"])
def test_another_answer_is_none(source: HttpSource, path: str) -> None:
    with pytest.raises(SourceError) as caught:
        source.read(path, 100)

    assert not isinstance(caught.value, SourceMissingError)
    assert "canary" not in str(caught.value)
    assert [path for path, _ in seen] == [f"/log/{path}"]


def test_what_is_not_there_is_told_apart(source: HttpSource) -> None:
    with pytest.raises(SourceMissingError):
        source.read("gone", 100)


def test_it_goes_on_after_a_failure(source: HttpSource) -> None:
    for path in ("broken", "short", "bomb", "gone"):
        with pytest.raises((SourceError, SourceContentError)):
            source.read(path, 100)

    assert source.read("plain", 100) == b"x" * 100


def test_a_server_that_is_not_there_is_no_verdict(url: str) -> None:
    with pytest.raises(SourceError):
        HttpSource("http://127.0.0.1:1/").read("checkpoint", 100)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "log.example",
        "ftp://log.example/",
        "file:///etc/passwd",
        "http://",
        "http://user@log.example/",
        "http://user:secret@log.example/",
        "http://log.example/?a=b",
        "http://log.example/#a",
        "http://log.example:port/",
        "http://log.example/a b",
        "http://log.example/\r\nHost: other",
        "http://[::1/",
    ],
)
def test_what_is_no_url_of_a_log_is_refused(url: str) -> None:
    with pytest.raises(SourceError):
        HttpSource(url)


def test_a_token_does_not_leave_the_machine_unencrypted() -> None:
    with pytest.raises(SourceError, match="https"):
        HttpSource("http://log.example/tlog/x", "token")
