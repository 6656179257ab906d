"""A witness's HTTP interface: c2sp.org/tlog-witness over the standard library's server.

Rules kept: docs/spec/witness.md sections 2 and 4. Everybody may call it, so everything is bounded:
connections, the time for one request, the body. Whatever a caller sends is answered or dropped,
never printed. TLS and rates are left to a proxy in front, what is cosigned to `witness`.
"""

from __future__ import annotations

import io
import re
import socket
import socketserver
import sys
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any

from auditvault.core.errors import AuditvaultError
from auditvault.core.tlog.witnessing import (
    MAX_REQUEST_SIZE,
    SIZE_CONTENT_TYPE,
    SubmissionConflictError,
    SubmissionError,
    SubmissionInconsistentError,
    SubmissionMalformedError,
    SubmissionUnknownLogError,
    SubmissionUntrustedError,
    conflict_answer,
)
from auditvault.verifier.witness import Event, Witness

MAX_CONNECTIONS = 64
REQUEST_SECONDS = 10.0
"""For a whole request to arrive, and for its answer to leave."""

_LINGER_SECONDS = 1.0
_LINGER_BYTES = 1_048_576
_PLAIN = "text/plain; charset=utf-8"
_ADD_CHECKPOINT = "/add-checkpoint"
_CHECKPOINT = re.compile(r"/([0-9a-f]{64})/checkpoint")
_LENGTH = re.compile(r"[0-9]{1,9}")
_STATUSES: tuple[tuple[type[SubmissionError], HTTPStatus], ...] = (
    (SubmissionMalformedError, HTTPStatus.BAD_REQUEST),
    (SubmissionUntrustedError, HTTPStatus.FORBIDDEN),
    (SubmissionUnknownLogError, HTTPStatus.NOT_FOUND),
    (SubmissionInconsistentError, HTTPStatus.UNPROCESSABLE_ENTITY),
)


class WitnessServer(socketserver.ThreadingTCPServer):
    """Serves `witness` at `address`; port 0 takes a free one. Raises OSError if it cannot."""

    allow_reuse_address = True
    daemon_threads = True  # a request that is cut off has released nothing
    request_queue_size = MAX_CONNECTIONS

    def __init__(
        self,
        address: tuple[str, int],
        witness: Witness,
        report: Callable[[Event], None],
        *,
        request_seconds: float = REQUEST_SECONDS,
        max_connections: int = MAX_CONNECTIONS,
    ) -> None:
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        self.witness = witness
        self.report = report
        self.request_seconds = request_seconds
        self._slots = threading.Semaphore(max_connections)
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Hand a connection to a thread, or drop it when there are too many."""
        if not self._slots.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._slots.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve a connection until it ends."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._slots.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        """Report what nobody foresaw by its type only; a caller that went away is no error."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            self.report(Event(name=f"failed: {type(error).__name__}"))


