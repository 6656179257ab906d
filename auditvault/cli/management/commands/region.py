"""`auditvault region`: makes a region ready, or says what it lacks."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from auditvault.cli.regions import prepare
from auditvault.core.errors import AuditvaultError


class Command(BaseCommand):
    """Adds and checks regions."""

    help = (
        "Make a region ready: its databases (where DATABASE_URL names an administrator), their schema and rights, and "
        "its first key; or only say what it lacks. Run it as auditvault_owner: with AUDITVAULT_REGIONS, "
        "AUDITVAULT_REGION_R_URL and AUDITVAULT_KEYS_R_URL of the owner and AUDITVAULT_KEY_PROVIDER_R. What is there "
        "already is left alone."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Sub-commands `add` and `check`."""
        actions = parser.add_subparsers(dest="action", required=True)
        for name, what in {
            "add": "make what is missing, and say what was done",
            "check": "change nothing, and say what is missing",
        }.items():
            action = actions.add_parser(name, help=what)
            action.add_argument("region", help="its name, as in AUDITVAULT_REGIONS")
            action.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Exit code 0: ready. 1: something is missing, and what."""
        try:
            steps = prepare(
                options["region"],
                administrator=os.environ.get("DATABASE_URL"),
                only_look=options["action"] == "check",
            )
        except AuditvaultError as error:
            raise CommandError(f"{error.message} ({error.code})") from error
        is_ready = all(step.state != "missing" for step in steps)
        if options["json"]:
            found = [step.as_json() for step in steps]
            answer = {"region": options["region"], "ready": is_ready, "steps": found}
            self.stdout.write(json.dumps(answer))
        else:
            for step in steps:
                self.stdout.write(f"{step.state:7}  {step.name:9}  {step.detail}")
            self.stdout.write("ready" if is_ready else "not ready: mend the first that is missing")
        sys.exit(0 if is_ready else 1)
