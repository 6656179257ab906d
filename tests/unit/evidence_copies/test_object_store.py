"""What goes over the wire to S3: headers of locks, signed, with a checksum, and create-only."""

from __future__ import annotations

import re
import threading
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime
from email.message import Message
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from auditvault.evidence.copies.object_store import ObjectStore, open_object_store
from auditvault.evidence.copies.place import Place
from auditvault.evidence.copies.store import StoreDeniedError

UNTIL = datetime(2033, 4, 5, 6, 7, 8, tzinfo=UTC)
LOCKS = ("x-amz-object-lock-mode", "x-amz-object-lock-retain-until-date")


class _Handler(BaseHTTPRequestHandler):
    def do_PUT(self) -> None:
        self._answer(self.rfile.read(int(self.headers["Content-Length"])))

    def do_GET(self) -> None:
        if "refused" in self.path:
            # Amazon repeats the access key and what was signed.
            self.send_error(403, explain="AWSAccessKeyId canary")
        else:
            self._answer(b"")

    def _answer(self, _body: bytes) -> None:
        heard.append((self.path, self.headers))
        self.send_response(200)
        for name, value in {
            "Content-Length": "0",
            "ETag": '"x"',
            "Last-Modified": "Tue, 24 Nov 2026 00:00:00 GMT",
        }.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class's name
        """Say nothing."""


heard: list[tuple[str, Message]] = []


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIA")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    heard.clear()
    server = HTTPServer(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def opened(endpoint: str, until: datetime | None = UNTIL) -> ObjectStore:
    place = Place.parse(f"s3://bucket/audit?region=eu-central-1&endpoint={endpoint}")
    return open_object_store(place, lock_mode="GOVERNANCE", lock_until=until)


def test_a_put_is_create_only_locked_and_checked_and_all_of_it_is_signed(endpoint: str) -> None:
    opened(endpoint).create("a", b"x")
    ((path, headers),) = heard
    assert (path, headers["If-None-Match"]) == ("/bucket/audit/a", "*")
    assert [headers[name] for name in LOCKS] == ["GOVERNANCE", "2033-04-05T06:07:08Z"]
    assert headers["x-amz-checksum-sha256"]
    signed = re.search(r"SignedHeaders=([^,]+)", headers["Authorization"])
    assert signed
    assert {*LOCKS, "x-amz-checksum-sha256"} <= set(signed[1].split(";"))
    assert "/eu-central-1/s3/" in headers["Authorization"]


def test_without_days_nothing_is_said_of_locks(endpoint: str) -> None:
    opened(endpoint, None).create("a", b"x")
    assert [name for name in heard[0][1] if "object-lock" in name] == []


def test_a_read_says_nothing_of_locks(endpoint: str) -> None:
    opened(endpoint).read("a", 1)
    assert [name for name in heard[0][1] if "object-lock" in name] == []


def test_what_a_store_says_when_it_refuses_is_not_repeated(endpoint: str) -> None:
    with pytest.raises(StoreDeniedError) as found:
        opened(endpoint).read("refused", 1)
    assert "canary" not in "".join(traceback.format_exception(found.value))
