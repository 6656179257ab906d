"""`auditvault retention`: an operator carries a run out, sees how it ended, and lets one rest."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta

import pytest

from tests.integration.ingest.sending import chat
from tests.integration.privacy.running import DAY, Runs


@pytest.fixture
def runs(service, cluster, tenant):
    found = Runs(cluster, tenant)
    found.record(chat("a", user="anna"), chat("b", user="anna"))
    return found


@pytest.fixture
def retention(runs, tenant):
    """`retention("show", …)` is exit status and what was printed, as JSON unless told."""
    from django.core.management import call_command

    def run(*words, as_json=True):
        out, status = io.StringIO(), 0
        place = ["--tenant", tenant.slug, "--region", "eu", *(["--json"] if as_json else [])]
        try:
            call_command("retention", *map(str, words), *place, stdout=out)
        except SystemExit as stopped:
            status = stopped.code
        return status, json.loads(out.getvalue()) if as_json else out.getvalue()

    return run


def test_a_run_is_carried_out_and_shown(runs, retention):
    runs.policy()
    runs.witness()

    status, printed = retention("run")

    (done,) = printed["runs"]
    assert (status, done["outcome"], done["destroyed"]) == (0, "done", 2)
    assert retention("show")[1]["runs"] == [done]
    assert "destroyed 2" in retention("show", as_json=False)[1]
    assert runs.contents() == []


def test_all_of_it_goes_however_many_looks_it_takes(runs, retention, monkeypatch):
    from auditvault.privacy.retention import running

    monkeypatch.setattr(running, "BATCH", 1)
    monkeypatch.setitem(running.go_on.__kwdefaults__, "most_batches", 1)
    runs.policy()
    runs.witness()
    _, printed = retention("run")
    assert (printed["runs"][0]["outcome"], runs.contents()) == ("done", [])


def test_without_a_policy_everything_is_kept(runs, retention):
    status, printed = retention("run", as_json=False)
    assert (status, "everything is kept" in printed, len(runs.contents())) == (0, True, 2)


def test_a_clock_that_cannot_be_trusted_is_an_exit_code(runs, retention):
    runs.policy()
    runs.witness(datetime.now(UTC) + 2 * DAY)
    status, printed = retention("run")
    assert (status, printed["runs"][0]["clock"]) == (1, "witness")


def test_a_run_rests_and_goes_on_as_the_operator_says(runs, retention):
    runs.policy()
    runs.witness()
    run_id = runs.start().run_id
    assert retention("pause", "--run", run_id)[1]["runs"][0]["paused_at"]
    assert retention("run")[0] == 1
    assert len(runs.contents()) == 2
    assert retention("resume", "--run", run_id)[1]["runs"][0]["paused_at"] is None
    assert retention("run")[1]["runs"][0]["destroyed"] == 2
    assert [each["actor"] for each in runs.entries("retention.run_paused")] == ["operator:cli"]


def test_a_run_that_there_is_not_is_refused(retention):
    from django.core.management.base import CommandError

    with pytest.raises(CommandError, match="retention_run_not_found"):
        retention("pause", "--run", "00000000-0000-0000-0000-000000000001")


def test_tenants_that_nothing_goes_of_are_counted(runs, retention, client):
    from auditvault.privacy.retention.selectors import overdue_tenants

    before = overdue_tenants("eu")
    runs.policy(since=timedelta(hours=27))
    runs.witness()
    waiting = overdue_tenants("eu")
    retention("run")
    assert (waiting, overdue_tenants("eu")) == (before + 1, before)
    assert 'auditvault_retention_overdue{region="eu"}' in client.get("/metrics").content.decode()
