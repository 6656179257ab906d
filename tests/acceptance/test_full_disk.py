"""The disk under the servers is full: the service says 503, and goes on where it was.

A small disk is made by mounting one, which needs the right to do so: without it this module has no
test, and nothing else stands in for a full disk.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from tests.acceptance.otlp_bodies import make_request, make_span
from tests.acceptance.running_service import (
    Answer,
    RunningService,
    is_running,
    scratch_directory,
    service_in,
    until,
)

pytestmark = pytest.mark.timeout(400)

DISK_BYTES = 600 * 2**20
# Enough for one more segment of the database's log, and to go on for a moment.
LEFT_BYTES = 20 * 2**20
FULL_SECONDS = 20.0
INTERACTIONS = "SELECT log_id FROM ledger_log WHERE kind = 'interactions'"
LOOKS = "action = 'resolve' AND outcome = 'granted'"
HEADERS = "SELECT encode(trace_id, 'hex'), record_id FROM traces_header"


@contextmanager
def small_disk(path: Path) -> Iterator[None]:
    path.mkdir(parents=True, exist_ok=True)
    options = f"size={DISK_BYTES},mode=0711"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "auditvault", str(path)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


def can_mount() -> bool:
    if os.geteuid() != 0 or shutil.which("mount") is None:
        return False
    with tempfile.TemporaryDirectory() as path:
        try:
            with small_disk(Path(path)):
                return True
        except (OSError, subprocess.CalledProcessError):
            return False


@dataclass(slots=True)
class Sender:
    """Sends one large trace after the other and keeps what became of each."""

    service: RunningService
    token: str
    answers: dict[str, Answer]

    def send(self) -> Answer:
        """A trace that no compression makes small."""
        span = make_span("chat", {"gen_ai.input.messages": os.urandom(40_000).hex()})
        answer = self.service.send(make_request([span]).SerializeToString(), self.token)
        self.answers[span.trace_id.hex()] = answer
        return answer


PURPOSE = {"code": "INCIDENT", "case": "INC-1", "reason": "A customer complains about an answer"}
LOOKS_WHILE_FULL = 20


@dataclass(slots=True)
class Reader:
    """Looks at one content again and again, and keeps what was answered."""

    service: RunningService
    token: str
    content: str
    answers: list[Answer]

    def look(self) -> Answer:
        digest = hashlib.sha256(self.content.encode()).hexdigest()
        body = {"content_hash": f"sha256:{digest}", "purpose": PURPOSE}
        answer = self.service.post("/api/v1/resolve", body, self.token)
        self.answers.append(answer)
        return answer


def fill(ballast: Path, *, left_bytes: int) -> None:
    """Make the ballast grow until no more than `left_bytes` are left on the disk."""
    with ballast.open("ab") as stream:
        more = shutil.disk_usage(ballast.parent).free - left_bytes
        # A server may have been faster and taken what was free.
        with suppress(OSError):
            if more > 0:
                os.posix_fallocate(stream.fileno(), stream.tell(), more)


def stop_database(sender: Sender, reader: Reader) -> None:
    """Go on until PostgreSQL needs another segment of its log, cannot have it, and stops itself."""
    postgres = sender.service.pid("postgres")

    def stopped() -> bool:
        sender.send()
        reader.look()
        with suppress(psycopg.OperationalError):
            # Refused requests write little: without this it may take very many of them.
            sender.service.sql("region_eu", "SELECT pg_switch_wal()")
        return not is_running(postgres)

    until(stopped, "the database's death")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a full disk did."""

    service: RunningService
    before: dict[str, Answer]
    during: dict[str, Answer]
    after: dict[str, Answer]
    looks: list[Answer]
    """Of the reader, from before to after."""
    looks_while_full: int
    """How many of them were answered once the database had stopped, and before there was room."""


@pytest.fixture(scope="module")
def outcome() -> Iterator[Outcome]:
    with scratch_directory() as parent, small_disk(parent / "home" / "servers"):
        home = parent / "home"
        with service_in(home, "--no-demo") as service:
            service.make_tenant("full")
            sender = Sender(service, service.make_token("full", "ingest"), {})
            sender.send()
            said = "said before the disk was full"
            span = make_span("chat", {"gen_ai.input.messages": said})
            sender.answers[span.trace_id.hex()] = service.send(
                make_request([span]).SerializeToString(), sender.token
            )
            reader = Reader(service, service.make_reader("full", case="INC-1"), said, [])
            reader.look()
            before, sender.answers = sender.answers, {}
            ballast = home / "servers" / "ballast"
            fill(ballast, left_bytes=LEFT_BYTES)
            until(lambda: sender.send().status != 200, "the first refusal")
            stop_database(sender, reader)
            earlier = len(reader.answers)
            for _ in range(LOOKS_WHILE_FULL):
                reader.look()
            while_full = len(reader.answers) - earlier
            deadline = time.monotonic() + FULL_SECONDS
            while time.monotonic() < deadline:
                sender.send()
                # What the database gives back by dying: the broker is to have no room, either.
                fill(ballast, left_bytes=0)
            during, sender.answers = sender.answers, {}
            ballast.unlink()
            until(lambda: sender.send().status == 200, "the first trace after it")
            service.wait_ready()
            until(lambda: reader.look().status == 200, "the first look after it")
            yield Outcome(
                service=service,
                before=before,
                during=during,
                after=sender.answers,
                looks=reader.answers,
                looks_while_full=while_full,
            )


