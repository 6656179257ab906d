"""The report on grants: who might see what of which case, who gave it, and what was seen under it."""

from __future__ import annotations

from datetime import UTC, datetime

from auditvault.access.grants.store import GrantRecord, page
from auditvault.access.holdings import usernames
from auditvault.core.policy.grants import PeriodScope
from auditvault.core.reports.form import Row
from auditvault.core.tlog.canonical import JsonValue
from auditvault.evidence.reports.sources import MAX_RECORDS, Made, ReportTooLargeError, Sources


def grants(sources: Sources) -> Made:
    """Grants that began in the period, newest first."""
    found = [each for each in _began_before(sources) if _matches(each, sources)]
    actors = {each.holder for each in found} | {each.approver for each in found}
    names = usernames(sources.staff, actors)
    rows: list[Row] = [
        {
            "grant": str(each.grant.grant_id),
            "actor": each.holder,
            "username": names.get(each.holder),
            "case": each.grant.case,
            "purpose_codes": " ".join(sorted(each.grant.codes)),
            "scope": _scope(each),
            "approver": each.approver,
            "approver_username": names.get(each.approver),
            "starts_at": _instant(each.grant.starts_at),
            "expires_at": _instant(each.grant.expires_at),
            "revoked_at": _instant(each.grant.revoked_at),
            "revoked_by": each.revoker,
            "live": each.grant.is_live(sources.now),
            "contents_seen": each.uses,
        }
        for each in found
    ]
    return rows, {}


def _began_before(sources: Sources) -> list[GrantRecord]:
    found = page(sources.records, human=None, live_at=None, before=None, limit=MAX_RECORDS + 1)
    if len(found) > MAX_RECORDS:
        raise ReportTooLargeError(f"The place has more than {MAX_RECORDS:,} grants.")
    return found


def _matches(each: GrantRecord, sources: Sources) -> bool:
    asked, grant = sources.filters, each.grant
    return (
        (asked.recorded_from is None or grant.starts_at >= asked.recorded_from)
        and (asked.recorded_before is None or grant.starts_at < asked.recorded_before)
        and asked.actor in {None, each.holder}
        and asked.case in {None, grant.case}
    )


def _scope(each: GrantRecord) -> dict[str, JsonValue]:
    """A period as it is; of what is named only how much, since a subject's id is for nobody to take away."""
    scope = each.grant.scope
    said = scope.parameters()
    if isinstance(scope, PeriodScope):
        return dict(said)
    return {name: len(value) if isinstance(value, list) else value for name, value in said.items()}


def _instant(at: datetime | None) -> str | None:
    return at.astimezone(UTC).isoformat(timespec="milliseconds") if at else None
