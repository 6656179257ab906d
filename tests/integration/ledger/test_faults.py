"""A request that fails at any of its statements leaves nothing half-written, and can simply be sent again."""

from __future__ import annotations

from functools import partial

import psycopg
import pytest

from tests.integration.evidence.verdict import findings
from tests.integration.ingest.sending import chat, protobuf_of, send
from tests.integration.ledger.faults import FaultyConnection, Plan, kill
from tests.integration.ledger.outage import drop_connections
from tests.integration.ledger.superuser import counts

# So many that a request goes over a tile's and a partition's border, as long as none has been recorded.
SPANS = 10
FILLED = 250
# Committed on their own, before the content they are for: harmless without it.
HARMLESS = {"vault_subject", "vault_identifier"}


class Fixture:
    """A tenant whose interactions log has small partitions, in the region `us`."""

    def __init__(self, client, tenant, cluster):
        from auditvault.ledger.logs import open_log

        self._client, self._tenant, self._cluster = client, tenant, cluster
        self._headers = tenant.headers("ingest", regions=("us",))
        open_log(
            region="us",
            tenant_id=tenant.tenant_id,
            kind="interactions",
            log_host="localhost",
            partition_entries=256,
        )
        assert self.send(self.body(FILLED)) == 200

    def body(self, count=SPANS):
        """New spans of a new person, with a session of its own and a new system prompt."""
        name = chat().trace_id.hex()
        spans = [
            chat(f"{n}", user=f"user {name}", session=name, system=f"Be {name}.")
            for n in range(count)
        ]
        return protobuf_of(*spans)

    def send(self, body):
        return send(self._client, self._tenant, body, headers=self._headers).status_code

    def rows(self):
        found = counts(self._cluster, self._tenant.tenant_id, "region_us")
        return {table: number for table, number in found.items() if table not in HARMLESS}

    def findings(self):
        return findings(self._tenant, with_payloads=True)


@pytest.fixture
def sender(client, tenant, cluster):
    yield Fixture(client, tenant, cluster)
    drop_connections()


def faulty(driver_connection, plan, wrapper):
    """The tables of the region and its keys; who asks is settled before they are touched."""
    raw = driver_connection(wrapper)
    return raw if wrapper.alias == "default" else FaultyConnection(raw, plan)


@pytest.mark.parametrize("how", ["before", "after", "killed before", "killed after"])
def test_a_failure_at_any_statement_leaves_nothing_and_costs_a_repetition(
    sender, cluster, monkeypatch, how
):
    from auditvault.ledger import scope

    driver_connection, whole = scope.driver_connection, sender.rows()
    bodies = []
    while True:
        bodies.append(sender.body())
        plan = Plan(cluster, len(bodies), how)
        with monkeypatch.context() as patch:
            patch.setattr(
                scope,
                "driver_connection",
                partial(faulty, driver_connection, plan),
            )
            answer = sender.send(bodies[-1])
        drop_connections()
        if not plan.happened:
            break
        assert (answer, sender.rows(), sender.findings()) == (503, whole, {})
    assert answer == 200
    assert len(bodies) > 10  # statements, each of which failed once
    assert {sender.send(body) for body in bodies} == {200}
    assert sender.rows()["traces_header"] == FILLED + SPANS * len(bodies)
    assert sender.findings() == {}


@pytest.fixture
def commits(monkeypatch, service):
    """Runs something else in place of each commit of a region's transaction that wrote."""
    from django.db.backends.base.base import BaseDatabaseWrapper

    commit = BaseDatabaseWrapper._commit
    state = {"instead": None}

    def patched(self):
        if self.alias == "region_us" and state["instead"] and wrote(self.connection):
            instead, state["instead"] = state["instead"], None
            return instead(self)
        return commit(self)

    monkeypatch.setattr(BaseDatabaseWrapper, "_commit", patched)
    return state, commit


def wrote(connection):
    """Whether the transaction has entries in it: the one that records a request."""
    found = connection.execute(
        "SELECT EXISTS (SELECT FROM ledger_head WHERE xmin = pg_current_xact_id_if_assigned()::xid)"
    )
    return found.fetchone()[0]


def test_a_failure_before_the_commit_leaves_nothing(sender, commits):
    state, _ = commits

    def fail(_wrapper):
        raise psycopg.OperationalError("made to fail")

    before, body = sender.rows(), sender.body()
    state["instead"] = fail
    assert (sender.send(body), sender.rows()) == (503, before)
    drop_connections()
    assert sender.findings() == {}
    assert sender.send(body) == 200
    assert sender.findings() == {}


def test_a_failure_after_the_commit_leaves_everything_and_the_repetition_is_recognised(
    sender, commits
):
    state, commit = commits

    def lose_the_answer(wrapper):
        commit(wrapper)
        raise psycopg.OperationalError("made to fail")

    before, body = sender.rows(), sender.body()
    state["instead"] = lose_the_answer
    assert sender.send(body) == 503
    drop_connections()
    after = sender.rows()
    assert after["ledger_entry"] == before["ledger_entry"] + SPANS
    assert (sender.send(body), sender.rows()) == (200, after)
    assert sender.findings() == {}


@pytest.mark.parametrize("attempt", range(4))
def test_a_process_that_dies_while_it_commits_leaves_all_or_nothing(
    sender, commits, cluster, attempt
):
    state, _ = commits

    def die(wrapper):
        connection = wrapper.connection
        connection.pgconn.send_query(b"COMMIT")
        kill(cluster, connection)
        raise psycopg.OperationalError("the answer never came")

    before, body = sender.rows(), sender.body()
    state["instead"] = die
    assert sender.send(body) == 503
    drop_connections()
    assert sender.rows()["ledger_entry"] in {before["ledger_entry"], before["ledger_entry"] + SPANS}
    assert sender.send(body) == 200
    assert sender.rows()["ledger_entry"] == before["ledger_entry"] + SPANS
    assert sender.findings() == {}
