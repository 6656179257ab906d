"""The report on break-glass: who opened it, what was looked at under it, and how far its review has come."""

from __future__ import annotations

from datetime import UTC, datetime

from auditvault.access.break_glass.store import BreakGlassRecord, page
from auditvault.access.events.selectors import Header
from auditvault.access.holdings import usernames
from auditvault.access.own_looks import details_of, objects_of
from auditvault.core.reports.form import Row
from auditvault.evidence.reports.sources import (
    MAX_RECORDS,
    Made,
    ReportTooLargeError,
    Sources,
)

_LOOKS = ("resolve",)


def break_glass(sources: Sources) -> Made:
    """What was opened in the period, and the looks that were made in it, newest first."""
    every = _all(sources)
    known = {str(each.opened.break_glass_id): each for each in every}
    looks = sources.access_records(actions=_LOOKS, purpose_code="BREAK_GLASS")
    began = [each for each in every if _matches(each, sources)]
    names = usernames(
        sources.staff,
        {str(header["actor"]) for header in looks} | {each.holder for each in began},
    )
    rows = [_opening(each, sources, names) for each in began]
    rows += [_look(header, known, sources, names) for header in looks]
    return sorted(rows, key=lambda row: str(row["recorded_at"]), reverse=True), {}


def _all(sources: Sources) -> list[BreakGlassRecord]:
    found = page(
        sources.records, human=None, only_unreviewed=False, before=None, limit=MAX_RECORDS + 1
    )
    if len(found) > MAX_RECORDS:
        raise ReportTooLargeError(f"The place has opened more than {MAX_RECORDS:,}.")
    return found


def _matches(each: BreakGlassRecord, sources: Sources) -> bool:
    asked, opened = sources.filters, each.opened
    return (
        (asked.recorded_from is None or opened.opened_at >= asked.recorded_from)
        and (asked.recorded_before is None or opened.opened_at < asked.recorded_before)
        and asked.actor in {None, each.holder}
        and asked.case in {None, opened.case}
    )


def _opening(each: BreakGlassRecord, sources: Sources, names: dict[str, str]) -> Row:
    return {
        "recorded_at": _instant(each.opened.opened_at),
        "actor": each.holder,
        "username": names.get(each.holder),
        "role": None,
        "case": each.opened.case,
        "what": "opened",
        "objects": None,
        **_reviewed(each, sources),
        "record": str(each.record_id),
    }


def _look(
    header: Header, known: dict[str, BreakGlassRecord], sources: Sources, names: dict[str, str]
) -> Row:
    actor = str(header["actor"])
    return {
        "recorded_at": header["recorded_at"],
        "actor": actor,
        "username": names.get(actor),
        "role": header.get("actor_role"),
        "case": header.get("case"),
        "what": "looked",
        "objects": len(objects_of(header)),
        **_reviewed(known.get(str(details_of(header).get("break_glass"))), sources),
        "record": header["id"],
    }


def _reviewed(each: BreakGlassRecord | None, sources: Sources) -> Row:
    if each is None:
        return dict.fromkeys(("break_glass", "review", "due_at", "reviewer"))
    return {
        "break_glass": str(each.opened.break_glass_id),
        "review": each.opened.state(sources.now).value,
        "due_at": _instant(each.opened.due_at),
        "reviewer": each.reviewer,
    }


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
