"""Rows of requests, inside a scope of their tenant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

import psycopg

from auditvault.core.errors import AuditvaultError
from auditvault.core.policy.approvals import HumanId
from auditvault.core.policy.erasure import Kind, Request, State

COLUMNS = (
    "tenant_id, request_id, kind, regime, regime_version, received_at, acknowledge_by, answer_by, extended_by,"
    " due_at, extended_due_at, words_object, state, step, hands, is_identified, manifest, approved_manifest,"
    " approved_by, has_begun, is_extended"
)
_ROW = f"ROW({', '.join(['%s'] * 14)}, %s::uuid[], {', '.join(['%s'] * 6)})::privacy_request"


class RequestNotFoundError(AuditvaultError):
    """The tenant has no such request in this region."""

    code = "privacy_request_not_found"


class RequestOvertakenError(AuditvaultError):
    """Somebody else moved the request meanwhile: look at it again."""

    code = "privacy_request_overtaken"


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRecord:
    """A request as it is stored."""

    tenant_id: UUID
    request_id: UUID
    regime: str
    regime_version: str
    received_at: datetime
    acknowledge_by: date | None
    answer_by: date
    extended_by: date | None
    due_at: datetime
    """The first instant that is too late, without an extension."""
    extended_due_at: datetime | None
    words_object: UUID | None
    step: int
    request: Request

    @property
    def is_due_at(self) -> datetime:
        """The first instant that is too late, as it stands."""
        if self.request.is_extended and self.extended_due_at is not None:
            return self.extended_due_at
        return self.due_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Tag:
    """What names the person, as it may be kept."""

    kind: str
    tag: bytes
    normalisation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a request's timeline."""

    step: int
    action: str
    from_state: str | None
    to_state: str
    actor: str
    record_id: UUID
    taken_at: datetime


def insert(
    connection: psycopg.Connection[Any],
    record: RequestRecord,
    tags: list[Tag],
    elsewhere: Mapping[str, list[Tag]],
    *,
    actor: str,
    admin_record: UUID,
) -> None:
    """Write a request that has come in, with what names the person here and in other regions."""
    connection.execute(
        f"SELECT privacy_request_receive({_ROW}, %s::text[], %s::bytea[], %s::smallint[], %s, %s)",
        (
            *_values(record),
            [tag.kind for tag in tags],
            [tag.tag for tag in tags],
            [tag.normalisation for tag in tags],
            actor,
            admin_record,
        ),
    )
    rows = [(region, tag) for region, there in elsewhere.items() for tag in there]
    if rows:
        connection.execute(
            "SELECT privacy_request_name(%s, %s::text[], %s::text[], %s::bytea[], %s::smallint[])",
            (
                record.request_id,
                [region for region, _ in rows],
                [tag.kind for _, tag in rows],
                [tag.tag for _, tag in rows],
                [tag.normalisation for _, tag in rows],
            ),
        )


def move_on(
    connection: psycopg.Connection[Any],
    record: RequestRecord,
    *,
    action: str,
    actor: str,
    admin_record: UUID,
) -> None:
    """Write a request that was moved, with its next step; raises RequestOvertakenError."""
    row = connection.execute(
        f"SELECT privacy_request_move({_ROW}, %s, %s, %s)",
        (*_values(record), action, actor, admin_record),
    ).fetchone()
    if row != (True,):
        raise RequestOvertakenError("Somebody else moved the request meanwhile. Look again.")


def request_of(connection: psycopg.Connection[Any], request_id: UUID) -> RequestRecord:
    """One request; raises RequestNotFoundError."""
    row = connection.execute(
        f"SELECT {COLUMNS} FROM privacy_request WHERE request_id = %s",  # noqa: S608
        (request_id,),
    ).fetchone()
    if row is None:
        raise RequestNotFoundError("There is no such request of this tenant in this region.")
    return _record(row)


def open_requests(connection: psycopg.Connection[Any], limit: int) -> list[RequestRecord]:
    """Requests that are not at an end, the one that is due first first."""
    rows = connection.execute(
        f"SELECT {COLUMNS} FROM privacy_request WHERE state NOT IN ('closed', 'withdrawn', 'duplicate')"  # noqa: S608
        " ORDER BY CASE WHEN is_extended THEN extended_due_at ELSE due_at END, request_id LIMIT %s",
        (limit,),
    ).fetchall()
    return [_record(row) for row in rows]


