"""A small HTTP client for our own API, for commands that talk to the running service."""

from __future__ import annotations

import http.client
import json
from typing import Any

from auditvault.core.errors import AuditvaultError

_TIMEOUT_SECONDS = 30.0


class ServiceCallError(AuditvaultError):
    """The service could not be reached, or refused."""

    code = "service_call_failed"


class ServiceClient:
    """Calls the service on this machine with one token."""

    def __init__(self, *, port: int, token: str, region: str) -> None:
        self._port = port
        self._headers = {
            "Authorization": f"Bearer {token}",
            "Auditvault-Region": region,
            "Content-Type": "application/json",
        }

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, Any]:
        """Status and decoded answer; raises ServiceCallError where there is none, or it is an error."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=_TIMEOUT_SECONDS)
        try:
            data = None if body is None else json.dumps(body)
            connection.request(method, path, data, self._headers)
            response = connection.getresponse()
            status, answer = response.status, json.loads(response.read() or b"null")
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise ServiceCallError(f"The service does not answer on port {self._port}.") from error
        finally:
            connection.close()
        if status >= http.client.BAD_REQUEST:
            raise ServiceCallError(f"{status}: {answer.get('detail') or answer.get('message')}")
        return status, answer
