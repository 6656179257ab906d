"""`auditvault trust`: whom a region's evidence leans on, and taking up a change of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import psycopg
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from auditvault.access.approvals.commands import check_approved
from auditvault.cli.approving import add_approval_arguments, plan_as_json, plan_lines
from auditvault.core.errors import AuditvaultError
from auditvault.evidence.trust import configured_trust, plan_of_take_up, take_up, taken_up


class Command(BaseCommand):
    """Shows witnesses, time stamps and copies, as they are set and as they were taken up."""

    help = (
        "Whom the evidence of a region leans on: witnesses, the time-stamp authority, the store of copies. They are "
        "settings; a change of them counts once it is taken up, which takes two people. "
        "Exit code: 0 done, 1 refused, or `show` found a change that is not taken up."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Sub-commands `show` and `take-up`."""
        actions = parser.add_subparsers(dest="action", required=True)
        for name, what in {
            "show": "print what is set, and what was taken up",
            "take-up": "let what is set count from now on",
        }.items():
            action = actions.add_parser(name, help=what)
            action.add_argument("--region", required=True, choices=settings.REGIONS)
            action.add_argument("--json", action="store_true", help="print one JSON object")
            if name == "take-up":
                add_approval_arguments(action)

    def handle(self, *_args: Any, **options: Any) -> None:
        """Do what was asked; exit code 1 where it cannot be done."""
        try:
            if options["action"] == "show":
                self._show(options["region"], as_json=options["json"])
            else:
                self._take_up(options)
        except AuditvaultError as error:
            raise CommandError(f"{error.message} ({error.code})") from error
        except (DatabaseError, psycopg.Error) as error:
            raise CommandError("A database is away or busy. Run it again.") from error

    def _show(self, region: str, *, as_json: bool) -> None:
        before, after = taken_up(region), configured_trust(region)
        is_changed = plan_of_take_up(region) is not None
        if as_json:
            found = {"configured": after, "taken_up": before, "changed": is_changed}
            self.stdout.write(json.dumps(found))
        else:
            for part, value in after.items():
                was = before[part] if before else None
                self.stdout.write(f"{part.replace('_', ' '):12} {_words(value)}")
                if is_changed and was != value:
                    self.stdout.write(f"{'':12} taken up: {_words(was)}")
        if is_changed:
            raise CommandError("What is set was not taken up: auditvault trust take-up --plan.")

    def _take_up(self, options: dict[str, Any]) -> None:
        region, now = options["region"], datetime.now(UTC)
        plan = plan_of_take_up(region)
        if options["plan"]:
            text = json.dumps(plan_as_json(plan)) if options["json"] else None
            self.stdout.write(text or "\n".join(plan_lines([plan] if plan else [])))
            return
        if plan is not None:
            check_approved(plan, options["approval_ids"], now=now)
            if not options["approval_ids"]:
                self.stderr.write("Nobody has approved this; its entry says so.")
        done = take_up(region, approval_ids=options["approval_ids"], now=now)
        if options["json"]:
            self.stdout.write(json.dumps({"taken_up": done, "trust": configured_trust(region)}))
        else:
            self.stdout.write(f"{region}: {'taken up' if done else 'was taken up before'}")


def _words(part: Any) -> str:
    """One part on a line; nobody is a dash."""
    if not part:
        return "-"
    return "  ".join(f"{name}={value}" for name, value in sorted(part.items()) if value is not None)
