"""An epoch of keys turns in a running service: nobody who sends or reads notices, and a restart changes nothing."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.otlp_bodies import make_request, make_span
from tests.acceptance.running_service import RunningService, scratch_directory, service_in, until

pytestmark = pytest.mark.timeout(300)
PURPOSE = {"code": "INCIDENT", "case": "INC-9", "reason": "Checks what a turn has left behind"}


@pytest.fixture
def home() -> Iterator[Path]:
    with scratch_directory() as parent:
        yield parent / "home"


def say(service: RunningService, token: str, words: str) -> None:
    """Record what Anna said."""
    attributes = {"gen_ai.operation.name": "chat", "gen_ai.input.messages": words, "user.id": "a"}
    body = make_request([make_span("chat", attributes)]).SerializeToString()
    assert service.send(body, token).status == 200


def read(service: RunningService, token: str, words: str) -> list[str]:
    """What is found under the SHA-256 of these words."""
    digest = hashlib.sha256(words.encode()).hexdigest()
    answer = service.post(
        "/api/v1/resolve", {"content_hash": f"sha256:{digest}", "purpose": PURPOSE}, token
    )
    assert answer.status == 200, answer.body
    return [item["content"] for item in answer.json()["contents"]]


def listeners(service: RunningService) -> int:
    """How many processes listen to the keyring."""
    ((count,),) = service.sql(
        "keys_eu",
        "SELECT count(*) FROM pg_stat_activity WHERE query = 'LISTEN auditvault_keys'",
    )
    return int(count)


def outcomes(service: RunningService) -> dict[str, str]:
    """How each job of keys ended, once both have run."""
    rows = service.sql(
        "region_eu",
        "SELECT name, outcome FROM scheduled_job WHERE outcome IS NOT NULL"
        " AND name IN ('turn_key_epoch', 'rotate_keys')",
    )
    return dict(rows) if len(rows) == 2 else {}


def test_an_epoch_turns_while_the_service_runs_and_a_restart_finds_its_keys(home: Path) -> None:
    said = ["before", "in epoch 2", "in epoch 3", "after a restart"]
    with service_in(home, "--no-demo") as service:
        tenant = service.make_tenant("epochs")
        sender = service.make_token(tenant, "ingest")
        reader = service.make_reader(tenant, case=PURPOSE["case"])
        say(service, sender, said[0])
        assert read(service, reader, said[0]) == [said[0]]
        assert until(lambda: listeners(service), "a web worker that listens")
        for epoch in (2, 3):
            alone = {"AUDITVAULT_COMMANDS_WITHOUT_APPROVAL": "true"}
            done = service.command("keys", "turn", "--region", "eu", "--json", **alone)
            assert done.returncode == 0, done.stdout + done.stderr
            turn = json.loads(done.stdout)["turn"]
            assert (turn["epoch"], turn["state"]) == (epoch, "done")
            say(service, sender, said[epoch - 1])
            for words in said[:epoch]:
                assert read(service, reader, words) == [words]
        jobs = until(lambda: outcomes(service), "the jobs of keys")
        assert set(jobs.values()) == {"ok"}
    shutil.rmtree(home.parent / "tmp")
    with service_in(home, "--no-demo") as service:
        assert read(service, reader, said[0]) == [said[0]]
        say(service, sender, said[3])
        assert read(service, reader, said[3]) == [said[3]]
        verdict, report = service.verify()
        assert (verdict, report["verdict"]) == (0, "holds")
        opened = sum(log["payloads"] or 0 for log in report["logs"] if log["region"] == "eu")
        assert opened >= len(said)
