"""`auditvault retention`: carry out, look at, and halt retention runs."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from auditvault.access.tenants import TenantRequestError, tenant_in
from auditvault.core.errors import AuditvaultError
from auditvault.privacy.retention.running import go_on, newest_runs, pause_run, start_run
from auditvault.privacy.retention.store import Run

ACTOR = "operator:cli"
_MOST_SHOWN = 100
_DONE = frozenset({"done", "nothing_due"})


class Command(BaseCommand):
    """Exit code 0: done. 1: refused, or the run ended without doing what was planned."""

    help = (
        "Destroy what is past its time under a tenant's retention policy: as it was planned, or nothing. A worker does "
        "so once a day. Each run leaves a record in the tenant's admin log, also where nothing was due. "
        "Exit code: 0 done, 1 refused, or ended without doing what was planned."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Sub-commands `run`, `show`, `pause` and `resume`."""
        actions = parser.add_subparsers(dest="action", required=True)
        for name, what in {
            "run": "carry a run out, or go on with the one that was begun",
            "show": "print the newest runs, and how far they are",
            "pause": "let a run rest",
            "resume": "let a run that rests go on",
        }.items():
            action = actions.add_parser(name, help=what)
            action.add_argument("--region", required=True, choices=settings.REGIONS)
            action.add_argument("--tenant", required=True, help="short name")
            if name in {"pause", "resume"}:
                action.add_argument("--run", required=True, type=UUID, metavar="ID")
            action.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Do what was asked, and print the runs that it is about."""
        try:
            found = _do(options)
        except TenantRequestError as error:
            raise CommandError(error.message) from error
        except AuditvaultError as error:
            raise CommandError(f"{error.message} ({error.code})") from error
        except (DatabaseError, psycopg.Error) as error:
            raise CommandError(
                "A database is away or busy. Run it again: what was begun is finished."
            ) from error
        if options["json"]:
            self.stdout.write(json.dumps({"runs": [_members(each) for each in found]}))
        else:
            self.stdout.write("\n".join(map(_line, found)) or _NONE[options["action"]])
        if options["action"] == "run" and any(each.outcome not in _DONE for each in found):
            sys.exit(1)


_NONE = {
    "run": "no policy is in force: everything is kept",
    "show": "no run yet",
}


def _do(options: dict[str, Any]) -> list[Run]:
    region, action = options["region"], options["action"]
    tenant_id = tenant_in(slug=options["tenant"], region=region)
    if action == "show":
        return newest_runs(region=region, tenant_id=tenant_id, most=_MOST_SHOWN)
    if action == "run":
        return _run(region, tenant_id)
    return [
        pause_run(
            region=region,
            tenant_id=tenant_id,
            run_id=options["run"],
            actor=ACTOR,
            is_paused=action == "pause",
        )
    ]


def _run(region: str, tenant_id: UUID) -> list[Run]:
    """Until it has ended, somebody pauses it, or others are at the rest."""
    run = start_run(region=region, tenant_id=tenant_id, now=datetime.now(UTC), actor=ACTOR)
    if run is None:
        return []
    went = -1
    while run.is_open and run.paused_at is None and run.looked_at > went:
        went = run.looked_at
        run = go_on(region=region, tenant_id=tenant_id, run_id=run.run_id, now=datetime.now(UTC))
    return [run]


def _line(run: Run) -> str:
    state = run.outcome or ("paused" if run.paused_at else run.state)
    why = f" ({run.reason})" if run.reason else ""
    return (
        f"{run.run_id}  {run.as_of}  {state}{why}  policy {run.version}  due {run.due:,}"
        f"  destroyed {run.destroyed:,}  held {run.held:,}  failed {run.failed:,}  bytes {run.bytes:,}"
    )


def _members(run: Run) -> dict[str, Any]:
    return {
        "run": str(run.run_id),
        "state": run.state,
        "paused_at": _instant(run.paused_at),
        "outcome": run.outcome,
        "clock": run.reason,
        "as_of": run.as_of.isoformat(),
        "policy": run.policy.hex(),
        "version": run.version,
        "plan": run.digest.hex(),
        "started_at": _instant(run.started_at),
        "begun_at": _instant(run.begun_at),
        "ended_at": _instant(run.ended_at),
        "due": run.due,
        "shared": run.shared,
        "destroyed": run.destroyed,
        "held": run.held,
        "failed": run.failed,
        "gone": run.gone,
        "bytes": run.bytes,
        "remaining": run.remaining,
        "record": str(run.record_id) if run.record_id else None,
    }


def _instant(at: datetime | None) -> str | None:
    return at.astimezone(UTC).isoformat() if at else None
