"""Reports about what was done: looks by person and case, denials, verification and export.

All of them come from access records, newest first; nothing is sorted by what a record says.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson
import psycopg

from auditvault.access.events.selectors import Header
from auditvault.access.own_looks import details_of, objects_of
from auditvault.core.reports.catalogue import Filters
from auditvault.core.reports.form import Row
from auditvault.core.reports.spread import is_outlier, z_score
from auditvault.core.tlog.canonical import canonical_bytes
from auditvault.evidence.reports.sources import Made, Sources

LOOKS = ("resolve",)
"""Actions by which content is seen."""
EXPORTS = ("export_bundle", "report", "read_access_log")
VERIFIED = "verification.ended"


def looks(sources: Sources) -> Made:
    """Looks at content by person and case, and how far a person is from others and from their own other days."""
    found = sources.access_records(actions=LOOKS, outcome="granted")
    names = sources.usernames(found)
    by_case: dict[tuple[str, str], list[Header]] = defaultdict(list)
    days: dict[str, Counter[date]] = defaultdict(Counter)
    for header in found:
        actor = str(header["actor"])
        by_case[actor, str(header.get("case") or "")].append(header)
        days[actor][_day(header)] += len(objects_of(header))
    totals = {actor: sum(own.values()) for actor, own in days.items()}
    whole = _days_of(sources.filters)
    rows: list[Row] = []
    for (actor, case), own in sorted(by_case.items()):
        others = [total for other, total in totals.items() if other != actor]
        of_persons = z_score(totals[actor], others)
        busiest, most = max(days[actor].items(), key=lambda item: (item[1], item[0]))
        other_days = [days[actor][day] for day in whole if day != busiest]
        of_days = z_score(most, other_days)
        rows.append(
            {
                "actor": actor,
                "username": names.get(actor),
                "case": case,
                "purpose_codes": " ".join(sorted({str(each["purpose_code"]) for each in own})),
                "looks": len(own),
                "objects": sum(len(objects_of(each)) for each in own),
                "first_at": own[-1]["recorded_at"],
                "last_at": own[0]["recorded_at"],
                "objects_of_person": totals[actor],
                "z_of_persons": _figure(of_persons),
                "busiest_day": busiest.isoformat(),
                "objects_that_day": most,
                "z_of_own_days": _figure(of_days),
                "outlier": is_outlier(of_persons) or is_outlier(of_days),
            }
        )
    return rows, {}


def denials(sources: Sources) -> Made:
    """What was refused, and with which code."""
    found = sources.access_records(outcome="denied")
    names = sources.usernames(found)
    rows: list[Row] = [
        {
            **_when_and_who(header, names),
            "action": header["action"],
            "refused_with": details_of(header).get("code"),
            "target": details_of(header).get("target"),
        }
        for header in found
    ]
    return rows, {}


def evidence_acts(sources: Sources, verifications: list[Row]) -> Made:
    """Bundles, reports and readings of the access log, and what scheduled verification of the region came to."""
    found = sources.access_records(actions=EXPORTS)
    names = sources.usernames(found)
    rows: list[Row] = [
        {
            **_when_and_who(header, names),
            "action": header["action"],
            "outcome": header["outcome"],
            "what": canonical_bytes(details_of(header)).decode(),
        }
        for header in found
    ]
    if sources.filters.actor is None:
        rows += verifications
    return sorted(rows, key=lambda row: str(row["recorded_at"]), reverse=True), {}


def verifications(
    connection: psycopg.Connection[Any], filters: Filters, origins: set[str]
) -> list[Row]:
    """Ends of scheduled verifications in the period, in the operator's scope; findings in these logs alone."""
    rows = connection.execute(
        "SELECT record_id, header FROM admin_event WHERE action = %s"
        " AND recorded_at >= coalesce(%s, '-infinity'::timestamptz)"
        " AND recorded_at < coalesce(%s, 'infinity'::timestamptz) ORDER BY record_id DESC",
        (VERIFIED, filters.recorded_from, filters.recorded_before),
    )
    return [_verification(record_id, orjson.loads(header), origins) for record_id, header in rows]


def _verification(record_id: UUID, header: Header, origins: set[str]) -> Row:
    said = details_of(header)
    bad = said.get("bad")
    own = {origin: bad[origin] for origin in origins if isinstance(bad, Mapping) and origin in bad}
    database = said.get("database") or {}
    return {
        "recorded_at": header["recorded_at"],
        "actor": "auditvault",
        "username": None,
        "action": VERIFIED,
        "outcome": "bad" if own or database else "holds",
        "what": canonical_bytes(
            {"job": said.get("job"), "bad": own, "database": database}
        ).decode(),
        "record": str(record_id),
    }


def _when_and_who(header: Header, names: Mapping[str, str]) -> Row:
    actor = str(header["actor"])
    return {
        "recorded_at": header["recorded_at"],
        "actor": actor,
        "username": names.get(actor),
        "record": header["id"],
    }


def _day(header: Header) -> date:
    return datetime.fromisoformat(str(header["recorded_at"])).astimezone(UTC).date()


def _days_of(filters: Filters) -> list[date]:
    """Days in UTC that the period touches."""
    if filters.recorded_from is None or filters.recorded_before is None:
        raise ValueError("looks are of a period")
    first, last = filters.recorded_from.date(), filters.recorded_before.date()
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


def _figure(score: Decimal | None) -> str | None:
    return None if score is None else str(score)