def statuses(answers: dict[str, Answer]) -> Counter[int]:
    return Counter(answer.status for answer in answers.values())


def events(service: RunningService) -> list[tuple[str, str]]:
    """Who said what in the supervisor's output."""
    lines = [line[9:].partition(" | ") for line in service.output.read_text().splitlines()]
    return [(source.strip(), message) for source, bar, message in lines if bar]


def acknowledged(*parts: dict[str, Answer]) -> set[str]:
    return {trace for part in parts for trace, answer in part.items() if answer.status == 200}


if can_mount():

    def test_while_the_disk_is_full_every_refusal_is_a_503_that_says_when_to_come_back(outcome):
        refused = [answer for answer in outcome.during.values() if answer.status != 200]

        assert statuses(outcome.before) == {200: 2}
        assert {answer.status for answer in refused} == {503}
        assert {answer.headers["Retry-After"] for answer in refused} == {"5"}

    def test_what_was_acknowledged_is_there_once_and_nothing_is_half_written(outcome):
        rows = outcome.service.sql("region_eu", HEADERS)
        records = {record for _, record in rows}
        entries = outcome.service.sql(
            "region_eu", f"SELECT record_id FROM ledger_entry WHERE log_id IN ({INTERACTIONS})"
        )
        objects = outcome.service.sql(
            "region_eu", "SELECT record_id FROM vault_object WHERE role = 'input_messages'"
        )

        recorded = Counter(trace for trace, _ in rows)
        assert acknowledged(outcome.before, outcome.during, outcome.after) <= set(recorded)
        assert set(recorded.values()) == {1}
        assert Counter(record for (record,) in entries) == dict.fromkeys(records, 1)
        assert {record for (record,) in objects} == records

    def test_nobody_sees_a_content_that_could_not_be_recorded(outcome):
        seen = [answer for answer in outcome.looks if answer.status == 200]
        refused = [answer for answer in outcome.looks if answer.status != 200]
        recorded = outcome.service.sql(
            "region_eu", f"SELECT encode(header, 'escape') FROM access_event WHERE {LOOKS}"
        )

        # While the database was there, the limit of lookups may have been reached.
        assert {503} <= {answer.status for answer in refused} <= {429, 503}
        assert len(refused) >= outcome.looks_while_full == LOOKS_WHILE_FULL
        assert not any("contents" in answer.json() for answer in refused)
        # One that was recorded may have found no way back to who asked; none the other way round.
        assert len(recorded) >= len(seen) >= 2
        assert {answer.json()["access_record"] for answer in seen} <= {
            json.loads(header)["id"] for (header,) in recorded
        }

    def test_the_operator_is_told_once_when_it_begins_and_once_when_it_is_over(outcome):
        data = outcome.service.home / "servers" / "postgres"
        back = ("postgres", "ready again")

        def told_to_the_end():
            said = events(outcome.service)
            return said if back in [(who, what.partition(" (")[0]) for who, what in said] else None

        said = until(told_to_the_end, "the database's return in the output")

        deaths = Counter(source for source, message in said if message.startswith("died"))
        of_the_disk = [message for _, message in said if f"the disk under {data}" in message]
        assert deaths["postgres"] == 1
        assert set(deaths.values()) == {1}
        assert len(of_the_disk) == 2
        assert "MB free; free some space, everything goes on by itself" in of_the_disk[0]
        assert of_the_disk[1].endswith("has room again")

    def test_the_log_holds_and_is_signed_again(outcome):
        signed = (
            "SELECT 1 FROM ledger_head AS h WHERE h.size ="
            " (SELECT max(c.size) FROM ledger_checkpoint AS c WHERE c.log_id = h.log_id)"
        )
        until(lambda: outcome.service.sql("region_eu", signed), "a checkpoint of the whole log")

        code, report = outcome.service.verify()

        assert code == 0, report
