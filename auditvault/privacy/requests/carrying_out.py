"""Going on with restrictions and objections that are the service's to carry out: begin, restrict, look, confirm.

Each step is a transaction of its own, and is found from where the request is. A crash between two of them leaves a
request that the next call, or the scheduled one, goes on with; two workers find one of them overtaken.
"""

from __future__ import annotations

import logging
from datetime import datetime
from uuid import UUID

import psycopg
from django.db import DatabaseError

from auditvault.core.errors import AuditvaultError
from auditvault.core.policy.erasure import RESTRICTING, Action, RequestMoveError, State
from auditvault.ledger.scope import region_alias, retention_connection, tenant_scope
from auditvault.privacy.requests.restricting import restrict
from auditvault.privacy.requests.services import advance_request
from auditvault.privacy.requests.store import RequestOvertakenError, RequestRecord, request_of

log = logging.getLogger("auditvault.privacy")

# From its approval to its notice a request takes four steps; more where somebody came in between.
_MOST_STEPS = 12


def carry_out(*, region: str, tenant_id: UUID, request_id: UUID, now: datetime) -> State:
    """Carry out a restriction or an objection that is approved; returns where it is then.

    Where it is not the service's to go on with, nothing is done. Asked again, nothing is changed.

    Raises:
        RequestNotFoundError: there is no such request.
        RequestMoveError: it is of another kind.
    """
    for _ in range(_MOST_STEPS):
        record = _stored(region, tenant_id, request_id)
        if record.request.kind not in RESTRICTING:
            raise RequestMoveError("Only restrictions and objections are carried out here.")
        try:
            if not _go_on(region, record, now):
                return record.request.state
        except (RequestOvertakenError, RequestMoveError):
            # Another worker was faster: where it is now, says what is next.
            continue
    return _stored(region, tenant_id, request_id).request.state


def carry_out_due(region: str, now: datetime) -> None:
    """As `carry_out`, for every request of the region that waits; one that fails does not keep the others."""
    rows = retention_connection(region).execute(
        "SELECT tenant_id, request_id FROM privacy_restrictions_due()"
    )
    for tenant_id, request_id in rows.fetchall():
        try:
            carry_out(region=region, tenant_id=tenant_id, request_id=request_id, now=now)
        except (AuditvaultError, DatabaseError, psycopg.Error):
            log.exception("request %s in %s was not carried out", request_id, region)


def _go_on(region: str, record: RequestRecord, now: datetime) -> bool:
    """Take the next step; whether there was one."""
    action, manifest = _next(region, record)
    if action is None:
        return False
    if action is Action.FINISH:
        restrict(region=region, tenant_id=record.tenant_id, request_id=record.request_id)
    advance_request(
        region=region,
        tenant_id=record.tenant_id,
        request_id=record.request_id,
        action=action,
        now=now,
        manifest=manifest,
    )
    return True


def _next(region: str, record: RequestRecord) -> tuple[Action | None, bytes | None]:
    """What is to be done from here, with the manifest that was approved where the step takes one."""
    state = record.request.state
    if state is State.SCHEDULED:
        return Action.BEGIN, record.request.approved_manifest
    if state is State.FAILED_RETRY:
        return Action.RETRY, None
    if state is State.EXECUTING:
        return Action.FINISH, None
    if state is State.VERIFYING:
        # Somebody may have become one with the person since: they are restricted too.
        return (Action.REOPEN if _lacks(region, record) else Action.CONFIRM), None
    return None, None


def _lacks(region: str, record: RequestRecord) -> bool:
    with tenant_scope(region_alias(region), record.tenant_id) as connection:
        row = connection.execute(
            "SELECT privacy_restriction_lacks(%s)", (record.request_id,)
        ).fetchone()
    return row is None or bool(row[0])


def _stored(region: str, tenant_id: UUID, request_id: UUID) -> RequestRecord:
    with tenant_scope(region_alias(region), tenant_id) as connection:
        return request_of(connection, request_id)
