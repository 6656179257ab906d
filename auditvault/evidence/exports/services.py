"""Asking for an export of headers, and what becomes of it: cancelled, fetched once by who asked, or expired.

Asking, and what a crash leaves behind:

1. The look is recorded in the access log with its filters and the number of rows.    Crash after: a look, no export.
2. The export is queued, and for a bulk one the approval used up, in one transaction.          Crash: both or neither.

Making the parts is for `making`. Filters are those that name nobody and that nobody typed: what is stored of a request
is a period, a trace and a status.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

import psycopg
from django.conf import settings

from auditvault.access.approvals.services import use_within
from auditvault.access.credentials import Credential
from auditvault.access.events.services import Act as RecordedAct
from auditvault.access.events.services import record_act
from auditvault.core.errors import AuditvaultError
from auditvault.core.ids import uuid7
from auditvault.core.policy.access import AccessDeniedError, Act
from auditvault.core.policy.approvals import ApprovalMissingError, Operation, Plan
from auditvault.core.tlog.canonical import JsonValue, canonical_bytes, parse_canonical
from auditvault.evidence.exports.rows import Form
from auditvault.evidence.exports.sealing import read_certificate
from auditvault.ledger.scope import region_alias, tenant_scope
from auditvault.traces.selectors import Search, matching_records

LIFETIME = timedelta(hours=24)


class ExportTooLargeError(AuditvaultError):
    """More rows match than an export may have."""

    code = "export_too_large"


class ExportNotFoundError(AuditvaultError):
    """The caller has no such export, or it is not to be had now; which of these is not said."""

    code = "export_not_found"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to be exported, in which form, and to which certificate (PEM)."""

    started_from: datetime
    started_before: datetime
    certificate: str
    trace_id: bytes | None = None
    status: str | None = None
    form: Form = "csv"

    def search(self) -> Search:
        """As a search."""
        return Search(
            started_from=self.started_from,
            started_before=self.started_before,
            trace_id=self.trace_id,
            equal={"status": self.status} if self.status else {},
        )

    def members(self) -> dict[str, JsonValue]:
        """As it is stored and recorded."""
        members: dict[str, JsonValue] = {
            "started_from": self.started_from.isoformat(),
            "started_before": self.started_before.isoformat(),
            "form": self.form,
        }
        if self.trace_id:
            members["trace_id"] = self.trace_id.hex()
        if self.status:
            members["status"] = self.status
        return members


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportRecord:
    """An export as its human and whoever examines looks see it."""

    export_id: UUID
    actor: str
    request: dict[str, JsonValue]
    created_at: datetime
    expires_at: datetime
    state: str
    rows: int
    parts: int


def plan_of(*, credential: Credential, region: str, wanted: Wanted) -> Plan:
    """What somebody else has to approve for a bulk export: the hash of its rows is part of it.

    Raises AccessDeniedError, CertificateError, ExportTooLargeError.
    """
    credential.role_for(Act.READ_HEADERS)
    certificate = read_certificate(wanted.certificate)
    with tenant_scope(region_alias(region), credential.tenant_id) as connection:
        records = _records(connection, wanted)
    return _plan(credential, region, wanted, certificate, records)


def ask(
    *,
    credential: Credential,
    region: str,
    wanted: Wanted,
    now: datetime,
    approval_id: UUID | None = None,
) -> UUID:
    """Queue an export and return its id; above EXPORT_ROWS_ALONE rows under an approval of exactly that.

    Raises:
        AccessDeniedError, HumanRequiredError, SecondFactorRequiredError, CertificateError, ExportTooLargeError,
        AccessNotRecordedError, and what `use_within` raises: nothing was queued.
    """
    role, human = credential.role_for(Act.READ_HEADERS), credential.require_strong(now)
    certificate = read_certificate(wanted.certificate)
    export_id = uuid7(now)
    with tenant_scope(region_alias(region), credential.tenant_id) as connection:
        records = _records(connection, wanted)
    if len(records) > settings.EXPORT_ROWS_ALONE and approval_id is None:
        raise ApprovalMissingError(
            "So many rows are a bulk export, which somebody else has to approve."
        )
    act = RecordedAct(
        actor=credential.actor,
        actor_role=role.value,
        action="export",
        outcome="granted",
        details={**wanted.members(), "export": str(export_id), "rows": len(records)},
    )
    record_act(region=region, tenant_id=credential.tenant_id, act=act, now=now)
    with tenant_scope(region_alias(region), credential.tenant_id) as connection:
        connection.execute(
            "INSERT INTO evidence_export (tenant_id, export_id, human, actor, request, certificate, created_at,"
            " expires_at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
            (
                credential.tenant_id,
                export_id,
                human,
                credential.actor,
                canonical_bytes(wanted.members()),
                certificate,
                now,
                now + LIFETIME,
            ),
        )
        if approval_id is not None:
            use_within(
                connection,
                plan=_plan(credential, region, wanted, certificate, _records(connection, wanted)),
                approval_id=approval_id,
                human=human,
                actor=credential.actor,
                now=now,
            )
    return export_id


