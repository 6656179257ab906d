"""The rows of grants and of their uses. Whoever calls is in a transaction of the grant's tenant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg

from auditvault.core.errors import AuditvaultError
from auditvault.core.policy.approvals import HumanId
from auditvault.core.policy.grants import Grant, GrantTerms
from auditvault.core.tlog.canonical import canonical_bytes, parse_canonical

_SELECT = (
    "SELECT grant_id, approval_id, human_id, holder, terms, approver, starts_at, expires_at, revoked_at, revoker,"
    " (SELECT count(*) FROM access_grant_use AS u WHERE u.tenant_id = g.tenant_id AND u.grant_id = g.grant_id)"
    " FROM access_grant AS g"
)
_LIVE = (
    "SELECT grant_id, human_id, terms, starts_at, expires_at FROM access_grant"
    " WHERE human_id = %s AND case_ref = %s AND revoked_at IS NULL AND starts_at <= %s AND expires_at > %s"
)


class GrantNotFoundError(AuditvaultError):
    """There is no such grant that the caller may see."""

    code = "grant_not_found"


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantRecord:
    """A grant as it is stored; `holder`, `approver` and `revoker` are actors as in records."""

    grant: Grant
    terms: GrantTerms
    approval_id: UUID
    holder: str
    approver: str
    revoker: str | None = None
    uses: int = 0
    """How many times a content was seen under it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantUse:
    """One content that was seen, and the access record that says so."""

    object_id: UUID
    record_id: UUID
    used_at: datetime


def insert(connection: psycopg.Connection[Any], tenant_id: UUID, record: GrantRecord) -> None:
    """Store a grant; the database refuses one that nobody else has approved."""
    grant = record.grant
    connection.execute(
        "INSERT INTO access_grant (tenant_id, grant_id, approval_id, human_id, holder, case_ref, terms, approver,"
        " starts_at, expires_at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (
            tenant_id,
            grant.grant_id,
            record.approval_id,
            grant.human,
            record.holder,
            grant.case,
            canonical_bytes(record.terms.parameters()),
            record.approver,
            grant.starts_at,
            grant.expires_at,
        ),
    )


def live_grants(
    connection: psycopg.Connection[Any], *, human: HumanId, case: str, now: datetime
) -> list[Grant]:
    """The human's grants for the case that are live."""
    rows = connection.execute(_LIVE, (human, case, now, now)).fetchall()
    return [_grant(*row, revoked_at=None)[0] for row in rows]


def read(connection: psycopg.Connection[Any], grant_id: UUID) -> GrantRecord:
    """The grant; raises GrantNotFoundError."""
    row = connection.execute(f"{_SELECT} WHERE grant_id = %s", (grant_id,)).fetchone()
    if row is None:
        raise GrantNotFoundError("There is no such grant.")
    return _record(row)


def page(
    connection: psycopg.Connection[Any],
    *,
    human: UUID | None,
    live_at: datetime | None,
    before: UUID | None,
    limit: int,
) -> list[GrantRecord]:
    """Grants, of one human where one is named, newest first; with `live_at` those that are live then."""
    rows = connection.execute(
        f"{_SELECT} WHERE (%s::uuid IS NULL OR human_id = %s) AND (%s::uuid IS NULL OR grant_id < %s)"
        " AND (%s::timestamptz IS NULL OR revoked_at IS NULL AND starts_at <= %s AND expires_at > %s)"
        " ORDER BY grant_id DESC LIMIT %s",
        (human, human, before, before, live_at, live_at, live_at, limit),
    ).fetchall()
    return [_record(row) for row in rows]


def revoke(
    connection: psycopg.Connection[Any], grant_id: UUID, *, actor: str, now: datetime
) -> bool:
    """Take a grant back; False where it was before."""
    row = connection.execute(
        "SELECT access_revoke_grant(%s, %s, %s)", (grant_id, actor, now)
    ).fetchone()
    return bool(row and row[0])


def note_uses(
    connection: psycopg.Connection[Any],
    *,
    human: HumanId,
    record_id: UUID,
    seen: Sequence[tuple[UUID, UUID]],
    now: datetime,
) -> bool:
    """Store what is seen under which grant of the human's, as pairs of grant and object.

    The grants are held until the commit. False, and nothing stored, where one of them is not live by now.
    """
    row = connection.execute(
        "SELECT access_use_grants(%s, %s, %s::uuid[], %s::uuid[], %s)",
        (human, record_id, [grant for grant, _ in seen], [each for _, each in seen], now),
    ).fetchone()
    return bool(row and row[0])


def uses(connection: psycopg.Connection[Any], grant_id: UUID, *, limit: int) -> list[GrantUse]:
    """What was seen under a grant, newest first."""
    rows = connection.execute(
        "SELECT object_id, record_id, used_at FROM access_grant_use WHERE grant_id = %s"
        " ORDER BY record_id DESC, object_id LIMIT %s",
        (grant_id, limit),
    ).fetchall()
    return [GrantUse(object_id=o, record_id=r, used_at=at) for o, r, at in rows]


def _record(row: tuple[Any, ...]) -> GrantRecord:
    grant_id, approval_id, human, holder, terms, approver, starts_at, expires_at = row[:8]
    revoked_at, revoker, used = row[8:]
    grant, read_terms = _grant(grant_id, human, terms, starts_at, expires_at, revoked_at=revoked_at)
    return GrantRecord(
        grant=grant,
        terms=read_terms,
        approval_id=approval_id,
        holder=holder,
        approver=approver,
        revoker=revoker,
        uses=used,
    )


def _grant(
    grant_id: UUID,
    human: UUID,
    terms: bytes,
    starts_at: datetime,
    expires_at: datetime,
    *,
    revoked_at: datetime | None,
) -> tuple[Grant, GrantTerms]:
    parameters = parse_canonical(bytes(terms))
    read_terms = GrantTerms.parse(parameters if isinstance(parameters, dict) else {})
    grant = Grant(
        grant_id=grant_id,
        human=HumanId(human),
        case=read_terms.case,
        codes=read_terms.codes,
        scope=read_terms.scope,
        starts_at=starts_at,
        expires_at=expires_at,
        revoked_at=revoked_at,
    )
    return grant, read_terms