def requests_page(
    connection: psycopg.Connection[Any],
    *,
    kind: Kind | None,
    state: State | None,
    only_open: bool,
    due_before: datetime | None,
    before: UUID | None,
    limit: int,
) -> list[RequestRecord]:
    """Requests that match, newest first, from the one after `before`."""
    rows = connection.execute(
        f"SELECT {COLUMNS} FROM privacy_request"  # noqa: S608
        " WHERE (%(kind)s::text IS NULL OR kind = %(kind)s) AND (%(state)s::text IS NULL OR state = %(state)s)"
        " AND (NOT %(open)s OR state NOT IN ('closed', 'withdrawn', 'duplicate'))"
        " AND (%(due)s::timestamptz IS NULL"
        "      OR CASE WHEN is_extended THEN extended_due_at ELSE due_at END < %(due)s)"
        " AND (%(before)s::uuid IS NULL OR request_id < %(before)s)"
        " ORDER BY request_id DESC LIMIT %(limit)s",
        {
            "kind": kind.value if kind else None,
            "state": state.value if state else None,
            "open": only_open,
            "due": due_before,
            "before": before,
            "limit": limit,
        },
    ).fetchall()
    return [_record(row) for row in rows]


def tags_of(connection: psycopg.Connection[Any], request_id: UUID) -> list[Tag]:
    """What names the person."""
    rows = connection.execute(
        "SELECT kind, tag, normalisation FROM privacy_request_tag WHERE request_id = %s ORDER BY kind, tag",
        (request_id,),
    ).fetchall()
    return [Tag(kind=kind, tag=bytes(tag), normalisation=version) for kind, tag, version in rows]


def region_tags_of(connection: psycopg.Connection[Any], request_id: UUID) -> dict[str, list[Tag]]:
    """What names the person in each of the other regions."""
    rows = connection.execute(
        "SELECT region, kind, tag, normalisation FROM privacy_request_region_tag WHERE request_id = %s"
        " ORDER BY region, kind, tag",
        (request_id,),
    ).fetchall()
    found: dict[str, list[Tag]] = {}
    for region, kind, tag, version in rows:
        found.setdefault(region, []).append(Tag(kind=kind, tag=bytes(tag), normalisation=version))
    return found


def timeline(connection: psycopg.Connection[Any], request_id: UUID) -> list[Step]:
    """Every step, the first first."""
    rows = connection.execute(
        "SELECT step, action, from_state, to_state, actor, record_id, taken_at FROM privacy_request_step"
        " WHERE request_id = %s ORDER BY step",
        (request_id,),
    ).fetchall()
    names = ("step", "action", "from_state", "to_state", "actor", "record_id", "taken_at")
    return [Step(**dict(zip(names, row, strict=True))) for row in rows]


def _values(record: RequestRecord) -> tuple[Any, ...]:
    request = record.request
    return (
        record.tenant_id,
        record.request_id,
        request.kind.value,
        record.regime,
        record.regime_version,
        record.received_at,
        record.acknowledge_by,
        record.answer_by,
        record.extended_by,
        record.due_at,
        record.extended_due_at,
        record.words_object,
        request.state.value,
        record.step,
        sorted(request.hands),
        request.is_identified,
        request.manifest,
        request.approved_manifest,
        request.approved_by,
        request.has_begun,
        request.is_extended,
    )


def _record(row: tuple[Any, ...]) -> RequestRecord:
    found = dict(zip(COLUMNS.replace(" ", "").split(","), row, strict=True))
    approved_by = found["approved_by"]
    return RequestRecord(
        request=Request(
            kind=Kind(found["kind"]),
            state=State(found["state"]),
            hands=frozenset(map(HumanId, found["hands"])),
            is_identified=found["is_identified"],
            manifest=_bytes(found["manifest"]),
            approved_manifest=_bytes(found["approved_manifest"]),
            approved_by=HumanId(approved_by) if approved_by else None,
            has_begun=found["has_begun"],
            is_extended=found["is_extended"],
        ),
        **{name: found[name] for name in RequestRecord.__dataclass_fields__ if name != "request"},
    )


def _bytes(value: Any) -> bytes | None:
    return None if value is None else bytes(value)