def exports(*, credential: Credential, region: str) -> list[ExportRecord]:
    """The caller's exports, newest first; of everybody, for who examines looks."""
    human: UUID | None = None
    try:
        credential.role_for(Act.READ_ACCESS_LOG)
    except AccessDeniedError:
        human = credential.require_human()
    with tenant_scope(region_alias(region), credential.tenant_id) as connection:
        rows = connection.execute(
            "SELECT export_id, actor, request, created_at, expires_at, state, row_count, part_count"
            " FROM evidence_export WHERE %s::uuid IS NULL OR human = %s ORDER BY export_id DESC LIMIT 200",
            (human, human),
        ).fetchall()
    return [_record(row) for row in rows]


def cancel(*, credential: Credential, region: str, export_id: UUID) -> None:
    """Give an export up that was not fetched; its parts are deleted. Raises ExportNotFoundError."""
    human = credential.require_human()
    with tenant_scope(region_alias(region), credential.tenant_id) as connection:
        if not _moved(connection, export_id, "cancelled", human):
            raise ExportNotFoundError("There is no such export to cancel.")


def fetch(
    *, credential: Credential, region: str, export_id: UUID, now: datetime
) -> list[tuple[int, bytes]]:
    """The encrypted parts, number and bytes, for who asked, once; the look is recorded first.

    Raises ExportNotFoundError, SecondFactorRequiredError, HumanRequiredError or AccessNotRecordedError.
    """
    human = credential.require_strong(now)

    def also(connection: psycopg.Connection[Any], _record_id: UUID) -> None:
        if not _moved(connection, export_id, "fetched", human):
            raise ExportNotFoundError("There is no such export to fetch.")

    act = RecordedAct(
        actor=credential.actor,
        actor_role=None,
        action="fetch_export",
        outcome="granted",
        details={"export": str(export_id)},
    )
    record_act(region=region, tenant_id=credential.tenant_id, act=act, now=now, also=also)
    with tenant_scope(region_alias(region), credential.tenant_id) as connection:
        rows = connection.execute(
            "SELECT number, body FROM evidence_export_part WHERE export_id = %s ORDER BY number",
            (export_id,),
        ).fetchall()
    return [(number, bytes(body)) for number, body in rows]


def _records(connection: psycopg.Connection[Any], wanted: Wanted) -> list[UUID]:
    most = settings.EXPORT_MOST_ROWS
    found = matching_records(connection, wanted.search(), most + 1)
    if len(found) > most:
        raise ExportTooLargeError(f"An export has at most {most} rows. Choose a shorter period.")
    return found


def _plan(
    credential: Credential, region: str, wanted: Wanted, certificate: bytes, records: list[UUID]
) -> Plan:
    rows = sha256(b"".join(record.bytes for record in records)).hexdigest()
    return Plan(
        operation=Operation.BULK_EXPORT,
        tenant_id=credential.tenant_id,
        region=region,
        parameters={
            **wanted.members(),
            "certificate_sha256": sha256(certificate).hexdigest(),
            "rows": len(records),
            "rows_sha256": rows,
        },
    )


def _moved(connection: psycopg.Connection[Any], export_id: UUID, state: str, human: UUID) -> bool:
    row = connection.execute(
        "SELECT evidence_move_export(%s, %s, 0, %s)", (export_id, state, human)
    ).fetchone()
    return bool(row and row[0])


def _record(row: tuple[Any, ...]) -> ExportRecord:
    request = parse_canonical(bytes(row[2]))
    return ExportRecord(
        export_id=row[0],
        actor=row[1],
        request=request if isinstance(request, dict) else {},
        created_at=row[3],
        expires_at=row[4],
        state=row[5],
        rows=row[6],
        parts=row[7],
    )
