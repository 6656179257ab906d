"""A clock that is off is recorded in the operator's log, once an hour, and shown."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime, timedelta

import pytest

from auditvault.core.tlog.commitment import verify_header_commitment
from auditvault.core.tlog.entry import Entry
from tests.integration.ledger.superuser import superuser

REGION = "eu"
HOUR = 3600.0
NIL = "00000000-0000-0000-0000-000000000000"


class Host:
    """A host's clocks: one as far ahead of the database's as it is told, and a monotonic one."""

    def __init__(self):
        self.ahead = timedelta(0)
        self.monotonic = 1000.0

    def now(self):
        return datetime.now(UTC) + self.ahead


@pytest.fixture
def host():
    return Host()


@pytest.fixture
def watch(service, cluster, host):
    """A process's watch on those clocks; the operator's log is gone before and after."""
    from auditvault.evidence.clock import ClockWatch

    forget(cluster)
    yield ClockWatch(host_clock=host.now, monotonic=lambda: host.monotonic)
    forget(cluster)


def forget(cluster):
    from auditvault.ledger.logs import log_ref

    with superuser(cluster, "region_eu") as connection:
        connection.execute("SET session_replication_role = replica")
        logs = connection.execute(
            "SELECT log_id FROM ledger_log WHERE tenant_id = %s", (NIL,)
        ).fetchall()
        for (log_id,) in logs:
            connection.execute(f"DROP TABLE ledger_entry_{log_id}_0")
        for table in ("ledger_checkpoint", "ledger_head", "ledger_log", "admin_event"):
            connection.execute(f"DELETE FROM {table} WHERE tenant_id = %s", (NIL,))
    log_ref.cache_clear()


def recorded(cluster):
    """The details of every record of the operator's log, after each was held against its entry."""
    with superuser(cluster, "region_eu") as connection:
        rows = connection.execute(
            "SELECT e.entry, a.opening, a.header, a.action, a.recorded_at, l.kind FROM ledger_log AS l"
            " JOIN ledger_entry AS e USING (tenant_id, log_id)"
            " LEFT JOIN admin_event AS a USING (tenant_id, record_id)"
            " WHERE tenant_id = %s ORDER BY idx",
            (NIL,),
        ).fetchall()
    found = []
    for data, opening, header, action, recorded_at, kind in rows:
        entry = Entry.from_bytes(data)
        verify_header_commitment(
            commitment=entry.commitment,
            opening=opening,
            entry_type="clock.skew",
            header_bytes=header,
        )
        members = json.loads(header)
        assert (kind, action, entry.type, members["action"]) == ("admin", *["clock.skew"] * 3)
        assert datetime.fromisoformat(members["recorded_at"]) == recorded_at
        found.append(members["details"])
    return found


def test_a_clock_that_is_right_is_not_recorded(watch, cluster):
    for _ in range(3):
        assert not watch.look(REGION).is_skewed
    assert recorded(cluster) == []


@pytest.mark.parametrize("ahead", [5, -5, 86_400 * 400, -86_400 * 400])
def test_a_clock_that_disagrees_is_recorded(ahead, watch, host, cluster, caplog):
    host.ahead = timedelta(seconds=ahead)
    watch.look(REGION)
    (details,) = recorded(cluster)
    assert (details["found"], details["bound_ms"]) == (["disagrees"], 2000)
    assert abs(details["offset_ms"] - ahead * 1000) < 1000
    assert [line.levelname for line in caplog.records] == ["CRITICAL"]


def test_the_record_has_the_databases_time(watch, host, cluster):
    host.ahead = timedelta(days=400)
    watch.look(REGION)
    with superuser(cluster, "region_eu") as connection:
        old = connection.execute(
            "SELECT clock_timestamp() - recorded_at FROM admin_event WHERE tenant_id = %s", (NIL,)
        ).fetchone()[0]
    assert timedelta(0) <= old < timedelta(minutes=1)


@pytest.mark.parametrize("step", [1.5, -1.5])
def test_a_clock_within_the_bound_is_not_recorded(step, watch, host, cluster):
    host.ahead = timedelta(seconds=step)
    watch.look(REGION)
    assert recorded(cluster) == []


def test_a_clock_that_jumps_is_recorded_though_it_agrees(watch, host, cluster):
    """As where database and host are one machine: both went on by an hour that did not pass."""
    host.monotonic += HOUR
    watch.look(REGION)
    host.monotonic -= HOUR
    watch.look(REGION)
    (details,) = recorded(cluster)
    assert details["found"] == ["jumped"]
    assert abs(details["jump_ms"] - HOUR * 1000) < 1000


