"""Requests as people look at them: what is due when, what may be done next, and how it has gone so far."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from auditvault.access.credentials import Credential
from auditvault.access.paging import id_of, page_cursor
from auditvault.core.policy.erasure import Action, Edge, Kind, State
from auditvault.core.policy.roles import AccessDeniedError
from auditvault.ledger.scope import region_alias, tenant_scope
from auditvault.privacy.looking import record_look
from auditvault.privacy.requests.store import (
    RequestRecord,
    Step,
    request_of,
    requests_page,
    tags_of,
    timeline,
)

MAX_PAGE = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which requests."""

    kind: Kind | None = None
    state: State | None = None
    only_open: bool = False
    """Without those that are at an end."""
    due_before: datetime | None = None
    cursor: str | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestPage:
    """Requests, newest first, and where the next page begins."""

    records: list[RequestRecord]
    next_cursor: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestShown:
    """A request with everything that may be seen of it."""

    record: RequestRecord
    steps: list[Step]
    identifiers: list[str]
    """Kinds of what names the person; the identifiers themselves are kept nowhere."""
    actions: list[Action]
    """What the caller may do next."""


def list_requests(
    *, credential: Credential, region: str, wanted: Wanted, now: datetime
) -> RequestPage:
    """A page of the tenant's requests in the region; raises CursorError, AccessNotRecordedError."""
    before = id_of(wanted.cursor)
    limit = max(1, min(wanted.limit, MAX_PAGE))
    record_look(credential=credential, region=region, now=now)
    with tenant_scope(region_alias(region), credential.tenant_id) as connection:
        found = requests_page(
            connection,
            kind=wanted.kind,
            state=wanted.state,
            only_open=wanted.only_open,
            due_before=wanted.due_before,
            before=before,
            limit=limit + 1,
        )
    shown = found[:limit]
    return RequestPage(
        records=shown,
        next_cursor=page_cursor(shown[-1].request_id) if len(found) > limit else None,
    )


def show_request(
    *, credential: Credential, region: str, request_id: UUID, now: datetime
) -> RequestShown:
    """One request; raises RequestNotFoundError, AccessNotRecordedError."""
    record_look(credential=credential, region=region, now=now)
    with tenant_scope(region_alias(region), credential.tenant_id) as connection:
        record = request_of(connection, request_id)
        return RequestShown(
            record=record,
            steps=timeline(connection, request_id),
            identifiers=[tag.kind for tag in tags_of(connection, request_id)],
            actions=[
                edge.action
                for edge in record.request.actions()
                if _may_take(credential, record, edge)
            ],
        )


def _may_take(credential: Credential, record: RequestRecord, edge: Edge) -> bool:
    if edge.act is None or (edge.is_dual and credential.human in record.request.hands):
        return False
    try:
        credential.role_for(edge.act)
    except AccessDeniedError:
        return False
    return True
