"""A prune that fails at any step, before it or after it persisted, is finished by running the command again."""

from __future__ import annotations

from functools import partial

import psycopg
import pytest

from tests.integration.evidence.verdict import findings
from tests.integration.evidence_pruning.old_logs import (
    OLD,
    PARTITION,
    REGION,
    YOUNG,
    rows,
    run,
)
from tests.integration.ledger.faults import FaultyConnection, Plan
from tests.integration.ledger.outage import drop_connections

HOW = ["before", "after", "killed before", "killed after"]


@pytest.fixture
def whole(expired, cluster, tenant):
    """`whole()` says whether every entry is there, and how many prunes were recorded."""

    def look():
        entries = rows(cluster, tenant, "ledger_entry")
        prunes = rows(cluster, tenant, "ledger_prune")
        assert entries == OLD + YOUNG + prunes
        return prunes

    yield look
    drop_connections()


def finish(log, policy, run_signer, cluster, tenant):
    """The normal path to the end, one prune and no more, and a log that holds."""
    drop_connections()
    if run(log, policy)[1]["state"] == "pending":
        run_signer()
        assert run(log, policy)[1]["state"] == "pruned"
    run_signer()
    assert rows(cluster, tenant, "ledger_prune") == 1
    assert rows(cluster, tenant, "ledger_pruned") == 1
    assert rows(cluster, tenant, "ledger_entry") == OLD + YOUNG + 1 - 2 * PARTITION
    assert rows(cluster, tenant, "traces_header") == OLD + YOUNG - 2 * PARTITION
    assert findings(tenant, region=REGION) == {}


def faulty(driver_connection, plan, wrapper):
    raw = driver_connection(wrapper)
    return FaultyConnection(raw, plan) if wrapper.alias == f"region_{REGION}" else raw


@pytest.mark.parametrize("how", HOW)
def test_recording_that_fails_at_any_statement_records_nothing(
    expired, policy, run_signer, cluster, tenant, whole, monkeypatch, how
):
    from auditvault.ledger import scope

    driver_connection, at = scope.driver_connection, 0
    while True:
        at += 1
        plan = Plan(cluster, at, how)
        with monkeypatch.context() as patch:
            patch.setattr(scope, "driver_connection", partial(faulty, driver_connection, plan))
            code, _ = run(expired, policy)
        drop_connections()
        if whole():
            break
        assert code == 2
        assert plan.happened
    assert at > 20  # statements, each of which failed once
    finish(expired, policy, run_signer, cluster, tenant)


def test_a_record_whose_commit_failed_is_not_there(
    expired, policy, run_signer, cluster, tenant, whole, commits
):
    def fail(_wrapper, _commit):
        raise psycopg.OperationalError("made to fail")

    commits["instead"] = fail
    assert run(expired, policy)[0] == 2
    assert whole() == 0
    finish(expired, policy, run_signer, cluster, tenant)


def test_a_record_whose_commit_was_not_heard_of_is_finished_and_not_repeated(
    expired, policy, run_signer, cluster, tenant, whole, commits
):
    def lose_the_answer(wrapper, commit):
        commit(wrapper)
        raise psycopg.OperationalError("made to fail")

    commits["instead"] = lose_the_answer
    assert run(expired, policy)[0] == 2
    assert whole() == 1
    finish(expired, policy, run_signer, cluster, tenant)


@pytest.fixture
def commits(monkeypatch, service):
    """Runs something else in place of the commit of a prune record."""
    from django.db.backends.base.base import BaseDatabaseWrapper

    commit = BaseDatabaseWrapper._commit
    state = {"instead": None}

    def patched(self):
        if self.alias == f"region_{REGION}" and state["instead"] and recorded(self.connection):
            instead, state["instead"] = state["instead"], None
            return instead(self, commit)
        return commit(self)

    monkeypatch.setattr(BaseDatabaseWrapper, "_commit", patched)
    return state


def recorded(connection):
    return connection.execute(
        "SELECT EXISTS (SELECT FROM ledger_prune WHERE xmin = pg_current_xact_id_if_assigned()::xid)"
    ).fetchone()[0]


@pytest.mark.parametrize("how", HOW)
def test_dropping_that_fails_or_is_not_heard_of_is_finished(
    expired, policy, run_signer, cluster, tenant, monkeypatch, how
):
    from auditvault.evidence.pruning import services

    run(expired, policy)
    run_signer()
    usable, failed = services.usable_connection, []

    class Dropping:
        """The retention role's connection, whose dropping statement goes through a plan."""

        def __init__(self, connection):
            self._connection = connection

        def execute(self, query, values):
            if "evidence_prune(" not in query:
                return self._connection.execute(query, values)
            failed.append(query)
            return FaultyConnection(self._connection, Plan(cluster, 1, how)).execute(query, values)

    with monkeypatch.context() as patch:
        patch.setattr(services, "usable_connection", lambda alias: Dropping(usable(alias)))
        code, _ = run(expired, policy)
    if how != "killed after":  # the statement's answer had come before the server died
        assert code == 2
    assert failed
    left = rows(cluster, tenant, "ledger_entry")
    gone = 0 if how.endswith("before") else 2 * PARTITION
    assert left == OLD + YOUNG + 1 - gone
    finish(expired, policy, run_signer, cluster, tenant)


def test_two_commands_at_once_record_one_prune(
    expired, policy, run_signer, cluster, tenant, monkeypatch
):
    from auditvault.evidence.pruning import services

    decide, raced = services.record_prune, []

    def overtaken(connection, **words):
        if not raced:
            raced.append("")
            raced[0] = other_process(cluster, expired, policy)
        return decide(connection, **words)

    monkeypatch.setattr(services, "record_prune", overtaken)
    assert run(expired, policy)[0] == 2
    assert raced == [3]
    finish(expired, policy, run_signer, cluster, tenant)


def other_process(cluster, log, policy):
    """Exit code of the command in a process of its own."""
    import subprocess
    import sys

    words = ["prune", "--region", REGION, "--log", log.origin, "--policy", str(policy)]
    done = subprocess.run(
        [sys.executable, "manage.py", *words, "--wait", "0"],
        env=cluster.environment("operator") | {"AUDITVAULT_COMMANDS_WITHOUT_APPROVAL": "yes"},
        capture_output=True,
        check=False,
    )
    return done.returncode
