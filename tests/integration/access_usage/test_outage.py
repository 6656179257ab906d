"""The access log cannot be written: looks are refused, and that is recorded once it can be."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from tests.conftest import ROOT
from tests.integration.ingest.sending import chat, record
from tests.integration.ledger.outage import unreachable
from tests.integration.ledger.superuser import superuser
from tests.integration.vault.looking import resolve

NOW = datetime.now(UTC)


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home of the test's own, and a process that remembers nothing."""
    from django.conf import settings

    from auditvault.access.events import refused

    monkeypatch.setattr(settings, "HOME", tmp_path)
    fresh = refused.RefusedLooks(lambda: tmp_path / "outages")
    for name in ("_open", "_files", "_totals"):
        monkeypatch.setattr(refused.REFUSED, name, getattr(fresh, name))
    return tmp_path


def entries(cluster, tenant):
    with superuser(cluster, "region_eu") as connection:
        rows = connection.execute(
            "SELECT header FROM access_event WHERE tenant_id = %s AND action = 'outage' ORDER BY record_id",
            (tenant.tenant_id,),
        ).fetchall()
    return [json.loads(bytes(row[0])) for row in rows]


def alerts(cluster, tenant):
    with superuser(cluster, "region_eu") as connection:
        rows = connection.execute(
            "SELECT details FROM access_alert WHERE tenant_id = %s AND kind = 'access_outage'",
            (tenant.tenant_id,),
        ).fetchall()
    return [json.loads(bytes(row[0])) for row in rows]


def files(home):
    return sorted((home / "outages").glob("*")) if (home / "outages").exists() else []


def test_a_stopped_region_refuses_looks_and_says_so_when_it_is_back(
    client, tenant, cluster, home, run_signer
):
    record(client, tenant, chat("before"))
    assert resolve(client, tenant, "before").status_code == 200
    with unreachable(cluster, "region_eu"):
        for _ in range(3):
            assert resolve(client, tenant, "before").status_code == 503
        (path,) = files(home)
        assert "before" not in path.read_text()
    assert entries(cluster, tenant) == []
    assert resolve(client, tenant, "before").status_code == 200
    (header,) = entries(cluster, tenant)
    details = header["details"]
    assert (header["actor"], header["outcome"], details["refused"]) == ("service", "denied", 3)
    assert details["from"] <= details["until"]
    assert alerts(cluster, tenant) == [details]
    assert files(home) == []
    run_signer()
    assert resolve(client, tenant, "before").status_code == 200
    assert len(entries(cluster, tenant)) == 1


def test_a_search_that_is_refused_counts_too(client, tenant, cluster, home):
    record(client, tenant, chat("before"))
    headers = tenant.headers("auditor")
    body = {"data": "{}", "content_type": "application/json", "headers": headers}
    assert client.post("/api/v1/traces/search", **body).status_code == 200
    with unreachable(cluster, "region_eu"):
        assert client.post("/api/v1/traces/search", **body).status_code == 503
    client.get("/metrics")
    assert [each["details"]["refused"] for each in entries(cluster, tenant)] == [1]


def test_refused_looks_are_counted_in_the_metrics(client, tenant, cluster, home):
    tenant.cleared()
    with unreachable(cluster, "region_eu"):
        for _ in range(2):
            resolve(client, tenant, "anything")
    assert 'auditvault_refused_looks{region="eu"} 2.0' in client.get("/metrics").content.decode()


def test_an_outage_that_cannot_be_recorded_yet_stays_remembered(tenant, cluster, home):
    from auditvault.access.events.refused import REFUSED
    from auditvault.access.outages import settle

    REFUSED.note(region="eu", tenant_id=tenant.tenant_id, now=NOW)
    with unreachable(cluster, "region_eu"):
        assert settle("eu", NOW) == 0
        later = NOW + timedelta(minutes=1)
        REFUSED.note(region="eu", tenant_id=tenant.tenant_id, now=later)
    assert settle("eu", NOW) == 1
    (header,) = entries(cluster, tenant)
    assert header["details"]["refused"] == 2
    assert header["details"]["from"] < header["details"]["until"]


def test_without_room_for_the_file_the_memory_is_enough(tenant, cluster, home, monkeypatch):
    from auditvault.access.events.refused import REFUSED
    from auditvault.access.outages import settle

    def full(*_args):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        REFUSED.note(region="eu", tenant_id=tenant.tenant_id, now=NOW)
    assert settle("eu", NOW) == 1
    assert [each["details"]["refused"] for each in entries(cluster, tenant)] == [1]


VICTIM = """
import os, sys
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID
from auditvault.access.events.refused import RefusedLooks
RefusedLooks(lambda: Path(sys.argv[1])).note(region="eu", tenant_id=UUID(sys.argv[2]), now=datetime.now(UTC))
os._exit(9)
"""


def test_what_a_killed_process_left_behind_is_recorded_by_another(tenant, cluster, home):
    from auditvault.access.events.refused import REFUSED
    from auditvault.access.outages import settle_left_behind

    words = [sys.executable, "-c", VICTIM, str(home / "outages"), str(tenant.tenant_id)]
    assert subprocess.run(words, check=False, cwd=ROOT).returncode == 9
    REFUSED.note(region="eu", tenant_id=tenant.tenant_id, now=NOW)
    assert len(files(home)) == 2
    assert settle_left_behind("eu", NOW) == 1  # not that of the process that lives
    assert [each["details"]["refused"] for each in entries(cluster, tenant)] == [1]
    assert len(files(home)) == 1


def test_a_torn_file_still_says_that_there_was_an_outage(tenant, home, caplog):
    from auditvault.access.outages import settle_left_behind

    (home / "outages").mkdir()
    (home / "outages" / "eu.1.2.json").write_text('{"v":"audit')
    assert settle_left_behind("eu", NOW) == 0
    assert "torn" in caplog.text
    assert files(home) == []
