from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from auditvault.core.tlog.cosignature import add_cosignatures
from auditvault.core.tlog.witnessing import SIZE_CONTENT_TYPE, parse_conflict
from auditvault.verifier.witness_server import WitnessServer
from tests.reference import receipts, witnesses
from tests.unit.verifier.witness_setup import SIGNER, CrashError, WitnessOnDisk, failing

ORIGIN = witnesses.ORIGIN
PATH = "/add-checkpoint"
DEADLINE_SECONDS = 20.0


class Served:
    """A witness behind its server, on a free port of this machine."""

    def __init__(self, disk: WitnessOnDisk, server: WitnessServer) -> None:
        self.disk = disk
        self.server = server
        self.port: int = server.server_address[1]

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE_SECONDS)

    def ask(
        self, method: str, path: str, body: bytes | None = None
    ) -> tuple[int, str | None, bytes]:
        """Status, content type and body of one answer."""
        connection = self.connect()
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            return answer.status, answer.getheader("Content-Type"), answer.read()
        finally:
            connection.close()

    def submit(self, body: bytes) -> tuple[int, str | None, bytes]:
        return self.ask("POST", PATH, body)

    def raw(self, data: bytes) -> bytes:
        """Everything that comes back for these bytes until the server hangs up."""
        with socket.create_connection(("127.0.0.1", self.port), DEADLINE_SECONDS) as caller:
            caller.sendall(data)
            caller.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: caller.recv(65_536), b""))


Start = Callable[..., Served]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    running: list[tuple[Served, threading.Thread]] = []

    def begin(**options: float) -> Served:
        disk = WitnessOnDisk(tmp_path / "state")
        server = WitnessServer(("127.0.0.1", 0), disk.witness, disk.events.append, **options)  # type: ignore[arg-type]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        running.append((Served(disk, server), thread))
        return running[-1][0]

    yield begin
    for served, thread in running:
        served.server.shutdown()
        thread.join()
        served.server.server_close()
        served.disk.state.close()


@pytest.fixture
def served(start: Start) -> Served:
    return start()


# --- the protocol ---------------------------------------------------------------------------------


def test_a_good_submission_gets_a_cosignature_line(served: Served) -> None:
    status, _, body = served.submit(witnesses.submission(0, 5))

    note = add_cosignatures(witnesses.note(witnesses.leaves(5)), body, [SIGNER.verifier()])
    assert status == 200
    assert body.decode().count("\n") == 1
    assert note.endswith(body.decode())


def test_a_log_can_find_out_where_the_witness_stands_and_go_on(served: Served) -> None:
    served.submit(witnesses.submission(0, 5))

    status, content_type, body = served.submit(witnesses.submission(0, 9))
    size = parse_conflict(content_type, body)

    assert (status, size) == (409, 5)
    assert served.submit(witnesses.submission(size, 9))[0] == 200


@pytest.mark.parametrize(
    ("body", "status"),
    [
        pytest.param(b"", 400, id="nothing"),
        pytest.param(b"old 5\n", 400, id="no checkpoint"),
        pytest.param(witnesses.submission(5, 9)[:-1], 400, id="no final newline"),
        pytest.param(witnesses.submission(5, 9).replace(b"\n", b"\r\n"), 400, id="CRLF"),
        pytest.param(witnesses.submission(5, 9).replace(b"old 5", b"old 015"), 400, id="old 015"),
        pytest.param(
            witnesses.body(5, [bytes(32)] * 64, witnesses.note(witnesses.leaves(9))), 400, id="64"
        ),
        pytest.param(b"\xff\xfe" + witnesses.submission(5, 9), 400, id="not UTF-8"),
        pytest.param(
            witnesses.body(9, [], witnesses.note(witnesses.leaves(5))), 400, id="old beyond new"
        ),
        pytest.param(
            witnesses.body(5, [], receipts.note(bytes(32), size=9, key=receipts.OTHER_KEY)),
            403,
            id="a stranger's signature",
        ),
        pytest.param(
            witnesses.submission(5, 9).replace(b"\n9\n", b"\n8\n"), 403, id="a wrong signature"
        ),
        pytest.param(witnesses.submission(5, 9, origin="log.example/us/1"), 404, id="unknown log"),
        pytest.param(witnesses.submission(4, 9), 409, id="another old size"),
        pytest.param(witnesses.submission(5, 9, fork_at=3), 422, id="a changed past"),
        pytest.param(
            witnesses.body(5, [], witnesses.note(witnesses.leaves(9))), 422, id="no proof"
        ),
        pytest.param(witnesses.submission(5, 5, fork_at=4), 422, id="a fork"),
        pytest.param(witnesses.submission(5, 5), 200, id="the same again"),
        pytest.param(witnesses.submission(5, 9), 200, id="a grown log"),
    ],
)
def test_each_submission_gets_its_status(served: Served, body: bytes, status: int) -> None:
    served.submit(witnesses.submission(0, 5))

    answered, content_type, answer = served.submit(body)

    assert answered == status
    assert (content_type == SIZE_CONTENT_TYPE) == (status == 409)
    assert answer.endswith(b"\n")
    (size, _) = served.disk.remembered() or (0, b"")
    assert size == (9 if status == 200 and b"\n9\n" in body else 5)
    assert served.submit(witnesses.submission(size, 12))[0] == 200


