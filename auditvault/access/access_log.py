"""Reading the access log, page by page: recorded with its filters before rows are given out (PCI DSS 10.2.1.3)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from auditvault.access.credentials import Credential
from auditvault.access.events.selectors import Header, access_headers
from auditvault.access.events.services import Act as RecordedAct
from auditvault.access.events.services import record_act
from auditvault.access.paging import id_of, page_cursor
from auditvault.access.typed import typed_filters
from auditvault.core.policy.access import AccessDeniedError, Act
from auditvault.core.reports.catalogue import Filters
from auditvault.core.tlog.canonical import JsonValue
from auditvault.ledger.scope import region_alias, tenant_scope

MAX_PAGE = 200
# Filters whose values may be anybody's words.
_TYPED = ("action", "case", "role")


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Access records, newest first, and where the next page begins."""

    records: list[Header]
    next_cursor: str | None


def read_access_log(
    *,
    credential: Credential,
    region: str,
    filters: Filters,
    limit: int,
    cursor: str | None,
    now: datetime,
) -> Page:
    """One page of at most MAX_PAGE, once the look is recorded.

    Records that are made meanwhile come before the first page, so that following pages repeat none.

    Raises:
        AccessDeniedError: refused, and the refusal recorded.
        CursorError, AccessNotRecordedError.
    """
    role = _role(credential, region, now)
    before = id_of(cursor)
    limit = max(1, min(limit, MAX_PAGE))
    with tenant_scope(region_alias(region), credential.tenant_id) as connection:
        connection.execute("SET TRANSACTION READ ONLY")
        found = access_headers(connection, filters, limit=limit + 1, before=before)
    page = found[:limit]
    act = RecordedAct(
        actor=credential.actor,
        actor_role=role,
        action="read_access_log",
        outcome="granted",
        details=recorded_filters(region, credential.tenant_id, filters, matched=bool(page))
        | {"rows": len(page)},
    )
    record_act(region=region, tenant_id=credential.tenant_id, act=act, now=now)
    return Page(
        records=page,
        next_cursor=page_cursor(UUID(str(page[-1]["id"]))) if len(found) > limit else None,
    )


def recorded_filters(
    region: str, tenant_id: UUID, filters: Filters, *, matched: bool
) -> dict[str, JsonValue]:
    """Filters as an access record says them: what was typed and matched nothing, as a keyed tag."""
    given = filters.given()
    typed = {name: str(given.pop(name)) for name in _TYPED if name in given}
    return given | typed_filters(region=region, tenant_id=tenant_id, typed=typed, matched=matched)


def _role(credential: Credential, region: str, now: datetime) -> str:
    try:
        return credential.role_for(Act.READ_ACCESS_LOG).value
    except AccessDeniedError as error:
        refusal = RecordedAct(
            actor=credential.actor,
            actor_role=None,
            action="read_access_log",
            outcome="denied",
            details={"code": error.code},
        )
        record_act(region=region, tenant_id=credential.tenant_id, act=refusal, now=now)
        raise
