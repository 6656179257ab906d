"""A small HTTP server on the loopback address that can be made to fail in the ways services fail."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple


class Asked(NamedTuple):
    """A request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Answered(NamedTuple):
    """A response."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()


def as_json(value: Any, status: int = 200, content_type: str = "application/json") -> Answered:
    return Answered(status, json.dumps(value).encode(), content_type)


class Server:
    """Answers with `answer(asked)`. `status` set: with that status. `silent`: takes requests and never answers."""

    def __init__(self, answer: Callable[[Asked], Answered]) -> None:
        self.answer = answer
        self.status: int | None = None
        self.asked: list[Asked] = []
        self._released = threading.Event()
        self._released.set()
        self.port = 0
        self._open()

    def _open(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), self._handler())
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), daemon=True
        )
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @contextmanager
    def away(self) -> Iterator[None]:
        self.stop()
        try:
            yield
        finally:
            self._open()

    @contextmanager
    def silent(self) -> Iterator[None]:
        self._released.clear()
        try:
            yield
        finally:
            self._released.set()

    @contextmanager
    def answering(self, status: int) -> Iterator[None]:
        self.status = status
        try:
            yield
        finally:
            self.status = None

    def stop(self) -> None:
        """From now on the port refuses connections."""
        self._released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _take(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                asked = Asked(
                    self.command, self.path, dict(self.headers.items()), self.rfile.read(length)
                )
                server.asked.append(asked)
                server._released.wait()
                answered = (
                    as_json({}, server.status)
                    if server.status is not None
                    else server.answer(asked)
                )
                self.send_response(answered.status)
                self.send_header("Content-Type", answered.content_type)
                self.send_header("Content-Length", str(len(answered.body)))
                self.send_header("Connection", "close")
                for name, value in answered.headers:
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answered.body)
                self.close_connection = True

            do_GET = do_POST = do_PUT = do_DELETE = do_LIST = _take  # noqa: N815

            def handle(self) -> None:
                with suppress(OSError):  # whoever asked has given up
                    super().handle()

            def log_message(self, *_arguments: Any) -> None:
                pass

        return Handler
