"""One POST to a webhook: to an address that was checked, within a time, without redirects.

The name is looked up once, each of its addresses is checked, and the connection goes to one of these and not to the
name, so that an answer of the DNS that changes in between changes nothing. No proxy is used. A socket's own timeout
begins anew with each byte, so a timer ends what takes too long in all. Of the answer only the status is asked: the rest
is read up to a bound and thrown away.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from http import HTTPStatus
from urllib.parse import urlsplit

from django.conf import settings

from auditvault.core.errors import AuditvaultError
from auditvault.core.policy.addresses import check_connection, check_url

_MOST_BYTES = 64 * 1024


class PostFailedError(AuditvaultError):
    """The receiver did not take it; `reason` is a word for the record, and holds nothing that it said."""

    code = "post_failed"

    def __init__(self, reason: str) -> None:
        super().__init__(f"The receiver did not take the message: {reason}.")
        self.reason = reason


def post(url: str, body: bytes, *, headers: Mapping[str, str], seconds: float) -> int:
    """POST `body` and return the status, which is 2xx.

    Raises:
        AddressRefusedError, UrlRefusedError: this is no place to connect to; nothing was sent.
        PostFailedError: it could not be reached, took too long, or answered anything but 2xx.
    """
    scheme, host, port = check_url(url)
    expired = threading.Event()
    try:
        with _connected(scheme, host, port, seconds, expired) as connection:
            parts = urlsplit(url)
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            connection.request("POST", target, body=body, headers=dict(headers))
            answer = connection.getresponse()
            answer.read(_MOST_BYTES)
            status = answer.status
    except (OSError, http.client.HTTPException, UnicodeError) as error:
        raise PostFailedError(_reason(error, expired)) from error
    if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        raise PostFailedError(f"status_{status}")
    return status


def _reason(error: Exception, expired: threading.Event) -> str:
    if expired.is_set() or isinstance(error, TimeoutError):
        return "too_slow"
    if isinstance(error, socket.gaierror):
        return "name_unknown"
    if isinstance(error, ssl.SSLError):
        return "tls_failed"
    return "unreachable" if isinstance(error, OSError) else "no_answer"


def _addresses(scheme: str, host: str, port: int) -> list[str]:
    """The host's addresses, every one of them checked; raises AddressRefusedError or UrlRefusedError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    check_connection(scheme, addresses, allowed=settings.OUTBOUND_ALLOWED_NETWORKS)
    return addresses


def _dial(addresses: list[str], port: int, seconds: float) -> socket.socket:
    last: OSError = OSError("no address")
    for address in addresses:
        try:
            return socket.create_connection((address, port), timeout=seconds / len(addresses))
        except OSError as error:
            last = error
    raise last


@contextmanager
def _connected(
    scheme: str, host: str, port: int, seconds: float, expired: threading.Event
) -> Iterator[http.client.HTTPConnection]:
    raw = _dial(_addresses(scheme, host, port), port, seconds)
    connection = http.client.HTTPConnection(host, port, timeout=seconds)
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
            raw.settimeout(seconds)
            connection.sock = (
                ssl.create_default_context().wrap_socket(raw, server_hostname=host)
                if scheme == "https"
                else raw
            )
            yield connection
        finally:
            timer.cancel()
            timer.join()
