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
        status, content = self._send(method, path, body)
        try:
            answer = json.loads(content or b"null")
        except ValueError as error:
            raise self._silent() from error
        if status >= http.client.BAD_REQUEST:
            raise ServiceCallError(f"{status}: {answer.get('detail') or answer.get('message')}")
        return status, answer

    def fetch(self, path: str) -> bytes:
        """The bytes of a file; raises as `call`."""
        status, content = self._send("GET", path, None)
        if status < http.client.BAD_REQUEST:
            return content
        try:
            said = json.loads(content).get("detail")
        except (ValueError, AttributeError):
            said = None
        raise ServiceCallError(f"{status}: {said}")

    def _send(self, method: str, path: str, body: dict[str, Any] | None) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=_TIMEOUT_SECONDS)
        try:
            data = None if body is None else json.dumps(body)
            connection.request(method, path, data, self._headers)
            response = connection.getresponse()
            return response.status, response.read()
        except (OSError, http.client.HTTPException) as error:
            raise self._silent() from error
        finally:
            connection.close()

    def _silent(self) -> ServiceCallError:
        return ServiceCallError(f"The service does not answer on port {self._port}.")
