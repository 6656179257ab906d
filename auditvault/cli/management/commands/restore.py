"""`auditvault restore`: put a backup back into a region's databases, which are then pending."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from auditvault.cli.backups import configuration as configured
from auditvault.cli.backups.memory import Behind, behind_memory
from auditvault.cli.backups.opening import Backup, open_backup
from auditvault.cli.backups.programs import client_programs
from auditvault.cli.backups.restoring import Restored, Target, restore
from auditvault.core.backup import PARTS, Part
from auditvault.core.errors import AuditvaultError

DONE, NOT_DONE = 0, 2
_NEXT = (
    "auditvault migrate_all",
    "auditvault replay_erasures --region {region}",
    "auditvault verify --region {region}",
    "auditvault restored --region {region} --case CASE",
)


class Command(BaseCommand):
    """Exit code 0: the databases are the backup's. 2: not, and the error says so if anything was changed."""

    help = (
        "Restore a region's backup into databases that are empty. Every file is checked before anything is done; the"
        " region is pending afterwards: nothing is read until its erasures were carried out again."
        " Exit code: 0 restored, 2 not restored."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Which backup, and where to."""
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
        add(
            "--keyring-from",
            type=Path,
            metavar="DIR",
            help="directory of the keyring's backup, the same one or a newer (default: as --from)",
        )
        add("--parts", default=",".join(PARTS), help="which parts (default: %(default)s)")
        add(
            "--replace",
            action="store_true",
            help="restore though the databases hold something; they are kept under another name",
        )
        add("--json", action="store_true", help="print one JSON object")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Restore, say what became of it and what comes next, and exit."""
        progress = configured.shown(quiet=options["json"])
        try:
            backup = _open(options)
            behind = behind_memory(backup)
            target = _target(options)
            restored = restore(backup, target, progress, progress)
        except AuditvaultError as error:
            if options["json"]:
                self.stdout.write(json.dumps({"error": error.code, "message": error.message}))
            else:
                self.stderr.write(f"not restored: {error.message}")
            sys.exit(NOT_DONE)
        following = [line.format(region=options["region"]) for line in _NEXT]
        if options["json"]:
            self.stdout.write(json.dumps(_as_json(backup, restored, behind, following)))
        else:
            self._say(backup, restored, behind, following)
        sys.exit(DONE)

    def _say(
        self, backup: Backup, restored: list[Restored], behind: list[Behind], following: list[str]
    ) -> None:
        for part, reader in backup.items():
            self.stdout.write(f"{part:8} as of {reader.manifest.as_of:%Y-%m-%d %H:%M:%S} UTC")
        for one in restored:
            kept = f"; what was there is {one.kept_as}" if one.kept_as else ""
            self.stdout.write(f"{one.database}: {one.rows:,} rows{kept}")
        for log in behind:
            self.stdout.write(
                f"{log.origin}: the signer has signed {log.remembered:,} entries, the backup has {log.size:,}"
            )
        self.stdout.write(
            "The region is pending: nothing is read until its erasures were replayed. Next:"
        )
        for line in following:
            self.stdout.write(f"    {line}")


def _open(options: dict[str, Any]) -> Backup:
    parts = configured.parts_of(options["parts"])
    source = options["from_"].absolute()
    keyring = (options["keyring_from"] or source).absolute()
    directories: dict[Part, Path] = {
        part: (keyring if part == "keyring" else source) / part for part in parts
    }
    return open_backup(
        directories=directories,
        region=options["region"],
        key=configured.backup_key(),
        trusted=configured.trusted_keys(),
    )


def _target(options: dict[str, Any]) -> Target:
    region = options["region"]
    return Target(
        region_database=configured.region_database(region),
        keys_database=configured.keys_database(region),
        programs=client_programs(),
        at=datetime.now(UTC),
        replaces=options["replace"],
    )


def _as_json(
    backup: Backup, restored: list[Restored], behind: list[Behind], following: list[str]
) -> dict[str, Any]:
    return {
        "parts": {
            part: {"backup": str(one.manifest.backup), "as_of": one.manifest.as_of.isoformat()}
            for part, one in backup.items()
        },
        "databases": [
            {"database": one.database, "kept_as": one.kept_as, "rows": one.rows} for one in restored
        ],
        "behind": [log.as_json() for log in behind],
        "next": following,
    }
