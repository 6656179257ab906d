"""Asking for an export of headers, and what becomes of it: cancelled, fetched once by who asked, or expired.

Asking, and what a crash leaves behind:

1. The look is recorded in the access log with its filters and the number of rows, also where the export is then refused
   for their number.                                                                  Crash after: a look, no export.
2. The export is queued, and for a bulk one the approval used up, in one transaction. It holds a lock of the tenant's,
   so that those who ask at once are counted one after the other, and refuses one too many.     Crash: both or neither.

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
from auditvault.core.crypto.cms import read_certificate
from auditvault.core.errors import AuditvaultError
from auditvault.core.ids import uuid7
from auditvault.core.policy.access import Act
from auditvault.core.policy.approvals import ApprovalMissingError, Operation, Plan
from auditvault.core.tlog.canonical import JsonValue, canonical_bytes
from auditvault.evidence.exports.rows import Form
from auditvault.ledger.scope import region_alias, tenant_scope
from auditvault.traces.selectors import Search, matching_records

LIFETIME = timedelta(hours=24)


class ExportTooLargeError(AuditvaultError):
    """More rows match than an export may have."""

    code = "export_too_large"


class ExportEmptyError(AuditvaultError):
    """Nothing matches."""

    code = "export_empty"


class ExportsWaitingError(AuditvaultError):
    """The caller, or their tenant, has as many exports as may wait to be made or fetched."""

    code = "exports_waiting"


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
class Planned:
    """An export that was not asked for yet."""

    plan: Plan
    rows: int
    is_bulk: bool
    """Whether somebody else has to approve the plan."""


def plan_of(*, credential: Credential, region: str, wanted: Wanted, now: datetime) -> Planned:
    """What somebody else has to approve for a bulk export: the hash of its rows is part of it. The look is recorded.

    Raises AccessDeniedError, CertificateError, ExportEmptyError, ExportTooLargeError, AccessNotRecordedError.
    """
    role = credential.role_for(Act.READ_HEADERS)
    certificate = read_certificate(wanted.certificate)
    with tenant_scope(region_alias(region), credential.tenant_id) as connection:
        records = _records(connection, wanted)
    act = RecordedAct(
        actor=credential.actor,
        actor_role=role.value,
        action="plan_export",
        outcome="granted",
        details={**wanted.members(), "rows": len(records)},
    )
    record_act(region=region, tenant_id=credential.tenant_id, act=act, now=now)
    _check_number(records)
    return Planned(
        plan=_plan(credential, region, wanted, certificate, records),
        rows=len(records),
        is_bulk=len(records) > settings.EXPORT_ROWS_ALONE,
    )


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
        AccessDeniedError, HumanRequiredError, SecondFactorRequiredError, CertificateError, ExportEmptyError,
        ExportTooLargeError, ExportsWaitingError, AccessNotRecordedError, and what `use_within` raises: nothing was
            queued.
    """
    role, human = credential.role_for(Act.READ_HEADERS), credential.require_strong(now)
    certificate = read_certificate(wanted.certificate)
    export_id = uuid7(now)
    with tenant_scope(region_alias(region), credential.tenant_id) as connection:
        records = _records(connection, wanted)
    act = RecordedAct(
        actor=credential.actor,
        actor_role=role.value,
        action="export",
        outcome="granted",
        details={**wanted.members(), "export": str(export_id), "rows": len(records)},
    )
    record_act(region=region, tenant_id=credential.tenant_id, act=act, now=now)
    _check_number(records)
    if len(records) > settings.EXPORT_ROWS_ALONE and approval_id is None:
        raise ApprovalMissingError(
            "So many rows are a bulk export, which somebody else has to approve."
        )
    with tenant_scope(region_alias(region), credential.tenant_id) as connection:
        _check_waiting(connection, credential.tenant_id, human, now)
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

    They are read before the export is moved on, since from then on they may be deleted at any time, and given out after
    that is committed: a crash in between costs the requester the export, and gives nobody a second copy.

    Raises AccessDeniedError, ExportNotFoundError, SecondFactorRequiredError, HumanRequiredError or
    AccessNotRecordedError.
    """
    role, human = credential.role_for(Act.READ_HEADERS), credential.require_strong(now)
    parts = _parts(credential, region, export_id, human)
    if not parts:
        raise _not_to_be_had()

    def also(connection: psycopg.Connection[Any], _record_id: UUID) -> None:
        if not _moved(connection, export_id, "fetched", human):
            raise _not_to_be_had()

    act = RecordedAct(
        actor=credential.actor,
        actor_role=role.value,
        action="fetch_export",
        outcome="granted",
        details={"export": str(export_id)},
    )
    record_act(region=region, tenant_id=credential.tenant_id, act=act, now=now, also=also)
    return parts


def _not_to_be_had() -> ExportNotFoundError:
    return ExportNotFoundError("There is no such export to fetch.")


def _parts(
    credential: Credential, region: str, export_id: UUID, human: UUID
) -> list[tuple[int, bytes]]:
    """All parts of an export of that human's that is made; none of any other."""
    with tenant_scope(region_alias(region), credential.tenant_id) as connection:
        rows = connection.execute(
            "SELECT p.number, p.body FROM evidence_export_part AS p"
            " JOIN evidence_export AS e USING (tenant_id, export_id)"
            " WHERE export_id = %s AND e.human = %s AND e.state = 'made' ORDER BY p.number",
            (export_id, human),
        ).fetchall()
    return [(number, bytes(body)) for number, body in rows]


def _records(connection: psycopg.Connection[Any], wanted: Wanted) -> list[UUID]:
    """What matches; one more than an export may have, where it is too many."""
    return matching_records(connection, wanted.search(), settings.EXPORT_MOST_ROWS + 1)


def _check_number(records: list[UUID]) -> None:
    most = settings.EXPORT_MOST_ROWS
    if not records:
        raise ExportEmptyError("Nothing matches, so there is nothing to export.")
    if len(records) > most:
        raise ExportTooLargeError(f"An export has at most {most} rows. Choose a shorter period.")


def _check_waiting(
    connection: psycopg.Connection[Any], tenant_id: UUID, human: UUID, now: datetime
) -> None:
    """Raise ExportsWaitingError for one too many; until the commit nobody else of the tenant is counted."""
    connection.execute(
        "SELECT pg_advisory_xact_lock(hashtext('evidence_export'), hashtext(%s))", (str(tenant_id),)
    )
    row = connection.execute(
        "SELECT count(*) FILTER (WHERE human = %s), count(*) FROM evidence_export"
        " WHERE state IN ('queued', 'made') AND expires_at > %s",
        (human, now),
    ).fetchone()
    own, everybodys = row or (0, 0)
    if own >= settings.EXPORTS_WAITING_PER_PERSON:
        raise ExportsWaitingError(
            f"You have {own} exports that were not fetched. Fetch or cancel one."
        )
    if everybodys >= settings.EXPORTS_WAITING_PER_TENANT:
        raise ExportsWaitingError(
            "Too many exports of this tenant were not fetched. Fetch or cancel one, or ask again later."
        )


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
