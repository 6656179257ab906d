"""Writing an access record: committed before what it records happens (design rule 2).

Order: the reason is sealed; event row and sealed reason are written; the access log's head is locked and moved;
commit. Only then may the caller go on. A crash before the commit leaves nothing, and nothing was shown. A crash
after it leaves a record of a look that may not have happened, which is the safe side.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeAlias
from uuid import UUID

import psycopg
from django.conf import settings
from django.db import DatabaseError

from auditvault.core.errors import AuditvaultError
from auditvault.core.ids import instant_of, uuid7
from auditvault.core.policy.access import Purpose
from auditvault.core.tlog.canonical import JsonValue, canonical_bytes
from auditvault.core.tlog.commitment import OPENING_SIZE, header_commitment
from auditvault.ledger.copying import Row, copy_into_month, encode_row, text, timestamptz
from auditvault.ledger.logs import LogRef, log_ref
from auditvault.ledger.scope import region_alias, tenant_scope
from auditvault.ledger.services import Pending, append, format_instant
from auditvault.vault.sealing import Sealer
from auditvault.vault.services import make_sealer

EVENT_VERSION = "auditvault/access/1"
REASON_ROLE = "access_reason"
_COLUMNS = (
    "tenant_id, record_id, recorded_at, action, outcome, actor, actor_role, purpose_code, case_ref,"
    " opening, header"
)

Outcome = Literal["granted", "denied"]
Also: TypeAlias = Callable[[psycopg.Connection[Any], UUID], None]
"""What belongs to an act's record; takes the transaction and the record's id."""


class AccessNotRecordedError(AuditvaultError):
    """The look could not be recorded, so it did not happen."""

    code = "access_not_recorded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """What somebody is about to do, or was refused. `details` holds references and counts only, never content."""

    actor: str
    actor_role: str | None
    action: str
    outcome: Outcome
    details: dict[str, JsonValue]
    purpose: Purpose | None = None


def record_act(
    *, region: str, tenant_id: UUID, act: Act, now: datetime, also: Also | None = None
) -> UUID:
    """Record an act in the region's access log and return its record id, once it is durable.

    `also` is done in the same transaction, before the entry: what it raises undoes both.

    Raises:
        AccessNotRecordedError: it could not be written; the caller must not go on.
    """
    at = instant_of(uuid7(now))
    try:
        return _record(region, tenant_id, act, at, also)
    except (DatabaseError, psycopg.Error) as error:
        raise AccessNotRecordedError(
            "The access log cannot be written, so nothing was shown. Try again later."
        ) from error


def access_log(region: str, tenant_id: UUID) -> LogRef:
    """The tenant's access log, made where it is missing."""
    return log_ref(region, tenant_id, "access", settings.LOG_HOST)


def record_within(
    connection: psycopg.Connection[Any], *, log: LogRef, act: Act, now: datetime
) -> UUID:
    """Record an act that has no purpose inside the caller's transaction, with what else that one writes."""
    at = instant_of(uuid7(now))
    record_id = uuid7(at)
    _write(connection, log, act, _header(act, record_id, at), record_id, at)
    return record_id


def _record(region: str, tenant_id: UUID, act: Act, at: datetime, also: Also | None) -> UUID:
    log = access_log(region, tenant_id)
    record_id = uuid7(at)
    sealer = (
        make_sealer(region=region, tenant_id=tenant_id, subjects=(), at=at) if act.purpose else None
    )
    header = _header(act, record_id, at)
    if act.purpose and sealer:
        header["reason"] = _seal_reason(sealer, act.purpose.reason, record_id)
    with tenant_scope(region_alias(region), tenant_id) as connection:
        if sealer:
            sealer.write(connection, at)
        if also:
            also(connection, record_id)
        _write(connection, log, act, header, record_id, at)
    return record_id


def _write(
    connection: psycopg.Connection[Any],
    log: LogRef,
    act: Act,
    header: dict[str, JsonValue],
    record_id: UUID,
    at: datetime,
) -> None:
    """Event row and entry; the head is locked last."""
    body = canonical_bytes(header)
    opening = os.urandom(OPENING_SIZE)
    entry_type = f"access.{act.action}"
    row = _row(log.tenant_id, projection(header, record_id=record_id), opening, body)
    copy_into_month(connection, "access_event", at, _COLUMNS, [row])
    commitment = header_commitment(opening, entry_type, body)
    pending = [Pending(record_id.bytes, entry_type, "auditvault", commitment)]
    append(connection, log=log, pending=pending)


def _header(act: Act, record_id: UUID, at: datetime) -> dict[str, JsonValue]:
    header: dict[str, JsonValue] = {
        "v": EVENT_VERSION,
        "id": str(record_id),
        "recorded_at": format_instant(at),
        "actor": act.actor,
        "action": act.action,
        "outcome": act.outcome,
        "details": act.details,
    }
    if act.actor_role:
        header["actor_role"] = act.actor_role
    if act.purpose:
        header["purpose_code"] = act.purpose.code.value
        header["case"] = act.purpose.case
    return header


def projection(header: dict[str, JsonValue], *, record_id: UUID) -> tuple[Any, ...]:
    """The search columns of an access record, in table order after the tenant, up to `case_ref`."""
    return (
        record_id,
        instant_of(record_id),
        header["action"],
        header["outcome"],
        header["actor"],
        header.get("actor_role"),
        header.get("purpose_code"),
        header.get("case"),
    )


def _row(tenant_id: UUID, projected: tuple[Any, ...], opening: bytes, body: bytes) -> Row:
    record_id, recorded_at, *texts = projected
    return encode_row(
        tenant_id.bytes,
        record_id.bytes,
        timestamptz(recorded_at),
        *map(text, texts),
        opening,
        body,
    )


def _seal_reason(sealer: Sealer, reason: str, record_id: UUID) -> JsonValue:
    body = reason.encode()
    return sealer.seal(
        subject_id=sealer.tenant_subject,
        record_id=record_id.bytes,
        role=REASON_ROLE,
        body=body,
        digest=hashlib.sha256(body).digest(),
    )
