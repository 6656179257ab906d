"""One HTTP POST to somebody who may be away, slow, talkative or hostile.

Bounded in time from connecting to the last byte, and in size; no redirect is followed; whatever goes wrong is one
error. TLS is checked against the system's certificates. Looking up a name is the system's affair, with its own limit.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from auditvault.core.errors import AuditvaultError

_HTTPS_PORT, _HTTP_PORT = 443, 80


class ExchangeError(AuditvaultError):
    """There is no answer, not a whole one, or it did not come in time."""

    code = "exchange_failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back."""

    status: int
    content_type: str
    """Without parameters, in lower case."""
    body: bytes
    """One byte more than was allowed, at most: then it was too long."""


def post(
    url: str, body: bytes, *, headers: Mapping[str, str], seconds: float, most_bytes: int
) -> Answer:
    """POST `body` and return the answer, at most `most_bytes` + 1 bytes of it, within `seconds`.

    Raises:
        ExchangeError: whatever kept it from coming. The message names no address.
    """
    parts = urlsplit(url)
    expired = threading.Event()
    try:
        with _connected(parts, seconds, expired) as connection:
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            connection.request("POST", target, body=body, headers=dict(headers))
            response = connection.getresponse()
            content = response.read(most_bytes + 1)
            if response.length and len(content) <= most_bytes:
                raise http.client.IncompleteRead(content, response.length)
            found = response.headers.get_content_type()
            answer = Answer(status=response.status, content_type=found, body=content)
    except (OSError, http.client.HTTPException) as error:
        # The socket's own timeout may be a moment ahead of the timer.
        is_late = expired.is_set() or isinstance(error, TimeoutError)
        why = "not in time" if is_late else type(error).__name__
        raise ExchangeError(f"There is no answer: {why}.") from error
    if expired.is_set():
        # Without a length, an answer that was cut short looks like a whole one.
        raise ExchangeError("There is no answer: not in time.")
    return answer


@contextmanager
def _connected(
    parts: SplitResult, seconds: float, expired: threading.Event
) -> Iterator[http.client.HTTPConnection]:
    """A connection that is cut when the time is up, whatever it is doing then.

    A socket's own timeout begins anew with each byte: who sends one a second would hold a worker for ever.
    """
    secure = parts.scheme == "https"
    host = parts.hostname or ""
    port = parts.port or (_HTTPS_PORT if secure else _HTTP_PORT)
    connection = http.client.HTTPConnection(host, port, timeout=seconds)
    raw = socket.create_connection((host, port), timeout=seconds)
    # The lever stays in our hands when TLS takes the socket over.
    with closing(raw), closing(raw.dup()) as lever, closing(connection):

        def cut() -> None:
            expired.set()
            with suppress(OSError):
                lever.shutdown(socket.SHUT_RDWR)

        timer = threading.Timer(seconds, cut)
        timer.daemon = True
        timer.start()
        try:
            connection.sock = (
                ssl.create_default_context().wrap_socket(raw, server_hostname=host)
                if secure
                else raw
            )
            yield connection
        finally:
            timer.cancel()
            timer.join()
