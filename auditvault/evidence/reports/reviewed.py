"""The report on reviews: which were opened and signed off, which are overdue, and what was to go and is still there."""

from __future__ import annotations

from auditvault.access.holdings import holdings
from auditvault.core.policy.reviews import Quarter
from auditvault.core.reports.form import Row
from auditvault.evidence.reports.sources import Made, Sources, instant
from auditvault.evidence.reviews.selectors import Review, reviews, unsigned_quarters


def reviewed(sources: Sources) -> Made:
    """Reviews of the place, newest quarter first, with the quarters that wait for one."""
    found = reviews(sources.records)
    held = {
        (each.actor, each.role, each.through)
        for each in holdings(sources.staff, sources.tenant_id, sources.now)
        if each.region == sources.region and each.counts(sources.now)
    }
    waiting = unsigned_quarters(
        found, sources.staff, sources.tenant_id, sources.region, sources.now
    )
    rows = [_opened(each, sources, held) for each in found]
    rows += [_unopened(quarter, sources) for quarter in waiting]
    overdue = sum(row["state"] == "overdue" for row in rows)
    return sorted(rows, key=lambda row: str(row["quarter"]), reverse=True), {"overdue": overdue}


def _opened(each: Review, sources: Sources, held: set[tuple[str, str, str]]) -> Row:
    due_at = _quarter(each.quarter).due_at
    state = "open" if sources.now < due_at else "overdue"
    removed = [
        (str(line["actor"]), str(line["role"]), str(line["through"])) for line in each.removed()
    ]
    return {
        "quarter": each.quarter,
        "state": "signed" if each.signed_at else state,
        "due_at": instant(due_at),
        "opened_at": instant(each.opened_at),
        "signed_at": instant(each.signed_at),
        "signed_by": each.signer,
        "lines": len(each.lines),
        "to_remove": len(removed),
        "still_held": sum(each in held for each in removed),
        "list_sha256": each.list_sha256,
    }


def _unopened(quarter: Quarter, sources: Sources) -> Row:
    return {
        "quarter": quarter.name,
        "state": "not opened" if sources.now < quarter.due_at else "overdue",
        "due_at": instant(quarter.due_at),
        "opened_at": None,
        "signed_at": None,
        "signed_by": None,
        "lines": None,
        "to_remove": None,
        "still_held": None,
        "list_sha256": None,
    }


def _quarter(name: str) -> Quarter:
    year, number = name.split("-Q")
    return Quarter(int(year), int(number))
