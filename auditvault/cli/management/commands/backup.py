"""`auditvault backup`: back a region up, encrypted while it streams and signed when it is whole."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from auditvault.cli.backups import configuration as configured
from auditvault.cli.backups.drill import Drill
from auditvault.cli.backups.drill_report import in_markdown, report_json
from auditvault.cli.backups.drilling import drill_from_settings
from auditvault.cli.backups.programs import client_programs
from auditvault.cli.backups.taking import (
    KEYRING_LIFETIME,
    Order,
    Taken,
    overdue_of,
    take_backup,
    unfinished_of,
)
from auditvault.core.backup import PARTS
from auditvault.core.errors import AuditvaultError

DONE, DRILL_FAILED, NOT_DONE = 0, 1, 2


class Command(BaseCommand):
    """Exit code 0: every part lies there whole. 1: it does, and the drill found it wanting. 2: no backup."""

    help = (
        "Back up a region's ledger, vault and keyring with pg_dump, each apart, encrypted while it streams, with a"
        " signed manifest. Exit code: 0 done, 1 done and the drill of --verify failed, 2 not done."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """What to back up, and where to."""
        add = parser.add_argument
        add("--region", required=True)
        add("--to", required=True, type=Path, metavar="DIR", help="directory of backups")
        add(
            "--keyring-to",
            type=Path,
            metavar="DIR",
            help="directory of the keyring's backups, which are kept for 7 days at most (default: as --to)",
        )
        add("--parts", default=",".join(PARTS), help="which parts (default: %(default)s)")
        add(
            "--verify", action="store_true", help="restore it into a scratch server and verify that"
        )
        add("--report", type=Path, metavar="DIR", help="with --verify: where the report goes")
        add("--json", action="store_true", help="print one JSON object")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Back up, say what lies where, and exit."""
        try:
            order = _order(options)
            left = unfinished_of(order)
            taken = take_backup(order, configured.shown(quiet=options["json"]))
            drill = _drill(order, options) if options["verify"] else None
        except AuditvaultError as error:
            if options["json"]:
                self.stdout.write(json.dumps({"error": error.code, "message": error.message}))
            else:
                self.stderr.write(f"no backup: {error.message}")
            sys.exit(NOT_DONE)
        if options["json"]:
            self.stdout.write(json.dumps(_as_json(order, taken, left, drill)))
        else:
            self._say(order, taken, left, drill)
        sys.exit(DRILL_FAILED if drill is not None and not drill.holds else DONE)

    def _say(self, order: Order, taken: list[Taken], left: list[Path], drill: Drill | None) -> None:
        for one in taken:
            manifest = one.manifest
            self.stdout.write(
                f"{manifest.part:8} {manifest.size_bytes:>14,} bytes {sum(manifest.rows.values()):>12,} rows"
                f"  {one.directory}"
            )
        for path in left:
            self.stdout.write(f"interrupted earlier, not a backup, remove it: {path}")
        for path in overdue_of(order):
            self.stdout.write(f"older than {KEYRING_LIFETIME.days} days, remove it: {path}")
        if drill is not None:
            self.stdout.write(in_markdown(report_json(drill)))


def _order(options: dict[str, Any]) -> Order:
    region = options["region"]
    if options["report"] and not options["verify"]:
        raise configured.BackupSettingError("--report goes with --verify.")
    to = options["to"].absolute()
    return Order(
        region=region,
        parts=configured.parts_of(options["parts"]),
        region_database=configured.region_database(region),
        keys_database=configured.keys_database(region),
        to=to,
        keyring_to=(options["keyring_to"] or to).absolute(),
        key=configured.backup_key(),
        signing_key=configured.signing_key(),
        programs=client_programs(),
        begun_at=datetime.now(UTC),
    )


def _drill(order: Order, options: dict[str, Any]) -> Drill:
    return drill_from_settings(
        region=order.region,
        directories={part: order.directory(part) for part in order.parts},
        report_to=options["report"],
        quiet=options["json"],
    )


def _as_json(
    order: Order, taken: list[Taken], left: list[Path], drill: Drill | None
) -> dict[str, Any]:
    return {
        "backup": str(order.backup),
        "region": order.region,
        "parts": [
            {
                "part": one.manifest.part,
                "directory": str(one.directory),
                "as_of": one.manifest.as_of.isoformat(),
                "size_bytes": one.manifest.size_bytes,
                "rows": sum(one.manifest.rows.values()),
            }
            for one in taken
        ],
        "interrupted": [str(path) for path in left],
        "overdue": [str(path) for path in overdue_of(order)],
        "drill": report_json(drill) if drill else None,
    }