def test_the_last_checkpoint_of_a_log_is_shown_to_everybody(served: Served) -> None:
    path = f"/{witnesses.origin_hash(ORIGIN)}/checkpoint"
    before = served.ask("GET", path)[0]
    _, _, line = served.submit(witnesses.submission(0, 5))

    status, content_type, body = served.ask("GET", path)

    assert (before, status, content_type) == (404, 200, "text/plain; charset=utf-8")
    assert body == witnesses.note(witnesses.leaves(5)).encode() + line


def test_a_witness_that_cannot_write_answers_503_and_goes_on(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    with failing(monkeypatch.context, "fsync", 1, OSError(28, "full"), after=False):
        failed = served.submit(witnesses.submission(0, 5))[0]

    assert failed == 503
    assert served.submit(witnesses.submission(0, 5))[0] == 200
    assert [event.name for event in served.disk.events] == ["witness_state_unusable", "cosigned"]


def test_what_nobody_foresaw_ends_one_connection_and_not_the_witness(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        failing(monkeypatch.context, "fsync", 1, ZeroDivisionError("secret"), after=False),
        pytest.raises((http.client.HTTPException, ConnectionError)),
    ):
        served.submit(witnesses.submission(0, 5))

    assert served.submit(witnesses.submission(0, 5))[0] == 200
    assert served.disk.events[0].name == "failed: ZeroDivisionError"


def test_one_connection_can_be_kept_for_many_submissions(served: Served) -> None:
    connection = served.connect()
    statuses = []
    for old, new in [(0, 3), (0, 3), (3, 5), (5, 8)]:
        connection.request("POST", PATH, witnesses.submission(old, new))
        answer = connection.getresponse()
        statuses.append(answer.status)
        answer.read()
    connection.close()

    assert statuses == [200, 409, 200, 200]


# --- other requests -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", PATH, 405),
        ("POST", "/", 404),
        ("POST", PATH + "?x", 404),
        ("POST", "/w1" + PATH, 404),
        ("GET", "/" + "0" * 64 + "/checkpoint", 404),
        ("GET", "/" + "0" * 64 + "/checkpoint/", 404),
        ("GET", "/../witness.json", 404),
        ("GET", "/logs/..%2fwitness.json", 404),
        ("PUT", PATH, 501),
        ("OPTIONS", PATH, 501),
    ],
)
def test_other_requests_are_refused(served: Served, method: str, path: str, status: int) -> None:
    assert served.ask(method, path, b"x" if method == "POST" else None)[0] == status


HEAD = b"POST /add-checkpoint HTTP/1.1\r\nHost: w\r\n"


@pytest.mark.parametrize(
    ("data", "status"),
    [
        pytest.param(HEAD + b"\r\n", 411, id="no length"),
        pytest.param(HEAD + b"Content-Length: \r\n\r\n", 400, id="an empty length"),
        pytest.param(HEAD + b"Content-Length: -1\r\n\r\n", 400, id="a negative length"),
        pytest.param(HEAD + b"Content-Length: 0x5\r\n\r\nold 5", 400, id="a hexadecimal length"),
        pytest.param(HEAD + b"Content-Length: " + b"9" * 50 + b"\r\n\r\n", 400, id="a huge length"),
        pytest.param(HEAD + b"Content-Length: 131073\r\n\r\n", 413, id="too long"),
        pytest.param(HEAD + b"Content-Length: 131073\r\n\r\n" + b"x" * 131_073, 413, id="and sent"),
        pytest.param(
            HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nold 5\n", 400, id="two lengths"
        ),
        pytest.param(
            HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nold 5\r\n0\r\n\r\n", 411, id="chunked"
        ),
        pytest.param(
            HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nold 5",
            411,
            id="both",
        ),
        pytest.param(b"NONSENSE\r\n\r\n", 400, id="no request"),
        pytest.param(b"<script>alert(1)</script> / HTTP/9.9\r\n\r\n", 505, id="another version"),
        pytest.param(b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n", 414, id="a long path"),
        pytest.param(b"GET / HTTP/1.1\r\nA: " + b"a" * 70_000 + b"\r\n\r\n", 431, id="a long line"),
        pytest.param(b"GET / HTTP/1.1\r\n" + b"A: a\r\n" * 200 + b"\r\n", 431, id="many headers"),
    ],
)
def test_what_is_no_good_request_is_refused_and_hung_up_on(
    served: Served, data: bytes, status: int
) -> None:
    answer = served.raw(data)

    assert answer.split(b" ")[1] == str(status).encode()
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"script" not in answer
    assert served.submit(witnesses.submission(0, 5))[0] == 200


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\r\n",
        b"\x00" * 100,
        b"\x16\x03\x01\x02\x00" * 50,
        HEAD,
        HEAD + b"Content-Length: 9\r\n\r\nold",
    ],
)
def test_a_caller_who_hangs_up_half_way_leaves_nothing_behind(served: Served, data: bytes) -> None:
    served.raw(data)

    assert served.submit(witnesses.submission(0, 5))[0] == 200
    assert [event.name for event in served.disk.events] == ["cosigned"]


