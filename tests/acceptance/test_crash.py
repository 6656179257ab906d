"""`kill -9` of everything that matters, fifty times, while an OpenTelemetry exporter keeps sending.

What was acknowledged is there once, what was not is there whole or not at all, every log holds, and
the sender needed nothing but its own retries.
"""

from __future__ import annotations

import json
import os
import random
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.acceptance.running_service import (
    RunningService,
    children_of,
    is_running,
    running_service,
    until,
)
from tests.acceptance.steady_sender import steady_sender

pytestmark = pytest.mark.timeout(600)

PURPOSE = {"code": "INCIDENT", "case": "INC-9", "reason": "Checks what a crash has left behind"}
HEADERS = (
    "SELECT encode(trace_id || span_id, 'hex'), record_id, revision, header FROM traces_header"
)
INTERACTIONS = "SELECT log_id FROM ledger_log WHERE kind = 'interactions'"


def web_worker(service: RunningService) -> int:
    return until(lambda: children_of(service.pid("web")), "a web worker")[-1]


def database_backend(service: RunningService) -> int:
    """A process of the server that works for the service."""
    query = (
        "SELECT pid FROM pg_stat_activity WHERE usename = 'auditvault_app'"
        " AND datname = 'region_eu' ORDER BY state = 'active' DESC LIMIT 1"
    )
    ((pid,),) = until(lambda: service.sql("postgres", query), "a backend")
    return int(pid)


VICTIMS: dict[str, Callable[[RunningService], int]] = {
    "web worker": web_worker,
    "web": lambda service: service.pid("web"),
    "postgres": lambda service: service.pid("postgres"),
    "backend": database_backend,
    "signer": lambda service: service.pid("signer"),
    "worker": lambda service: service.pid("worker-eu"),
}
NAMED = {"web": "web", "postgres": "postgres", "signer": "signer", "worker": "worker-eu"}
KILLS = {"web worker": 9, "web": 7, "postgres": 6, "backend": 2, "signer": 13, "worker": 13}


@dataclass(frozen=True, slots=True, kw_only=True)
class Aftermath:
    """The service after fifty crashes, and what the sender wrote down meanwhile."""

    service: RunningService
    reader: str
    killed: list[str]
    journal: list[dict[str, Any]]

    @property
    def delivered(self) -> list[dict[str, Any]]:
        return [line for line in self.journal if line["delivered"]]


def kill(service: RunningService, name: str) -> None:
    """Kill one process and return once it is gone, replaced, and the service is ready."""
    victim = VICTIMS[name](service)
    os.kill(victim, signal.SIGKILL)
    until(lambda: not is_running(victim), f"the end of {name}")
    if name in NAMED:
        until(lambda: service.pid(NAMED[name]) != victim, f"another {name}")
    service.wait_ready()


@pytest.fixture(scope="module")
def service() -> Iterator[RunningService]:
    with running_service("--no-demo") as running:
        running.make_tenant("steady")
        yield running


@pytest.fixture(scope="module")
def aftermath(service: RunningService, tmp_path_factory: pytest.TempPathFactory) -> Aftermath:
    order = [name for name, times in KILLS.items() for _ in range(times)]
    chance = random.Random(2)
    chance.shuffle(order)
    token = service.make_token("steady", "ingest")
    reader = service.make_reader("steady", case=PURPOSE["case"])
    with steady_sender(service, token, tmp_path_factory.mktemp("sender")) as sender:
        sender.wait_for_more(20)
        for name in order:
            kill(service, name)
            # The stream has come back, and is killed each time somewhere else in it.
            sender.wait_for_more(chance.randint(1, 12))
        journal = sender.finish()
    return Aftermath(service=service, reader=reader, killed=order, journal=journal)


def signed_and_recorded(service: RunningService) -> tuple[int, int]:
    """Entries that the newest checkpoint covers, and entries in the log of interactions."""
    ((log,),) = service.sql("region_eu", INTERACTIONS)
    ((size,),) = service.sql("region_eu", "SELECT size FROM ledger_head WHERE log_id = %s", log)
    ((signed,),) = service.sql(
        "region_eu", "SELECT max(size) FROM ledger_checkpoint WHERE log_id = %s", log
    )
    return int(signed or 0), int(size)


