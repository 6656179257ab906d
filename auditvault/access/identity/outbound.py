"""HTTP to a place that somebody else chose: checked, and connected to the very address that was checked.

Names are resolved once for each connection. No proxy of the environment is used, since a proxy would resolve again, and
no redirect is followed, since it would lead on unchecked. For any part of the service that calls a URL of a tenant's or
of another server's.
"""

from __future__ import annotations

import socket
from typing import Any

import requests
from django.conf import settings
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import NewConnectionError

from auditvault.core.errors import AuditvaultError
from auditvault.core.policy.addresses import AddressRefusedError, check_connection, check_url

# A discovery document or a key set is a few kilobytes.
_LARGEST_BODY = 1024 * 1024


class AnswerTooLargeError(AuditvaultError):
    """The other side sends more than anything of this kind has."""

    code = "answer_too_large"


class GuardedSession(requests.Session):
    """A `requests` session for URLs that are not this service's own choice.

    Raises AddressRefusedError or UrlRefusedError, besides what requests raises.
    """

    def __init__(self, *, seconds: float) -> None:
        super().__init__()
        self.trust_env = False
        self.max_redirects = 0
        self._seconds = seconds
        self.mount("http://", _GuardedAdapter())
        self.mount("https://", _GuardedAdapter())

    def request(self, method: Any, url: Any, *args: Any, **kwargs: Any) -> requests.Response:
        """As `requests.Session.request`, within a time limit, to where it may go, without redirects."""
        check_url(str(url))
        kwargs |= {"allow_redirects": False, "stream": True, "timeout": self._seconds}
        answer = super().request(method, url, *args, **kwargs)
        body = answer.raw.read(_LARGEST_BODY + 1, decode_content=True)
        answer.close()
        if len(body) > _LARGEST_BODY:
            raise AnswerTooLargeError("The other side's answer is too large.")
        answer._content = body  # noqa: SLF001  # what `requests` itself does on reading
        answer._content_consumed = True  # noqa: SLF001
        return answer


class _GuardedAdapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}


def _connect(host: str, port: int, scheme: str, seconds: Any) -> socket.socket:
    """A socket to one of the host's addresses, all of which were checked."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    check_connection(scheme, addresses, allowed=settings.OUTBOUND_ALLOWED_NETWORKS)
    last: OSError = OSError("no address")
    for address in addresses:
        try:
            return socket.create_connection((address, port), timeout=seconds)
        except OSError as error:
            last = error
    raise last


class _Connection(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        return _open(self, "http")


class _TlsConnection(HTTPSConnection):
    def _new_conn(self) -> socket.socket:
        return _open(self, "https")


def _open(connection: HTTPConnection, scheme: str) -> socket.socket:
    seconds = connection.timeout if isinstance(connection.timeout, (int, float)) else None
    try:
        return _connect(connection.host, int(connection.port or 0), scheme, seconds)
    except AddressRefusedError:
        raise
    except OSError as error:
        raise NewConnectionError(connection, "the host cannot be reached") from error


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection
