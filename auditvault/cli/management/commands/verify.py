"""`auditvault verify`: derive every log again from the database, and compare with what was signed."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from auditvault.core.errors import AuditvaultError
from auditvault.evidence.verification import (
    Report,
    VerificationUnavailableError,
    read_public_keys,
    verify_region,
)
from auditvault.ledger.signer import Signed, SignerState

HOLDS, DOES_NOT_HOLD, NOT_CHECKED = 0, 1, 2


class Command(BaseCommand):
    """Exit code 0: every log holds. 1: one does not. 2: it could not be checked."""

    help = "Verify every log of every region. Exit code: 0 holds, 1 does not hold, 2 could not be checked."

    def add_arguments(self, parser: CommandParser) -> None:
        """What to verify, and how to say it."""
        parser.add_argument("--region", action="append", help="only this region; may be repeated")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Verify, print, and exit with the verdict."""
        regions = options["region"] or settings.REGIONS
        try:
            reports = self._verify(regions, quiet=options["json"])
        except Exception as error:  # noqa: BLE001  # a crash must not be read as a verdict
            message = error.message if isinstance(error, AuditvaultError) else type(error).__name__
            if options["json"]:
                self.stdout.write(json.dumps({"verdict": "not_checked", "error": message}))
            else:
                self.stderr.write(f"could not be checked: {message}")
            sys.exit(NOT_CHECKED)
        holds = all(report.holds for report in reports)
        if options["json"]:
            self.stdout.write(json.dumps(_as_json(reports, holds=holds)))
        else:
            self._say(reports, holds=holds)
        sys.exit(HOLDS if holds else DOES_NOT_HOLD)

    def _verify(self, regions: list[str], *, quiet: bool) -> list[Report]:
        keys = read_public_keys(Path(settings.LOG_VKEYS_FILE))
        remembered = _remembered()
        reports = []
        for region in regions:
            reports += verify_region(
                region=region,
                public_keys=keys,
                remembered=remembered,
                progress=None if quiet or not self.stdout.isatty() else self._progress,
            )
        return reports

    def _progress(self, origin: str, done: int, size: int) -> None:
        self.stdout.write(f"\r{origin}  {done:,} of {size:,}", ending="\n" if done >= size else "")

    def _say(self, reports: list[Report], *, holds: bool) -> None:
        for report in reports:
            verdict = "holds" if report.holds else "DOES NOT HOLD"
            self.stdout.write(
                f"{verdict:14} {report.region:4} {report.kind:13} {report.entries:>10,} entries"
                f" {report.checkpoints:>6,} checkpoints  {report.origin}"
            )
            for kind, index in sorted(report.first_bad.items()):
                self.stdout.write(f"    {kind}: first at index {index}")
        for note in sorted({note for report in reports for note in report.notes}):
            self.stdout.write(f"note: {note}")
        self.stdout.write("every log holds" if holds else "AT LEAST ONE LOG DOES NOT HOLD")


def _remembered() -> dict[str, Signed]:
    """The signer's own memory, where this process may read it."""
    if not settings.SIGNER_STATE_FILE:
        return {}
    try:
        return SignerState(Path(settings.SIGNER_STATE_FILE)).signed
    except AuditvaultError as error:
        raise VerificationUnavailableError(error.message) from error


def _as_json(reports: list[Report], *, holds: bool) -> dict[str, Any]:
    return {
        "verdict": "holds" if holds else "does_not_hold",
        "logs": [
            {
                "region": report.region,
                "origin": report.origin,
                "kind": report.kind,
                "holds": report.holds,
                "entries": report.entries,
                "checkpoints": report.checkpoints,
                "headers": report.headers,
                "first_bad": report.first_bad,
                "notes": report.notes,
            }
            for report in reports
        ],
    }
