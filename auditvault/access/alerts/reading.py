"""Reading the alerts of a place, page by page, once the look is recorded."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from auditvault.access.credentials import Credential
from auditvault.access.events.services import Act as RecordedAct
from auditvault.access.events.services import record_act
from auditvault.access.paging import id_of, page_cursor
from auditvault.core.policy.access import AccessDeniedError, Act
from auditvault.core.tlog.canonical import JsonValue, parse_canonical
from auditvault.ledger.scope import region_alias, tenant_scope

MAX_PAGE = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """What was raised: references and figures; its id is that of its record in the admin log."""

    alert_id: UUID
    kind: str
    raised_at: datetime
    details: dict[str, JsonValue]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Alerts, newest first, and where the next page begins."""

    alerts: list[Alert]
    next_cursor: str | None


def list_alerts(
    *, credential: Credential, region: str, limit: int, cursor: str | None, now: datetime
) -> Page:
    """One page of at most MAX_PAGE, for who reads the access log or gives roles.

    Raises:
        AccessDeniedError, CursorError, AccessNotRecordedError.
    """
    role = _role(credential)
    before = id_of(cursor)
    limit = max(1, min(limit, MAX_PAGE))
    with tenant_scope(region_alias(region), credential.tenant_id) as connection:
        rows = connection.execute(
            "SELECT alert_id, kind, raised_at, details FROM access_alert"
            " WHERE %s::uuid IS NULL OR alert_id < %s ORDER BY alert_id DESC LIMIT %s",
            (before, before, limit + 1),
        ).fetchall()
    page = [_alert(*row) for row in rows[:limit]]
    act = RecordedAct(
        actor=credential.actor,
        actor_role=role,
        action="read_alerts",
        outcome="granted",
        details={"rows": len(page)},
    )
    record_act(region=region, tenant_id=credential.tenant_id, act=act, now=now)
    return Page(
        alerts=page, next_cursor=page_cursor(page[-1].alert_id) if len(rows) > limit else None
    )


def _role(credential: Credential) -> str:
    try:
        return credential.role_for(Act.READ_ACCESS_LOG).value
    except AccessDeniedError:
        return credential.role_for(Act.GRANT_ROLES).value


def _alert(alert_id: UUID, kind: str, raised_at: datetime, details: bytes) -> Alert:
    found = parse_canonical(bytes(details))
    return Alert(
        alert_id=alert_id,
        kind=kind,
        raised_at=raised_at,
        details=found if isinstance(found, dict) else {},
    )