def test_fifty_processes_were_killed_during_the_stream(aftermath):
    assert Counter(aftermath.killed) == KILLS
    assert KILLS.keys() == VICTIMS.keys()
    assert len(aftermath.killed) == 50
    assert len(aftermath.delivered) > 50


def test_the_sender_needed_no_special_care(aftermath):
    assert [line for line in aftermath.journal if not line["delivered"]] == []


def test_every_acknowledged_span_is_recorded_exactly_once(aftermath):
    acknowledged = [span for line in aftermath.delivered for span in line["spans"]]

    rows = aftermath.service.sql("region_eu", HEADERS)

    recorded = Counter(span for span, _, _, _ in rows)
    assert {span for span in acknowledged if recorded[span] != 1} == set()
    assert {span for span, count in recorded.items() if count != 1} == set()
    assert {revision for _, _, revision, _ in rows} == {0}


def test_every_record_has_one_entry_and_every_entry_a_record(aftermath):
    ((log,),) = aftermath.service.sql("region_eu", INTERACTIONS)
    query = "SELECT idx, record_id FROM ledger_entry WHERE log_id = %s ORDER BY idx"

    entries = aftermath.service.sql("region_eu", query, log)

    records = [record for _, record, _, _ in aftermath.service.sql("region_eu", HEADERS)]
    assert [index for index, _ in entries] == list(range(len(records)))
    assert {record for _, record in entries} == set(records)


def test_no_record_is_half_written(aftermath):
    headers = [json.loads(bytes(row[3])) for row in aftermath.service.sql("region_eu", HEADERS)]
    said = {item["object"] for header in headers for item in header["contents"]}

    rows = aftermath.service.sql("region_eu", "SELECT object_id, record_id FROM vault_object")

    stored = {str(object_id) for object_id, _ in rows}
    looks = aftermath.service.sql("region_eu", "SELECT record_id FROM access_event")
    records = {header["id"] for header in headers} | {str(record) for (record,) in looks}
    assert said <= stored
    assert {str(record) for _, record in rows} <= records


def test_contents_recorded_between_crashes_still_open(aftermath):
    lines = aftermath.delivered[:: max(1, len(aftermath.delivered) // 25)]

    for line in lines:
        body = {"content_hash": f"sha256:{line['prompt_sha256']}", "purpose": PURPOSE}
        answer = aftermath.service.post("/api/v1/resolve", body, aftermath.reader)

        assert answer.status == 200
        assert [item["role"] for item in answer.json()["contents"]] == ["input_messages"]


def test_every_log_holds_by_the_signers_own_memory(aftermath):
    until(
        lambda: (state := signed_and_recorded(aftermath.service))[0] == state[1],
        "a checkpoint of the whole log",
    )

    code, report = aftermath.service.verify()

    assert code == 0, report
    assert report["verdict"] == "holds"
    assert {note for log in report["logs"] for note in log["notes"]} == set()


def test_checkpoints_go_on(aftermath, tmp_path):
    token = aftermath.service.make_token("steady", "ingest")
    before, _ = signed_and_recorded(aftermath.service)

    with steady_sender(aftermath.service, token, tmp_path) as sender:
        sender.wait_for_more(3)
        sender.finish()

    until(lambda: signed_and_recorded(aftermath.service)[0] > before, "a newer checkpoint")
    until(
        lambda: (state := signed_and_recorded(aftermath.service))[0] == state[1],
        "a checkpoint of the whole log",
    )


def test_jobs_go_on_when_worker_and_beat_are_killed(service):
    job = "sweep_orphan_keys"
    last = "SELECT finished_at, outcome FROM scheduled_job WHERE name = %s"
    until(lambda: service.sql("region_eu", f"{last} AND outcome = 'ok'", job), "its first run")

    victims = [service.pid("worker-eu"), service.pid("beat")]
    for victim in victims:
        os.kill(victim, signal.SIGKILL)
    # Not in half an hour: now.
    ((killed_at,),) = service.sql(
        "region_eu",
        "UPDATE scheduled_job SET due_at = now() WHERE name = %s RETURNING clock_timestamp()",
        job,
    )

    rows = until(
        lambda: service.sql("region_eu", f"{last} AND finished_at > %s", job, killed_at),
        "another run",
    )
    assert rows[0][1] == "ok"
    assert {service.pid("worker-eu"), service.pid("beat")}.isdisjoint(victims)
