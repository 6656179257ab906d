"""Retention runs: what is past its time is planned, destroyed as planned, looked for again, and recorded.

Order, and what a crash leaves behind; each step is one transaction, or a batch of such:

1. Candidates, plan and the entry that names it.  Crash: nothing. Where the clock is not trusted, the policy has lapsed
   or nothing is due, the run ends here, with its record.
2. The plan is made again. The same: it is carried out from here on. Another: the run ends, nothing is destroyed.
   Crash: a plan that nothing was done of; the next look goes on.
3. Batches: each content is looked at again, destroyed, and noted, in one transaction.  Crash: some batches are done,
   and counted. The next look goes on with the rest.
4. What should be gone is looked for, and the run ends with its record.  Crash: looked for again.

Two workers at one run take different contents, and one of them ends it. Whoever pauses waits for the batch that is
being done.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import date, datetime
from typing import Any
from uuid import UUID

import psycopg

from auditvault.core.policy.retention import PolicyLapsedError
from auditvault.core.policy.retention_policy import RecordClass, RetentionPolicy
from auditvault.core.policy.retention_run import RunOutcome, candidates_root, distrust
from auditvault.core.tlog.canonical import JsonValue, parse_canonical
from auditvault.ledger.admin.services import admin_log, new_record_id, record_in
from auditvault.ledger.logs import LogRef
from auditvault.ledger.scope import region_alias, retention_connection, tenant_scope
from auditvault.privacy.failures import FAILURES
from auditvault.privacy.retention import store
from auditvault.privacy.retention.clocks import read_clocks
from auditvault.privacy.retention.preview import Cuts, payload_cuts
from auditvault.privacy.retention.selectors import version_in_force
from auditvault.privacy.retention.store import Found, Run, plan_of

log = logging.getLogger("auditvault.privacy")

ENTRY_TYPE_PLANNED = "retention.planned"
ENTRY_TYPE_RAN = "retention.ran"
ENTRY_TYPE_PAUSED = "retention.run_paused"
ENTRY_TYPE_RESUMED = "retention.run_resumed"
SCHEDULE = "schedule"
"""The actor of runs that nobody asked for."""
BATCH = 500
"""Contents in one transaction."""
BATCHES_AT_ONCE = 20
"""In one look of the schedule, which comes every ten seconds: at most 1000 contents a second go."""
_NOTHING = Found(root=candidates_root([]), due=0, shared=0)


def run_region(region: str, clock: Callable[[], datetime]) -> int:
    """Start what is due today, and go on with what was begun, of every tenant; how many runs were looked at.

    One that fails does not keep the others.
    """
    rows = retention_connection(region).execute("SELECT * FROM retention_work()").fetchall()
    for tenant_id, run_id in rows:
        try:
            run = start_run(region=region, tenant_id=tenant_id, now=clock(), actor=SCHEDULE)
            if run is not None and run.is_open:
                go_on(region=region, tenant_id=tenant_id, run_id=run.run_id, now=clock())
        except FAILURES:
            log.exception(
                "retention run %s of tenant %s in %s did not go on", run_id, tenant_id, region
            )
    return len(rows)


def start_run(*, region: str, tenant_id: UUID, now: datetime, actor: str) -> Run | None:
    """Plan a run, or find the one that has not ended; None where the tenant has no policy in force.

    `actor` is who asked for it, as it stands in entries. What is planned is not destroyed here: `go_on`.
    """
    admin = admin_log(region, tenant_id)
    with tenant_scope(region_alias(region), tenant_id) as connection:
        _lock(connection, tenant_id)
        there = store.open_run(connection)
        if there is not None:
            return there
        clocks = read_clocks(connection, host_at=now)
        version = version_in_force(connection, now=clocks.database_at)
        if version is None:
            return None
        number, policy = version
        today = min(clocks.host_at, clocks.database_at).date()
        run_id = new_record_id(connection)
        found, outcome, reason = _NOTHING, None, distrust(clocks)
        if reason is not None:
            outcome = RunOutcome.CLOCK_UNTRUSTED
        else:
            try:
                cuts = payload_cuts(policy, tenant_id=tenant_id, region=region, today=today)
            except PolicyLapsedError:
                outcome = RunOutcome.POLICY_LAPSED
            else:
                found = store.list_candidates(connection, tenant_id, run_id, cuts)
                outcome = None if found.due else RunOutcome.NOTHING_DUE
        plan = plan_of(
            tenant_id=tenant_id, region=region, policy=policy.sha256, as_of=today, found=found
        )
        store.store_plan(connection, run_id, plan, number)
        run = store.run_of(connection, run_id)
        if outcome is not None:
            _end(connection, admin, run, outcome, reason=reason)
        else:
            record_in(
                connection,
                admin,
                record_id=new_record_id(connection),
                action=ENTRY_TYPE_PLANNED,
                details={**_named(run), "due": run.due, "shared": run.shared, "actor": actor},
            )
        return store.run_of(connection, run_id)


def go_on(
    *,
    region: str,
    tenant_id: UUID,
    run_id: UUID,
    now: datetime,
    most_batches: int = BATCHES_AT_ONCE,
) -> Run:
    """Carry a run out, by at most so many batches; returns it as it then is.

    Raises RunNotFoundError; RegionUnavailableError where this process has not the retention role's credentials.
    """
    admin = admin_log(region, tenant_id)
    with tenant_scope(region_alias(region), tenant_id) as connection:
        _lock(connection, tenant_id)
        run = store.run_of(connection, run_id)
        if not run.is_open or run.paused_at is not None:
            return run
        cuts = _allowed(connection, admin, region, run, now)
    if cuts is None:
        return _read(region, tenant_id, run_id)
    retention = retention_connection(region)
    for _ in range(most_batches):
        outcome = _batch(retention, tenant_id, run_id, cuts)
        if outcome == "drifted":
            _finish(region, admin, run_id, cuts, RunOutcome.DRIFTED)
        elif outcome == "nothing_left":
            _finish(region, admin, run_id, cuts, RunOutcome.DONE)
        if outcome != "went":
            break
    return _read(region, tenant_id, run_id)


def pause_run(*, region: str, tenant_id: UUID, run_id: UUID, actor: str, is_paused: bool) -> Run:
    """Let a run rest, or go on; recorded. Raises RunNotFoundError, RunEndedError."""
    admin = admin_log(region, tenant_id)
    with tenant_scope(region_alias(region), tenant_id) as connection:
        store.run_of(connection, run_id)
        if not store.set_paused(connection, run_id, is_paused=is_paused):
            raise store.RunEndedError("The run has ended, or is so already.")
        record_in(
            connection,
            admin,
            record_id=new_record_id(connection),
            action=ENTRY_TYPE_PAUSED if is_paused else ENTRY_TYPE_RESUMED,
            details={"run": str(run_id), "actor": actor},
        )
        return store.run_of(connection, run_id)


def newest_runs(*, region: str, tenant_id: UUID, most: int) -> list[Run]:
    """The newest runs of the tenant there, newest first."""
    with tenant_scope(region_alias(region), tenant_id) as connection:
        return store.runs(connection, most=most)


def _lock(connection: psycopg.Connection[Any], tenant_id: UUID) -> None:
    """One plan is made, or made again, at a time: while somebody destroys, it would be another."""
    connection.execute(
        "SELECT pg_advisory_xact_lock(hashtext('retention_run'), hashtext(%s::text))", (tenant_id,)
    )


def _read(region: str, tenant_id: UUID, run_id: UUID) -> Run:
    with tenant_scope(region_alias(region), tenant_id) as connection:
        return store.run_of(connection, run_id)


def _allowed(
    connection: psycopg.Connection[Any], admin: LogRef, region: str, run: Run, now: datetime
) -> Cuts | None:
    """Where what is due ends, once clock, policy and plan are still what they were; None where the run ended."""
    clocks = read_clocks(connection, host_at=now)
    reason = distrust(clocks)
    if reason is not None:
        _end(connection, admin, run, RunOutcome.CLOCK_UNTRUSTED, reason=reason)
        return None
    version = version_in_force(connection, now=clocks.database_at)
    if version is None or version[1].sha256 != run.policy.hex():
        _end(connection, admin, run, RunOutcome.DRIFTED)
        return None
    policy, tenant_id = version[1], admin.tenant_id
    try:
        _refuse_lapsed(policy, min(clocks.host_at, clocks.database_at).date())
        cuts = payload_cuts(policy, tenant_id=tenant_id, region=region, today=run.as_of)
    except PolicyLapsedError:
        _end(connection, admin, run, RunOutcome.POLICY_LAPSED)
        return None
    if run.state == "planned" and not _begin(connection, admin, region, run, cuts):
        return None
    return cuts


def _refuse_lapsed(policy: RetentionPolicy, today: date) -> None:
    if policy.lapses_on is not None and today >= policy.lapses_on:
        raise PolicyLapsedError("The policy has lapsed. Nothing goes before there is another.")


def _begin(
    connection: psycopg.Connection[Any], admin: LogRef, region: str, run: Run, cuts: Cuts
) -> bool:
    again = plan_of(
        tenant_id=admin.tenant_id,
        region=region,
        policy=run.policy.hex(),
        as_of=run.as_of,
        found=store.find_candidates(connection, cuts),
    )
    if again.digest() != run.digest:
        _end(connection, admin, run, RunOutcome.DRIFTED)
        return False
    store.begin(connection, run.run_id, run.digest)  # or another worker has
    return True


def _batch(retention: psycopg.Connection[Any], tenant_id: UUID, run_id: UUID, cuts: Cuts) -> str:
    """One transaction: the connection commits each statement."""
    row = retention.execute(
        "SELECT outcome FROM retention_run_batch(%s, %s, %s, %s, %s::text[], %s::uuid[])",
        (tenant_id, run_id, BATCH, *cuts),
    ).fetchone()
    return str(row[0]) if row else "not_executing"


def _finish(region: str, admin: LogRef, run_id: UUID, cuts: Cuts, outcome: RunOutcome) -> None:
    """Look for what should be gone, and end the run."""
    with tenant_scope(region_alias(region), admin.tenant_id) as connection:
        run = store.run_of(connection, run_id)
        if not run.is_open:
            return
        left = 0
        if outcome is RunOutcome.DONE:
            left = store.remaining(connection, run_id, cuts)
            if left or run.failed:
                outcome = RunOutcome.FAILED
        _end(connection, admin, run, outcome, left=left)


def _end(
    connection: psycopg.Connection[Any],
    admin: LogRef,
    run: Run,
    outcome: RunOutcome,
    *,
    reason: str | None = None,
    left: int = 0,
) -> None:
    record_id = new_record_id(connection)
    if not store.end(
        connection, run.run_id, outcome=outcome, reason=reason, left=left, record_id=record_id
    ):
        return
    ended = store.run_of(connection, run.run_id)
    counts: dict[str, JsonValue] = {
        "due": ended.due,
        "shared": ended.shared,
        "destroyed": ended.destroyed,
        "held": ended.held,
        "failed": ended.failed,
        "gone": ended.gone,
        "bytes": ended.bytes,
    }
    details: dict[str, JsonValue] = {
        **_named(ended),
        "outcome": outcome.value,
        "counts": {RecordClass.PAYLOAD.value: counts},
        "remaining": left,
    }
    if reason is not None:
        details["clock"] = reason
    record_in(connection, admin, record_id=record_id, action=ENTRY_TYPE_RAN, details=details)


def _named(run: Run) -> dict[str, JsonValue]:
    return {
        "run": str(run.run_id),
        "plan": run.digest.hex(),
        "policy": run.policy.hex(),
        "version": run.version,
        "as_of": run.as_of.isoformat(),
        "candidates": _candidates(run),
    }


def _candidates(run: Run) -> str:
    """The root that stands in the plan, hex."""
    plan = parse_canonical(run.plan)
    return str(plan["candidates"]) if isinstance(plan, dict) else ""
