"""`auditvault restore_drill`: restore a backup beside everything, verify it there, and leave a report."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from auditvault.cli.backups import configuration as configured
from auditvault.cli.backups.drill import Drill
from auditvault.cli.backups.drill_report import in_markdown, report_json
from auditvault.cli.backups.drilling import drill_from_settings
from auditvault.core.backup import PARTS, Part
from auditvault.core.errors import AuditvaultError

_STATUS = {"holds": 0, "does_not_hold": 1, "not_checked": 2}


class Command(BaseCommand):
    """Exit code 0: the backup can be restored and holds. 1: it cannot, or does not. 2: it was not found out."""

    help = (
        "Restore a backup into a scratch PostgreSQL of its own, replay erasures, verify everything there, and remove"
        " it again. Exit code: 0 the backup holds, 1 it does not, 2 it could not be checked."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Which backup, and where the report goes."""
        add = parser.add_argument
        add("--region", required=True)
        add(
            "--from",
            dest="from_",
            required=True,
            type=Path,
            metavar="DIR",
            help="one backup's directory",
        )
        add("--keyring-from", type=Path, metavar="DIR", help="the keyring's (default: as --from)")
        add("--parts", default=",".join(PARTS), help="which parts (default: %(default)s)")
        add(
            "--report", type=Path, metavar="DIR", help="where the report goes, as Markdown and JSON"
        )
        add(
            "--scratch",
            type=Path,
            metavar="DIR",
            help="where the scratch server's directory is made; needs room for the databases",
        )
        add(
            "--sample",
            type=int,
            default=20,
            metavar="N",
            help="contents to open where they lie, a tenant (20)",
        )
        add("--json", action="store_true", help="print the report as one JSON object")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Drill, say what was found, and exit with the verdict."""
        try:
            drill = _drilled(options)
        except Exception as error:  # noqa: BLE001  # a crash must not be read as a verdict
            message = error.message if isinstance(error, AuditvaultError) else type(error).__name__
            code = error.code if isinstance(error, AuditvaultError) else "internal_error"
            if options["json"]:
                self.stdout.write(json.dumps({"error": code, "message": message}))
            else:
                self.stderr.write(f"no drill: {message}")
            sys.exit(_STATUS["not_checked"])
        self.stdout.write(
            json.dumps(report_json(drill)) if options["json"] else in_markdown(report_json(drill))
        )
        sys.exit(_STATUS[drill.verdict])


def _drilled(options: dict[str, Any]) -> Drill:
    source = options["from_"].absolute()
    keyring = (options["keyring_from"] or source).absolute()
    directories: dict[Part, Path] = {
        part: (keyring if part == "keyring" else source) / part
        for part in configured.parts_of(options["parts"])
    }
    return drill_from_settings(
        region=options["region"],
        directories=directories,
        report_to=options["report"],
        quiet=options["json"],
        scratch=options["scratch"],
        sample=options["sample"],
    )
