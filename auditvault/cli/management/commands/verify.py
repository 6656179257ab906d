"""`auditvault verify`: derive every log again from the database, and compare with what was signed."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from auditvault.core.errors import AuditvaultError
from auditvault.evidence.copies.checking import check_copies, note_findings
from auditvault.evidence.copies.stores import region_target
from auditvault.evidence.grants import DatabaseFinding, verify_databases
from auditvault.evidence.payloads import holds_keys
from auditvault.evidence.vault_check import VaultReport, check_vault
from auditvault.evidence.verification import (
    Report,
    VerificationState,
    VerificationUnavailableError,
    read_acknowledged,
    read_kept,
    read_log_keys,
    read_memory,
    read_retired,
    verify_region,
)
from auditvault.ledger.restores import Restore
from auditvault.vault.erasures.pending import restore_pending_reason

HOLDS, DOES_NOT_HOLD, NOT_CHECKED = 0, 1, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Everything that was found."""

    reports: list[Report]
    databases: list[DatabaseFinding]

    @property
    def holds(self) -> bool:
        """Whether nothing was."""
        return not self.databases and all(report.holds for report in self.reports)


class Command(BaseCommand):
    """Exit code 0: everything holds. 1: something does not. 2: it could not be checked."""

    help = (
        "Verify every log of every region, and what its databases allow."
        " Exit code: 0 holds, 1 does not hold, 2 could not be checked."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """What to verify, and how to say it."""
        parser.add_argument("--region", action="append", help="only this region; may be repeated")
        parser.add_argument("--json", action="store_true", help="print one JSON object")
        payloads = parser.add_mutually_exclusive_group()
        payloads.add_argument(
            "--payloads",
            action="store_true",
            default=None,
            help="open every content and compare it with its header (default: where the keys are at hand)",
        )
        payloads.add_argument(
            "--no-payloads", dest="payloads", action="store_false", help="open no content"
        )
        parser.add_argument(
            "--jobs",
            type=int,
            default=1,
            metavar="N",
            help="work on N ranges at a time, in processes",
        )
        parser.add_argument(
            "--resume",
            type=Path,
            metavar="FILE",
            help="do not read again what this file says an earlier run has verified, and add to it",
        )
        parser.add_argument(
            "--copies",
            action="store_true",
            help="compare with every checkpoint in the region's write-once copy",
        )
        parser.add_argument(
            "--vault",
            action="store_true",
            help="look at the vault instead of the logs: does each content open, is it what was recorded,"
            " and what belongs to nothing",
        )
        parser.add_argument(
            "--sample",
            type=_count,
            metavar="N",
            help="with --vault: open N contents of each tenant, at random places, instead of all",
        )
        parser.add_argument(
            "--checkpoint",
            action="append",
            type=Path,
            default=[],
            metavar="FILE",
            help="a signed checkpoint, or a receipt, that was kept elsewhere; may be repeated",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        """Verify, print, and exit with the verdict."""
        try:
            verdict = (
                self._verify_vault(options) if options["vault"] else self._verify_logs(options)
            )
        except Exception as error:  # noqa: BLE001  # a crash must not be read as a verdict
            message = error.message if isinstance(error, AuditvaultError) else type(error).__name__
            if options["json"]:
                self.stdout.write(json.dumps({"verdict": "not_checked", "error": message}))
            else:
                self.stderr.write(f"could not be checked: {message}")
            sys.exit(NOT_CHECKED)
        sys.exit(HOLDS if verdict else DOES_NOT_HOLD)

    def _verify_logs(self, options: dict[str, Any]) -> bool:
        if options["sample"] is not None:
            raise VerificationUnavailableError("--sample goes with --vault.")
        outcome = self._verify(options)
        if options["json"]:
            self.stdout.write(json.dumps(_as_json(outcome)))
        else:
            self._say(outcome)
        return outcome.holds

    def _verify_vault(self, options: dict[str, Any]) -> bool:
        _refuse_beside_vault(options)
        progress = None if options["json"] or not self.stdout.isatty() else self._opened
        reports: list[VaultReport] = []
        for region in options["region"] or settings.REGIONS:
            _opens_payloads(region, asked=True)
            reports += check_vault(region=region, sample=options["sample"], progress=progress)
        holds = all(report.holds for report in reports)
        if options["json"]:
            verdict = "holds" if holds else "does_not_hold"
            vaults = [report.as_json() for report in reports]
            self.stdout.write(json.dumps({"verdict": verdict, "vaults": vaults}))
        else:
            self._say_vaults(reports)
        return holds

    def _opened(self, tenant_id: UUID, done: int) -> None:
        self.stdout.write(f"\r{tenant_id}  {done:,} opened", ending="")
        self.stdout.flush()

    def _say_vaults(self, reports: list[VaultReport]) -> None:
        if self.stdout.isatty():
            self.stdout.write("")
        for report in reports:
            verdict = "holds" if report.holds else "DOES NOT HOLD"
            part = " (a sample)" if report.sample is not None else ""
            self.stdout.write(
                f"{verdict:14} {report.region:4} {report.opened:>10,} contents opened{part}"
                f" {report.identifiers:>8,} identifiers  tenant {report.tenant_id}"
            )
            for label, kinds in (
                ("damaged", report.damaged),
                ("belongs to nothing", report.orphans),
            ):
                for kind, found in sorted(kinds.items()):
                    self.stdout.write(
                        f"    {label}: {kind} {found.count:,}, first {', '.join(found.ids[:3])}"
                    )
        holds = all(report.holds for report in reports)
        self.stdout.write("every vault holds" if holds else "AT LEAST ONE VAULT DOES NOT HOLD")

    def _verify(self, options: dict[str, Any]) -> Outcome:
        regions = options["region"] or settings.REGIONS
        keys = read_log_keys(Path(settings.LOG_VKEYS_FILE))
        # What is known outside is read before the logs, which may grow meanwhile.
        remembered = read_memory(settings.SIGNER_STATE_FILE)
        restores = read_acknowledged(settings.SIGNER_STATE_FILE)
        kept = read_kept(options["checkpoint"], keys)
        state = _state(options["resume"])
        _refuse_elsewhere([checkpoint.origin for checkpoint in kept], regions)
        quiet = options["json"] or not self.stdout.isatty()
        outcome = Outcome(reports=[], databases=[])
        for region in regions:
            outcome.databases.extend(verify_databases(region))
            reports = verify_region(
                region=region,
                keys=keys,
                remembered=remembered,
                retired=read_retired(settings.SIGNER_STATE_FILE, region),
                kept=kept,
                restores=restores,
                with_payloads=_opens_payloads(region, options["payloads"]),
                jobs=options["jobs"],
                progress=None if quiet else self._progress,
                state=state,
            )
            outcome.reports.extend(_compared(region, reports) if options["copies"] else reports)
        return outcome

    def _progress(self, origin: str, done: int, size: int) -> None:
        self.stdout.write(f"\r{origin}  {done:,} of {size:,}", ending="\n" if done >= size else "")

    def _say(self, outcome: Outcome) -> None:
        for report in outcome.reports:
            verdict = "holds" if report.holds else "DOES NOT HOLD"
            self.stdout.write(
                f"{verdict:14} {report.region:4} {report.kind:13} {report.entries:>10,} entries"
                f" {report.checkpoints:>6,} checkpoints{_payloads(report)}{_pruned(report)}  {report.origin}"
            )
            for kind, index in sorted(report.first_bad.items()):
                self.stdout.write(f"    {kind}: first at index {index}")
            for restore in report.restores:
                self.stdout.write(f"    {_epoch(restore)}")
        for finding in outcome.databases:
            self.stdout.write(f"{'DATABASE':14} {finding.region:4} {_in_words(finding)}")
        for note in sorted({note for report in outcome.reports for note in report.notes}):
            self.stdout.write(f"note: {note}")
        if not all(report.holds for report in outcome.reports):
            self.stdout.write("AT LEAST ONE LOG DOES NOT HOLD")
        else:
            self.stdout.write("every log holds")
        if outcome.databases:
            self.stdout.write("A DATABASE DOES NOT ALLOW WHAT IT SHOULD, AND NOTHING ELSE")


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def _refuse_beside_vault(options: dict[str, Any]) -> None:
    """What is said of the logs would seem to have been done."""
    given = [name for name in ("resume", "copies", "checkpoint") if options[name]]
    given += ["no-payloads"] if options["payloads"] is False else []
    if given:
        raise VerificationUnavailableError(f"--{given[0]} is about the logs: leave out --vault.")


def _state(path: Path | None) -> VerificationState | None:
    if path is None:
        return None
    state = VerificationState(path)
    # A file that cannot be written is not found out after hours.
    state.save()
    return state


def _compared(region: str, reports: list[Report]) -> list[Report]:
    """The reports with what the region's copies contradict."""
    target = region_target(region)
    if target is None:
        raise VerificationUnavailableError(f"The region {region!r} has no AUDITVAULT_COPIES_…_URL.")
    return note_findings(reports, list(check_copies(target)), region)


def _opens_payloads(region: str, asked: bool | None) -> bool:  # noqa: FBT001  # yes, no, or as it may be
    if asked is None:
        # After a restore the logs are what somebody wants to know about; contents are opened by nobody.
        return holds_keys(region) and restore_pending_reason(region) is None
    if asked and not holds_keys(region):
        raise VerificationUnavailableError(f"This process does not hold the keys of {region!r}.")
    return asked


def _refuse_elsewhere(origins: Sequence[str], regions: Sequence[str]) -> None:
    """A kept checkpoint of a log that is not looked at would seem to have been compared."""
    for origin in origins:
        if origin.split("/")[1:2] not in [[region] for region in regions]:
            raise VerificationUnavailableError(
                f"A checkpoint is of {origin}, which is in no region that is verified."
            )


def _pruned(report: Report) -> str:
    return f" from {report.pruned:,}, where it was pruned to" if report.pruned else ""


def _payloads(report: Report) -> str:
    if report.payloads is None:
        return ""
    gone = f", {report.payloads_gone:,} gone" if report.payloads_gone else ""
    return f" {report.payloads:>8,} contents{gone}"


def _epoch(restore: Restore) -> str:
    return (
        f"RESTORED: epoch {restore.epoch} goes on from {restore.kept_size:,} entries; of {restore.lost_size:,}"
        f" that were signed the rest is lost (case {restore.case}, record {restore.record})"
    )


def _in_words(finding: DatabaseFinding) -> str:
    name = f" {finding.name}" if finding.name else ""
    said = f"{finding.database}: {finding.finding} on {finding.object}{name}"
    if finding.expected is not None:
        said += f"; should be: {finding.expected}"
    if finding.found is not None:
        said += f"; is: {finding.found}"
    return said


def _as_json(outcome: Outcome) -> dict[str, Any]:
    return {
        "verdict": "holds" if outcome.holds else "does_not_hold",
        "database": [finding.as_json() for finding in outcome.databases],
        "logs": [
            {
                "region": report.region,
                "origin": report.origin,
                "kind": report.kind,
                "holds": report.holds,
                "entries": report.entries,
                "pruned": report.pruned,
                "checkpoints": report.checkpoints,
                "headers": report.headers,
                "payloads": report.payloads,
                "payloads_gone": report.payloads_gone,
                "first_bad": report.first_bad,
                "epoch": 1 + len(report.restores),
                "restores": [asdict(restore) for restore in report.restores],
                "notes": report.notes,
            }
            for report in outcome.reports
        ],
    }
