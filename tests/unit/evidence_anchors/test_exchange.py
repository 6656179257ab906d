"""One POST to a server that is away, slow, talkative or hostile: one error, in time."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from auditvault.evidence.anchors.exchange import Answer, ExchangeError, post

SECONDS = 60.0


@contextmanager
def speaking(speak: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server of one connection that reads the request's head and then does as it is told."""
    listener = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        with suppress(OSError), listener.accept()[0] as connection:
            connection.settimeout(SECONDS)
            connection.recv(65536)
            speak(connection)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/tsr?a=b"
    finally:
        listener.close()
        thread.join(SECONDS)


def ask(url: str, *, seconds: float = SECONDS, most_bytes: int = 100) -> Answer:
    return post(url, b"a question", headers={"X-A": "b"}, seconds=seconds, most_bytes=most_bytes)


def saying(*parts: bytes) -> Callable[[socket.socket], None]:
    def speak(connection: socket.socket) -> None:
        for part in parts:
            connection.sendall(part)

    return speak


def test_an_answer_comes_back_whole() -> None:
    said = saying(
        b"HTTP/1.1 200 OK\r\nContent-Type: Text/X; charset=y\r\nContent-Length: 4\r\n\r\n",
        b"four",
    )
    with speaking(said) as url:
        assert ask(url) == Answer(status=200, content_type="text/x", body=b"four")


def test_no_more_is_read_than_shows_that_it_was_too_much() -> None:
    said = saying(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n", bytes(5000))
    with speaking(said) as url:
        assert ask(url).body == bytes(101)


def test_a_redirect_is_an_answer_and_not_followed() -> None:
    said = saying(
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
    )
    with speaking(said) as url:
        assert ask(url).status == 302


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"junk\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnot hex\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000,
    ],
)
def test_what_is_no_answer_is_an_error(said: bytes) -> None:
    with speaking(saying(said)) as url, pytest.raises(ExchangeError):
        ask(url)


def test_a_server_that_is_away_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ExchangeError, match="ConnectionRefusedError"):
        ask(f"http://127.0.0.1:{port}/")


def test_tls_with_a_server_that_speaks_none_is_an_error() -> None:
    with speaking(saying(b"HTTP/1.1 200 OK\r\n\r\n")) as url, pytest.raises(ExchangeError):
        ask(url.replace("http:", "https:"))


def silence(connection: socket.socket) -> None:
    """Until the other side gives up."""
    while connection.recv(65536):
        pass


def dribbling(beginning: bytes) -> Callable[[socket.socket], None]:
    """A byte every few milliseconds for ever: no single wait is long."""

    def speak(connection: socket.socket) -> None:
        connection.sendall(beginning)
        while True:
            connection.sendall(b"x")
            time.sleep(0.01)

    return speak


@pytest.mark.parametrize(
    "speak",
    [
        silence,
        dribbling(b""),
        dribbling(b"HTTP/1.1 200 OK\r\nX: "),
        dribbling(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"),
        dribbling(b"HTTP/1.1 200 OK\r\n\r\n"),
    ],
)
def test_a_slow_server_is_cut_off_in_time(speak: Callable[[socket.socket], None]) -> None:
    with speaking(speak) as url, pytest.raises(ExchangeError, match="not in time"):
        ask(url, seconds=0.3, most_bytes=10_000_000)


def test_a_slow_handshake_is_cut_off_in_time() -> None:
    with speaking(silence) as url, pytest.raises(ExchangeError, match="not in time"):
        ask(url.replace("http:", "https:"), seconds=0.3)


def test_no_address_is_in_the_error() -> None:
    with speaking(saying(b"")) as url, pytest.raises(ExchangeError) as failed:
        ask(url)
    assert "127.0.0.1" not in failed.value.message
