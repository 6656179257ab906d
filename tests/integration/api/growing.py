"""Logs that grow and are signed, and the service on a port of its own, for those who read logs from outside."""

from __future__ import annotations

import base64
import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

BATCH = 10_000


def open_log(tenant: Any, *, region: str = "eu") -> Any:
    """The tenant's log of kind `admin`, whose entries need no headers behind them."""
    from auditvault.ledger.logs import open_log as opened

    return opened(region=region, tenant_id=tenant.tenant_id, kind="admin", log_host="localhost")


def grow(log: Any, count: int, *, region: str = "eu") -> None:
    """Append `count` entries with random commitments."""
    from auditvault.ledger.scope import region_alias, tenant_scope
    from auditvault.ledger.services import Pending, append

    for start in range(0, count, BATCH):
        pending = [
            Pending(os.urandom(16), "test.made", "test", os.urandom(32))
            for _ in range(min(BATCH, count - start))
        ]
        with tenant_scope(region_alias(region), log.tenant_id) as connection:
            append(connection, log=log, pending=pending)


def uuid_of(log: Any) -> str:
    """The random part of the log's origin, which its paths begin with."""
    return str(log.origin).split("/")[-1]


def vkey_of(log: Any) -> str:
    """The signer's key under the log's name, as an operator would hand it to somebody outside."""
    from django.conf import settings

    line = Path(settings.LOG_VKEYS_FILE).read_text().splitlines()[0]
    key = base64.b64decode(line.split("+", 2)[2])
    key_id = hashlib.sha256(log.origin.encode() + b"\n" + key).digest()[:4].hex()
    return f"{log.origin}+{key_id}+{base64.b64encode(key).decode()}"


def refusal(answer: Any) -> tuple[int, str]:
    """Status and code of a problem document that nobody may keep."""
    assert answer["Content-Type"] == "application/problem+json"
    assert answer["Cache-Control"] == "no-store"
    return answer.status_code, answer.json()["code"]


class _Handler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class's name
        """Say nothing: the tests do."""


@contextmanager
def http_service() -> Iterator[str]:
    """The whole service behind a socket, one request after the other; yields its URL."""
    from django.core.wsgi import get_wsgi_application
    from django.db import connections

    def serve() -> None:
        try:
            server.serve_forever(poll_interval=0.01)
        finally:
            connections.close_all()  # they are this thread's

    server = make_server("127.0.0.1", 0, get_wsgi_application(), handler_class=_Handler)
    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
