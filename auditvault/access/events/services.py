"""Writing an access record: committed before what it records happens (design rule 2).

Order: the reason is sealed; event row and sealed reason are written; the access log's head is locked and moved;
commit. Only then may the caller go on. A crash before the commit leaves nothing, and nothing was shown. A crash
after it leaves a record of a look that may not have happened, which is the safe side.

A log's head is held until the commit, so that looks at one tenant would wait for each other's commits one by one. What
waits is committed together (`together`): one lock, one append and one commit for all of a process's threads.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import Any, Literal, TypeAlias
from uuid import UUID

import psycopg
from django.conf import settings
from django.db import DatabaseError

from auditvault.access.events.refused import REFUSED
from auditvault.access.events.together import AbandonedError, Together, TooManyWaitingError
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
MOST_TOGETHER = 64
"""Records in one transaction: it holds the log's head, and what the records' acts lock, until it is committed."""
MOST_WAITING = 256
"""Records that may wait in a process for one log; more are refused, since a log that is so slow does not work."""
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


def not_recorded(*, region: str, tenant_id: UUID, now: datetime) -> AccessNotRecordedError:
    """The error to raise where the log cannot be written; that a look was refused is remembered until it can."""
    REFUSED.note(region=region, tenant_id=tenant_id, now=now)
    return AccessNotRecordedError(
        "The access log cannot be written, so nothing was shown. Try again later."
    )


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
    *,
    region: str,
    tenant_id: UUID,
    act: Act,
    now: datetime,
    also: Also | None = None,
    locks: str = "",
) -> UUID:
    """Record an act in the region's access log and return its record id, once it is durable.

    `also` is done in the same transaction, before the entry: what it raises undoes both. It must bear being undone and
    done again, in another thread. `locks` names the row that it locks, so that whoever locks several does it in order.

    Raises:
        AccessNotRecordedError: it could not be written; the caller must not go on.
    """
    at = instant_of(uuid7(now))
    try:
        prepared = _prepare(region, tenant_id, act, at, also, locks)
        _queue(region, tenant_id).add(prepared)
    except (DatabaseError, psycopg.Error, TooManyWaitingError, AbandonedError) as error:
        raise not_recorded(region=region, tenant_id=tenant_id, now=at) from error
    return prepared.record_id


def access_log(region: str, tenant_id: UUID) -> LogRef:
    """The tenant's access log, made where it is missing."""
    return log_ref(region, tenant_id, "access", settings.LOG_HOST)


def record_within(
    connection: psycopg.Connection[Any], *, log: LogRef, act: Act, now: datetime
) -> UUID:
    """Record an act that has no purpose inside the caller's transaction, with what else that one writes."""
    at = instant_of(uuid7(now))
    record_id = uuid7(at)
    _write(
        connection, log, [_Prepared(record_id=record_id, at=at, header=_header(act, record_id, at))]
    )
    return record_id


@dataclass(frozen=True, slots=True, kw_only=True)
class _Prepared:
    """A record that only has to be written."""

    record_id: UUID
    at: datetime
    header: dict[str, JsonValue]
    sealer: Sealer | None = None
    also: Also | None = None
    locks: str = ""


def _prepare(
    region: str, tenant_id: UUID, act: Act, at: datetime, also: Also | None, locks: str
) -> _Prepared:
    """Everything that needs no transaction of the record's: the header, and the sealed reason."""
    record_id = uuid7(at)
    header = _header(act, record_id, at)
    sealer = None
    if act.purpose:
        sealer = make_sealer(region=region, tenant_id=tenant_id, subjects=(), at=at)
        header["reason"] = _seal_reason(sealer, act.purpose.reason, record_id)
    return _Prepared(
        record_id=record_id, at=at, header=header, sealer=sealer, also=also, locks=locks
    )


@lru_cache(maxsize=4096)
def _queue(region: str, tenant_id: UUID) -> Together[_Prepared]:
    """What waits for the tenant's access log in this process. Two of them for one log would do no harm."""
    return Together(
        partial(_commit, region, tenant_id),
        fails_all=(DatabaseError, psycopg.Error),
        most_together=MOST_TOGETHER,
        most_waiting=MOST_WAITING,
    )


def _commit(region: str, tenant_id: UUID, batch: Sequence[_Prepared]) -> None:
    log = access_log(region, tenant_id)
    with tenant_scope(region_alias(region), tenant_id) as connection:
        for prepared in sorted(batch, key=lambda each: (each.locks, each.record_id)):
            if prepared.sealer:
                prepared.sealer.write(connection, prepared.at)
            if prepared.also:
                prepared.also(connection, prepared.record_id)
        _write(connection, log, sorted(batch, key=lambda each: each.record_id))


def _write(connection: psycopg.Connection[Any], log: LogRef, batch: Sequence[_Prepared]) -> None:
    """Event rows and entries; the head is locked last."""
    pending = []
    by_month: dict[tuple[int, int], list[Row]] = {}
    for prepared in batch:
        body = canonical_bytes(prepared.header)
        opening = os.urandom(OPENING_SIZE)
        entry_type = f"access.{prepared.header['action']}"
        projected = projection(prepared.header, record_id=prepared.record_id)
        row = _row(log.tenant_id, projected, opening, body)
        by_month.setdefault((prepared.at.year, prepared.at.month), []).append(row)
        commitment = header_commitment(opening, entry_type, body)
        pending.append(Pending(prepared.record_id.bytes, entry_type, "auditvault", commitment))
    for (year, month), rows in by_month.items():
        copy_into_month(
            connection, "access_event", datetime(year, month, 1, tzinfo=UTC), _COLUMNS, rows
        )
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
