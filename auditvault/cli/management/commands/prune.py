"""`auditvault prune`: give up the beginning of a log, under a written policy, and keep its proofs."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from django.db import DatabaseError

from auditvault.cli.approving import add_approval_arguments, plan_as_json, plan_lines
from auditvault.core.errors import AuditvaultError
from auditvault.core.policy.approvals import Plan
from auditvault.evidence.pruning.planning import Ask, find_log, read_policy
from auditvault.evidence.pruning.services import Outcome, plan_of_prune, preview, prune
from auditvault.evidence.verification import VerificationUnavailableError, read_log_keys

DONE, REFUSED, UNAVAILABLE, PENDING = 0, 1, 2, 3
# What says that it could not be tried, not that it may not be.
_INPUT_CODES = frozenset(
    {"prune_policy_malformed", "log_not_found", "region_unavailable", "verification_unavailable"}
)
_LOOK_SECONDS = 0.5
_NO_POLICY = "Without a written policy nothing is pruned: name one with --policy."


class Command(BaseCommand):
    """Exit code 0: done, or nothing is due. 1: refused. 2: could not be tried. 3: recorded, not anchored yet."""

    help = (
        "Drop whole partitions of old entries from the beginning of a log, once the log itself has said so and that was"
        " anchored. Roots and proofs stay. Run it again to finish a prune that is pending."
        " Exit code: 0 done or nothing due, 1 refused, 2 could not be tried, 3 recorded and waiting for an anchor."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Which log, under which policy."""
        add = parser.add_argument
        add("--region", required=True)
        add("--log", required=True, metavar="ORIGIN", help="the log's origin")
        add(
            "--policy",
            type=Path,
            default=Path(settings.PRUNE_POLICY_FILE) if settings.PRUNE_POLICY_FILE else None,
            metavar="FILE",
            help="the written policy (default: AUDITVAULT_PRUNE_POLICY_FILE)",
        )
        add("--dry-run", action="store_true", help="say what would go, and what is in the way")
        add(
            "--wait",
            type=float,
            default=60.0,
            metavar="SECONDS",
            help="how long to wait for the signer, witnesses and time stamps (60)",
        )
        add_approval_arguments(parser)
        add("--json", action="store_true", help="print one JSON object")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Prune, say what became of it, and exit."""
        try:
            ask = _ask(options)
            if options["plan"]:
                self._print_plan(plan_of_prune(ask), options)
                sys.exit(DONE)
            outcome = _run(ask, options)
        except AuditvaultError as error:
            code = UNAVAILABLE if error.code in _INPUT_CODES else REFUSED
            self._fail(options, code, error.code, error.message)
        except (DatabaseError, psycopg.Error) as error:
            message = "A database is away or busy. Run it again: what was begun is finished."
            self._fail(options, UNAVAILABLE, type(error).__name__, message)
        else:
            write = _as_json if options["json"] else _as_text
            self.stdout.write(write(outcome, options["log"]))
            sys.exit(PENDING if outcome.state == "pending" else DONE)

    def _print_plan(self, plan: Plan | None, options: dict[str, Any]) -> None:
        lines = plan_lines([plan] if plan is not None else [])
        self.stdout.write(json.dumps(plan_as_json(plan)) if options["json"] else "\n".join(lines))

    def _fail(self, options: dict[str, Any], status: int, code: str, message: str) -> None:
        if options["json"]:
            self.stdout.write(json.dumps({"error": code, "message": message}))
        else:
            self.stderr.write(message)
        sys.exit(status)


def _ask(options: dict[str, Any]) -> Ask:
    if options["policy"] is None:
        raise VerificationUnavailableError(_NO_POLICY)
    return Ask(
        region=options["region"],
        log=find_log(options["region"], options["log"]),
        policy=read_policy(options["policy"]),
        keys=read_log_keys(Path(settings.LOG_VKEYS_FILE)),
    )


def _run(ask: Ask, options: dict[str, Any]) -> Outcome:
    if options["dry_run"]:
        return preview(ask)
    wait = _waiting(options["wait"])
    return prune(ask, wait=wait, approval_ids=options["approval_ids"])


def _waiting(seconds: float) -> Callable[[], bool]:
    until = time.monotonic() + seconds

    def wait() -> bool:
        left = until - time.monotonic()
        if left <= 0:
            return False
        time.sleep(min(_LOOK_SECONDS, left))
        return True

    return wait


def _as_text(outcome: Outcome, origin: str) -> str:
    lines = [f"{_IN_WORDS[outcome.state]}  {origin}"]
    lines.append(f"policy   entries up to {outcome.cutoff:%Y-%m-%d %H:%M:%S} UTC may go")
    if outcome.minimum > outcome.previous:
        lines.append(
            f"entries  {outcome.previous:,} to {outcome.minimum - 1:,}: {outcome.entries:,} entries,"
            f" {outcome.size_bytes:,} bytes of partitions"
        )
    if outcome.headers is not None:
        lines.append(f"headers  {outcome.headers:,}")
    if outcome.contents:
        lines.append(
            f"BLOCKED  {outcome.contents:,} sealed contents of these records are still there"
        )
    if outcome.holds:
        lines.append(f"BLOCKED  {outcome.holds:,} legal holds cover them")
    if outcome.waiting_for:
        lines.append(f"waiting  for {', '.join(outcome.waiting_for)}; run it again")
    return "\n".join(lines)


_IN_WORDS = {
    "nothing_due": "NOTHING DUE",
    "would_prune": "WOULD PRUNE",
    "pending": "PENDING",
    "pruned": "PRUNED",
}


def _as_json(outcome: Outcome, origin: str) -> str:
    return json.dumps(
        {
            "log": origin,
            "state": outcome.state,
            "previous": outcome.previous,
            "minimum": outcome.minimum,
            "cutoff": outcome.cutoff.isoformat(),
            "entries": outcome.entries,
            "headers": outcome.headers,
            "size_bytes": outcome.size_bytes,
            "contents": outcome.contents,
            "holds": outcome.holds,
            "waiting_for": list(outcome.waiting_for),
        }
    )
