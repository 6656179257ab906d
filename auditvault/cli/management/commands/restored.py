"""`auditvault restored`: answer for a region's database that was put back to an older backup."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from auditvault.core.errors import AuditvaultError
from auditvault.evidence.restores import acknowledge_restore
from auditvault.evidence.verification import read_log_keys
from auditvault.ledger.restores import Restore


class Command(BaseCommand):
    """Records what the logs lost, and lets the signer go on."""

    help = (
        "Say that a region's database was restored from an older backup, and that this was meant. What each log lost "
        "is recorded for good in the operator's log; then the signer signs again. Needs the signer's state "
        "(AUDITVAULT_SIGNER_STATE_FILE), and to write beside it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Which region, and on whose word."""
        parser.add_argument("--region", required=True, choices=settings.REGIONS)
        parser.add_argument("--case", required=True, help="what ordered it, such as INC-1234")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Record it, and say what was lost."""
        if not settings.SIGNER_STATE_FILE:
            raise CommandError("AUDITVAULT_SIGNER_STATE_FILE must name the signer's state.")
        try:
            restores = acknowledge_restore(
                region=options["region"],
                case=options["case"],
                state_file=Path(settings.SIGNER_STATE_FILE),
                keys=read_log_keys(Path(settings.LOG_VKEYS_FILE)),
            )
        except AuditvaultError as error:
            raise CommandError(error.message) from error
        except (DatabaseError, psycopg.Error) as error:
            raise CommandError("The database cannot be read or written. Ask again.") from error
        if options["json"]:
            self.stdout.write(json.dumps({"restores": [asdict(restore) for restore in restores]}))
        else:
            self.stdout.write("\n".join(map(_line, restores)) or "no log lost anything")


def _line(restore: Restore) -> str:
    return (
        f"epoch {restore.epoch}  {restore.origin}  goes on from {restore.kept_size:,} entries; "
        f"{restore.lost_size - restore.kept_size:,} signed ones are lost"
    )
