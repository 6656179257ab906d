"""`auditvault replay_erasures`: after a restore, erase again what came back, and let the region be read."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Any

import psycopg
from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from django.db import DatabaseError

from auditvault.core.errors import AuditvaultError
from auditvault.vault.erasures.pending import restore_pending_reason
from auditvault.vault.erasures.replay import Replayed, replay_erasures

DONE, REFUSED, UNAVAILABLE = 0, 1, 2
# What says that it could not be tried, not that something is wrong with the ledger.
_INPUT_CODES = frozenset(
    {"erasure_ledger_unavailable", "erasure_trust_unusable", "region_unavailable"}
)


class Command(BaseCommand):
    """Exit code 0: done. 1: refused, the region stays as it is. 2: could not be tried."""

    help = (
        "Verify the region's erasure ledger, destroy again everything in it that a restore brought back, and let the "
        "region be read again. What was found is recorded in the operator's log. Safe to run at any time, and again. "
        "Exit code: 0 done, 1 refused (the ledger does not hold, or a hold is in the way), 2 could not be tried."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Which region."""
        parser.add_argument("--region", required=True, choices=settings.REGIONS)
        parser.add_argument(
            "--check", action="store_true", help="only say whether it is needed: exit code 1 if so"
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Go through the ledger, say what had come back, and exit."""
        region, as_json = options["region"], options["json"]
        try:
            if options["check"]:
                self._check(region, as_json=as_json)
            found = replay_erasures(region=region)
        except AuditvaultError as error:
            code = UNAVAILABLE if error.code in _INPUT_CODES else REFUSED
            self._fail(code, error.code, error.message, as_json=as_json)
        except (DatabaseError, psycopg.Error) as error:
            message = "A database is away or busy. Run it again: what was begun is finished."
            self._fail(UNAVAILABLE, type(error).__name__, message, as_json=as_json)
        else:
            self.stdout.write(_as_json(region, found) if as_json else _as_text(region, found))
            sys.exit(DONE)

    def _check(self, region: str, *, as_json: bool) -> None:
        reason = restore_pending_reason(region)
        if as_json:
            self.stdout.write(json.dumps({"region": region, "restore_pending": reason}))
        else:
            self.stdout.write(f"{region}  {f'PENDING: {reason}' if reason else 'not pending'}")
        sys.exit(REFUSED if reason else DONE)

    def _fail(self, status: int, code: str, message: str, *, as_json: bool) -> None:
        if as_json:
            self.stdout.write(json.dumps({"error": code, "message": message}))
        else:
            self.stderr.write(message)
        sys.exit(status)


def _as_text(region: str, found: Replayed) -> str:
    counts = ", ".join(f"{count:,} {name}" for name, count in asdict(found.counts).items())
    return (
        f"{region}  {found.head.idx + 1:,} records verified and carried out; it is read again\n"
        f"    had come back: {counts}\n"
        f"    recorded as {found.record_id}"
    )


def _as_json(region: str, found: Replayed) -> str:
    return json.dumps(
        {
            "region": region,
            "records": found.head.idx + 1,
            "head": found.head.hash.hex(),
            "came_back": asdict(found.counts),
            "record": str(found.record_id),
        }
    )
