"""Comparing every copied checkpoint of a region with its log: what finds a log that was rewritten and signed anew.

One checkpoint is in memory at a time. Rules kept: docs/spec/copies.md section 5. That the log's tiles are those of its
entries is left to `verification`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from auditvault.core.tlog.copy_names import CopyNameError
from auditvault.evidence.copies.reading import (
    LOGS,
    CopyContradictsError,
    copied_names,
    read_copied,
    require_extended,
)
from auditvault.evidence.copies.services import Target
from auditvault.evidence.verification_report import Report
from auditvault.ledger.logs import LogRef, region_logs


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyFinding:
    """A copied checkpoint that does not fit."""

    origin: str
    finding: Literal["copy_contradicts", "copy_damaged"]
    index: int
    """The first bad index that is known."""


def check_copies(target: Target) -> Iterator[CopyFinding]:
    """Yield what does not fit, log by log; raises CopyStoreError where the store cannot be read.

    Names are listed before the log is read, which may grow meanwhile.
    """
    logs = {log.origin: log for log in region_logs(target.region)}
    for origin in _copied_origins(target):
        log = logs.get(origin)
        if log is not None:
            yield from _check_log(target, log)
        elif next(copied_names(target.store, origin), None) is not None:
            yield CopyFinding(origin=origin, finding="copy_contradicts", index=0)


def note_findings(
    reports: list[Report], findings: Sequence[CopyFinding], region: str
) -> list[Report]:
    """The reports with the findings in them, and one more for each log that only the store has."""
    by_origin = {report.origin: report for report in reports}
    for each in findings:
        report = by_origin.get(each.origin)
        if report is None:
            report = Report(region=region, origin=each.origin, kind="unknown")
            by_origin[each.origin] = report
        if each.finding == "copy_damaged":
            report.bad("copy_damaged", each.index)
        else:
            report.bad("copy_contradicts", each.index)
    return list(by_origin.values())


def _copied_origins(target: Target) -> Iterator[str]:
    """Every origin of this region in the store, whatever host was its first part."""
    store = target.store
    for host in store.folders(LOGS):
        for uuid in store.folders(f"{LOGS}/{host}/{target.region}"):
            yield f"{host}/{target.region}/{uuid}"


def _check_log(target: Target, log: LogRef) -> Iterator[CopyFinding]:
    for name in copied_names(target.store, log.origin):
        try:
            copied = read_copied(target.store, log.origin, name, target.keys)
            require_extended(region=target.region, log=log, store=target.store, copied=copied)
        except CopyNameError:
            yield CopyFinding(origin=log.origin, finding="copy_damaged", index=name.size - 1)
        except CopyContradictsError as error:
            # What was copied later holds the same difference, or lies behind it.
            yield CopyFinding(origin=log.origin, finding="copy_contradicts", index=error.index)