def test_a_get_with_a_body_does_not_smuggle_a_request(served: Served) -> None:
    served.submit(witnesses.submission(0, 5))
    hidden = HEAD + b"Content-Length: 0\r\n\r\n"
    path = f"/{witnesses.origin_hash(ORIGIN)}/checkpoint".encode()
    head = b"GET " + path + b" HTTP/1.1\r\nHost: w\r\nContent-Length: "

    answer = served.raw(head + str(len(hidden)).encode() + b"\r\n\r\n" + hidden)

    assert answer.count(b"HTTP/1.1 ") == 1


def test_it_does_not_say_what_it_is_made_of(served: Served) -> None:
    answer = served.raw(b"GET / HTTP/1.0\r\n\r\n")

    assert b"\r\nServer: auditvault-witness\r\n" in answer
    assert b"Python" not in answer


# --- bounds ---------------------------------------------------------------------------------------


def drip(port: int, data: bytes) -> float:
    """Send a byte at a time until the server hangs up; returns for how many seconds it listened."""
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", port), DEADLINE_SECONDS) as caller:
        caller.settimeout(0.02)
        try:
            for byte in data:
                caller.sendall(bytes([byte]))
                try:
                    if caller.recv(1000) == b"":
                        break
                except TimeoutError:
                    continue
        except ConnectionError:
            pass
    return time.monotonic() - began


@pytest.mark.parametrize(
    "data",
    [
        b"POST /add-checkpoint HTTP/1.1\r\n" + b"A" * 1000,
        HEAD + b"Content-Length: 1000\r\n\r\n" + b"o" * 1000,
    ],
)
def test_a_slow_caller_is_cut_off(start: Start, data: bytes) -> None:
    served = start(request_seconds=0.5)

    assert drip(served.port, data) < DEADLINE_SECONDS
    assert served.submit(witnesses.submission(0, 5))[0] == 200


def test_a_silent_caller_is_cut_off(start: Start) -> None:
    served = start(request_seconds=0.3)

    with socket.create_connection(("127.0.0.1", served.port), DEADLINE_SECONDS) as caller:
        assert caller.recv(1000) == b""


def test_too_many_connections_are_dropped_and_their_places_come_back(start: Start) -> None:
    served = start(max_connections=2, request_seconds=DEADLINE_SECONDS)
    held = [socket.create_connection(("127.0.0.1", served.port), 5) for _ in range(2)]
    for caller in held:  # both are being served once they were asked to go on
        caller.sendall(HEAD + b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        assert b"100 Continue" in caller.recv(1000)
    with pytest.raises((http.client.HTTPException, ConnectionError)):
        served.submit(witnesses.submission(0, 5))
    for caller in held:
        caller.close()

    deadline = time.monotonic() + DEADLINE_SECONDS
    status = 0
    while status != 200 and time.monotonic() < deadline:
        try:
            status = served.submit(witnesses.submission(0, 5))[0]
        except (http.client.HTTPException, ConnectionError):
            continue
    assert status == 200


def test_two_forks_over_the_network_at_once_get_one_cosignature(served: Served) -> None:
    served.submit(witnesses.submission(0, 2))
    statuses: list[int] = []
    bodies = [witnesses.submission(2, 6, fork_at=at) for at in (None, 3, 4, 5)]
    threads = [
        threading.Thread(target=lambda body=body: statuses.append(served.submit(body)[0]))
        for body in bodies
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(statuses) == [200, 409, 409, 409]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_crash_between_memory_and_answer_leaves_a_log_that_can_go_on(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        failing(monkeypatch.context, "fsync", 2, CrashError(), after=True),
        pytest.raises((http.client.HTTPException, ConnectionError)),
    ):
        served.submit(witnesses.submission(0, 5))

    status, content_type, body = served.submit(witnesses.submission(0, 5))

    assert (status, parse_conflict(content_type, body)) == (409, 5)
    assert served.submit(witnesses.submission(5, 5, fork_at=2))[0] == 422
    assert served.submit(witnesses.submission(5, 5))[0] == 200