class _DeadlineReader(io.RawIOBase):
    """Reads a socket until a moment: a caller cannot keep a thread by sending slowly."""

    def __init__(self, connection: socket.socket) -> None:
        super().__init__()
        self._connection = connection
        self._ends_at = 0.0

    def allow(self, seconds: float) -> None:
        """Begin a request's time."""
        self._ends_at = time.monotonic() + seconds

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        left = self._ends_at - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._connection.settimeout(left)
        return self._connection.recv_into(buffer)


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    default_request_version = "HTTP/1.0"  # even what is no request gets a whole answer
    disable_nagle_algorithm = True
    server: WitnessServer
    rfile: io.BufferedReader

    def setup(self) -> None:
        """Read through a deadline instead of a time-out for each piece."""
        super().setup()
        self.rfile.close()
        self._reader = _DeadlineReader(self.connection)
        self.rfile = io.BufferedReader(self._reader)

    def handle_one_request(self) -> None:
        """Give each request of the connection its own time."""
        self._reader.allow(self.server.request_seconds)
        super().handle_one_request()

    def do_POST(self) -> None:
        """Take a submission."""
        if self.path != _ADD_CHECKPOINT:
            self._refuse(HTTPStatus.NOT_FOUND, "only /add-checkpoint takes a POST", close=True)
            return
        body = self._body()
        if body is not None:
            self._add_checkpoint(body)

    def do_GET(self) -> None:
        """Show the last cosigned checkpoint of a log."""
        if self.path == _ADD_CHECKPOINT:
            self._refuse(HTTPStatus.METHOD_NOT_ALLOWED, "POST a submission", close=True)
            return
        match = _CHECKPOINT.fullmatch(self.path)
        note = None if match is None else self.server.witness.checkpoint(match[1])
        if note is None:
            self._refuse(HTTPStatus.NOT_FOUND, "no checkpoint was cosigned here", close=True)
        else:
            has_body = "Content-Length" in self.headers or "Transfer-Encoding" in self.headers
            self._answer(HTTPStatus.OK, note.encode(), close=has_body)

    def _add_checkpoint(self, body: bytes) -> None:
        try:
            lines = self.server.witness.add_checkpoint(body)
        except SubmissionConflictError as error:
            answer = conflict_answer(error.size)
            self._answer(HTTPStatus.CONFLICT, answer, content_type=SIZE_CONTENT_TYPE)
        except SubmissionError as error:
            status = next(status for kind, status in _STATUSES if isinstance(error, kind))
            self._refuse(status, error.message)
        except AuditvaultError as error:
            self.server.report(Event(name=error.code))
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, error.message)
        else:
            self._answer(HTTPStatus.OK, lines)

    def _body(self) -> bytes | None:
        """Return the whole body; None after it was refused."""
        lengths = self.headers.get_all("Content-Length", [])
        if not lengths or self.headers.get_all("Transfer-Encoding"):
            message = "a submission says its length and is sent in one piece"
            self._refuse(HTTPStatus.LENGTH_REQUIRED, message, close=True)
        elif len(lengths) > 1 or not _LENGTH.fullmatch(lengths[0]):
            self._refuse(HTTPStatus.BAD_REQUEST, "the length is not a number", close=True)
        elif int(lengths[0]) > MAX_REQUEST_SIZE:
            message = "a submission is at most 131,072 bytes"
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, message, close=True)
        else:
            body = self.rfile.read(int(lengths[0]))
            if len(body) == int(lengths[0]):
                return body
            self.close_connection = True  # the caller hung up half-way
        return None

    def _refuse(self, status: HTTPStatus, message: str, *, close: bool = False) -> None:
        self._answer(status, f"{message}\n".encode(), close=close)

    def _answer(
        self,
        status: HTTPStatus,
        body: bytes,
        *,
        content_type: str = _PLAIN,
        close: bool = False,
    ) -> None:
        self.connection.settimeout(self.server.request_seconds)
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        if status is HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", "POST")
        if close:  # what is left of the request was not read
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
        if close:
            self._linger()

    def _linger(self) -> None:
        """Read on for a moment: closing over unread bytes would cut the answer off."""
        self.connection.shutdown(socket.SHUT_WR)
        self._reader.allow(_LINGER_SECONDS)
        for _ in range(_LINGER_BYTES // io.DEFAULT_BUFFER_SIZE):
            if not self.rfile.read1(io.DEFAULT_BUFFER_SIZE):
                return

    def version_string(self) -> str:
        """Name the program, and not the Python it runs on."""
        return "auditvault-witness"

    def send_error(self, code: int, *_texts: str | None) -> None:
        """Answer what the base class refuses, without repeating what the caller sent."""
        self._refuse(HTTPStatus(code), HTTPStatus(code).phrase, close=True)

    def log_message(self, *_texts: Any) -> None:
        """Write nothing: an address is personal data, and a request is text from outside."""
