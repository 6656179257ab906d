"""Scheduled work: rows that say what is due, claimed by whichever worker looks first.

A claim moves `due_at` on before the work starts and is committed. A worker that dies leaves a job that is due again
after its lease; a message that is lost costs one tick.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connections, transaction
from psycopg.types.json import Jsonb

from auditvault.core.errors import AuditvaultError
from auditvault.ledger.scope import driver_connection, region_alias

log = logging.getLogger("auditvault.jobs")
LEASE = timedelta(minutes=15)

Detail = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What comes round, how often, and what it does; `run` takes the region and the instant."""

    name: str
    every: timedelta
    run: Callable[[str, datetime], Detail]
    # How long it may take before another worker takes it for abandoned.
    lease: timedelta = LEASE


class JobFailedError(AuditvaultError):
    """A job found what it must report: the log does not hold, say."""

    code = "job_failed"

    def __init__(self, message: str, detail: Detail) -> None:
        super().__init__(message)
        self.detail = detail


@dataclass(frozen=True, slots=True, kw_only=True)
class LastRun:
    """How a job's last run ended."""

    name: str
    finished_at: datetime
    outcome: str
    detail: Detail


def run_due(region: str, jobs: list[Job], now: datetime) -> list[str]:
    """Run every job of the region that is due and that no other worker holds; returns their names."""
    _ensure_rows(region, jobs, now)
    by_name = {job.name: job for job in jobs}
    done = []
    for name in _claimed(region, by_name, now):
        _run(region, by_name[name], now)
        done.append(name)
    return done


def _ensure_rows(region: str, jobs: list[Job], now: datetime) -> None:
    with transaction.atomic(using=region_alias(region)):
        raw = driver_connection(connections[region_alias(region)])
        for job in jobs:
            raw.execute(
                "INSERT INTO scheduled_job (name, interval_seconds, due_at) VALUES (%s, %s, %s)"
                " ON CONFLICT DO NOTHING",
                (job.name, int(job.every.total_seconds()), now),
            )


def _claimed(region: str, jobs: dict[str, Job], now: datetime) -> Iterator[str]:
    """Claim due jobs of those names one by one; another version's jobs are left to its workers."""
    alias = region_alias(region)
    leases = [job.lease for job in jobs.values()]
    while True:
        with transaction.atomic(using=alias):
            row = (
                driver_connection(connections[alias])
                .execute(
                    "UPDATE scheduled_job SET started_at = %s,"
                    " due_at = %s + (SELECT lease FROM unnest(%s::text[], %s::interval[])"
                    " AS known (job, lease) WHERE job = name) WHERE name = ("
                    " SELECT name FROM scheduled_job WHERE due_at <= %s AND name = ANY(%s)"
                    " ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING name",
                    (now, now, list(jobs), leases, now, list(jobs)),
                )
                .fetchone()
            )
        if row is None:
            return
        yield str(row[0])


def _run(region: str, job: Job, now: datetime) -> None:
    outcome, detail = "failed", {}
    try:
        detail = job.run(region, now)
        outcome = "ok"
    except JobFailedError as error:
        detail = error.detail
        log.critical("%s in %s: %s", job.name, region, error.message)
    except Exception as error:
        # Whatever it was, the row must say that the run failed; the next one is not far.
        detail = {"error": type(error).__name__}
        log.exception("%s in %s failed", job.name, region)
    with transaction.atomic(using=region_alias(region)):
        driver_connection(connections[region_alias(region)]).execute(
            "UPDATE scheduled_job SET finished_at = clock_timestamp(), outcome = %s, detail = %s,"
            " due_at = %s WHERE name = %s",
            (outcome, Jsonb(detail), now + job.every, job.name),
        )


def last_runs(region: str) -> list[LastRun]:
    """How each job of the region that has run ended."""
    alias = region_alias(region)
    with transaction.atomic(using=alias):
        rows = (
            driver_connection(connections[alias])
            .execute(
                "SELECT name, finished_at, outcome, detail FROM scheduled_job"
                " WHERE finished_at IS NOT NULL ORDER BY name"
            )
            .fetchall()
        )
    return [
        LastRun(
            name=name,
            finished_at=finished_at,
            outcome=outcome,
            detail=json.loads(detail) if detail else {},
        )
        for name, finished_at, outcome, detail in rows
    ]