def test_the_bound_is_the_settings(watch, host, cluster):
    from django.test import override_settings

    host.ahead = timedelta(seconds=5)
    with override_settings(CLOCK_SKEW_SECONDS=10):
        watch.look(REGION)
    assert recorded(cluster) == []


def test_a_clock_that_stays_off_is_recorded_once_an_hour(watch, host, cluster):
    host.ahead = timedelta(seconds=5)
    counts = []
    for passing in (0, HOUR - 1, 1, 1, HOUR):
        host.monotonic += passing
        host.ahead += timedelta(seconds=passing)
        watch.look(REGION)
        counts.append(len(recorded(cluster)))
    assert counts == [1, 1, 2, 2, 3]


def test_every_process_records_for_itself(watch, host, cluster):
    from auditvault.evidence.clock import ClockWatch

    host.ahead = timedelta(seconds=5)
    for each in (watch, ClockWatch(host_clock=host.now, monotonic=lambda: host.monotonic)):
        each.look(REGION)
    assert len(recorded(cluster)) == 2


def test_a_slow_database_is_no_skew(watch, host, cluster):
    ticks = itertools.count(0, 30)
    watch._monotonic = lambda: float(next(ticks))
    host.ahead = timedelta(seconds=-5)
    assert not watch.look(REGION).is_skewed
    assert recorded(cluster) == []


def test_what_could_not_be_recorded_is_recorded_at_the_next_look(watch, host, cluster, caplog):
    host.ahead = timedelta(seconds=5)
    with superuser(cluster, "region_eu") as connection:
        connection.execute("REVOKE INSERT ON admin_event FROM auditvault_app")
        try:
            watch.look(REGION)
        finally:
            connection.execute("GRANT INSERT ON admin_event TO auditvault_app")
    assert recorded(cluster) == []
    assert "could not be recorded" in caplog.text
    watch.look(REGION)
    assert len(recorded(cluster)) == 1


def test_a_database_that_is_away_is_no_finding_and_stops_nobody(watch, monkeypatch, caplog):
    from django.db import OperationalError

    from auditvault.evidence import clock

    def refuse(_alias):
        raise OperationalError

    monkeypatch.setattr(clock, "usable_connection", refuse)
    assert watch.look(REGION) is None
    assert [line.levelname for line in caplog.records] == ["WARNING"]


def test_the_operators_log_is_signed_like_any(watch, host, cluster, run_signer):
    host.ahead = timedelta(seconds=5)
    watch.look(REGION)
    run_signer()
    with superuser(cluster, "region_eu") as connection:
        sizes = connection.execute(
            "SELECT size FROM ledger_checkpoint WHERE tenant_id = %s", (NIL,)
        ).fetchall()
    assert sizes == [(1,)]


def test_no_tenant_sees_the_operators_records(watch, host, tenant):
    from auditvault.ledger.scope import region_alias, tenant_scope

    host.ahead = timedelta(seconds=5)
    watch.look(REGION)
    with tenant_scope(region_alias(REGION), tenant.tenant_id) as connection:
        assert connection.execute("SELECT count(*) FROM admin_event").fetchone() == (0,)


def figure(client, name):
    text = client.get("/metrics").content.decode()
    lines = [line for line in text.splitlines() if line.startswith(f'{name}{{region="eu"}}')]
    return float(lines[0].split()[-1]) if lines else None


def test_offset_and_last_record_are_in_the_metrics(watch, host, client, monkeypatch):
    from auditvault.api import time_figures

    monkeypatch.setattr(time_figures, "WATCH", watch)
    assert figure(client, "auditvault_clock_skew_recorded_timestamp_seconds") is None
    host.ahead = timedelta(seconds=50)
    assert 49 < figure(client, "auditvault_clock_offset_seconds") < 51
    last = figure(client, "auditvault_clock_skew_recorded_timestamp_seconds")
    assert abs(last - datetime.now(UTC).timestamp()) < 60


def test_a_workers_tick_looks_at_the_clock(watch, host, cluster, monkeypatch):
    from auditvault.evidence import tasks

    monkeypatch.setattr(tasks, "WATCH", watch)
    monkeypatch.setattr(tasks, "JOBS", [])
    host.ahead = timedelta(seconds=5)
    tasks.run_due_jobs(REGION)
    assert len(recorded(cluster)) == 1
