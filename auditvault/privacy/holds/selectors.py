"""Reads legal holds, inside a scope of their tenant."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from typing import Any
from uuid import UUID

import psycopg

from auditvault.core.errors import AuditvaultError
from auditvault.core.policy.approvals import HumanId
from auditvault.core.policy.holds import Hold, parse_scope

_COLUMNS = "hold_id, tenant_id, scope, placed_by, custodian, review_on, placed_at, released_at"


class HoldNotFoundError(AuditvaultError):
    """The tenant has no such hold in this region."""

    code = "hold_not_found"


def hold_of(
    connection: psycopg.Connection[Any], region: str, hold_id: UUID, *, locked: bool = False
) -> Hold:
    """One hold, and nobody releases it meanwhile where it is `locked`; raises HoldNotFoundError."""
    # Whoever may not change the row may not lock it either, so a lock of its own is taken.
    if locked:
        connection.execute(
            "SELECT pg_advisory_xact_lock(hashtext('legal_hold_release'), hashtext(%s::text))",
            (hold_id,),
        )
    row = connection.execute(
        f"SELECT {_COLUMNS} FROM legal_hold WHERE hold_id = %s",  # noqa: S608
        (hold_id,),
    ).fetchone()
    if row is None:
        raise HoldNotFoundError("There is no such hold of this tenant in this region.")
    return _hold(region, row)


def holds_in_force(connection: psycopg.Connection[Any], region: str) -> Iterator[Hold]:
    """Every hold that was not released, in the order of their ids."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM legal_hold WHERE released_at IS NULL ORDER BY hold_id"  # noqa: S608
    ).fetchall()
    return (_hold(region, row) for row in rows)


def holds_page(
    connection: psycopg.Connection[Any],
    region: str,
    *,
    only_in_force: bool,
    overdue_on: date | None,
    before: UUID | None,
    limit: int,
) -> list[tuple[Hold, str]]:
    """Holds that match and the references of their matters, newest first, from the one after `before`."""
    rows = connection.execute(
        f"SELECT {_COLUMNS}, reference FROM legal_hold"  # noqa: S608
        " WHERE (NOT %(in_force)s OR released_at IS NULL)"
        " AND (%(day)s::date IS NULL OR (released_at IS NULL AND review_on <= %(day)s))"
        " AND (%(before)s::uuid IS NULL OR hold_id < %(before)s)"
        " ORDER BY hold_id DESC LIMIT %(limit)s",
        {"in_force": only_in_force, "day": overdue_on, "before": before, "limit": limit},
    ).fetchall()
    return [(_hold(region, row[:-1]), row[-1]) for row in rows]


def reference_of(connection: psycopg.Connection[Any], hold_id: UUID) -> str:
    """The reference of a hold's matter; raises HoldNotFoundError."""
    return str(_column(connection, hold_id, "reference"))


def reason_object(connection: psycopg.Connection[Any], hold_id: UUID) -> UUID:
    """Where the reason of a hold is sealed; raises HoldNotFoundError."""
    return UUID(str(_column(connection, hold_id, "reason_object")))


def _column(connection: psycopg.Connection[Any], hold_id: UUID, name: str) -> Any:
    row = connection.execute(
        f"SELECT {name} FROM legal_hold WHERE hold_id = %s",  # noqa: S608  # our own words only
        (hold_id,),
    ).fetchone()
    if row is None:
        raise HoldNotFoundError("There is no such hold of this tenant in this region.")
    return row[0]


def _hold(region: str, row: tuple[Any, ...]) -> Hold:
    hold_id, tenant_id, scope, placed_by, custodian, review_on, placed_at, released_at = row
    return Hold(
        hold_id=hold_id,
        tenant_id=tenant_id,
        region=region,
        scope=parse_scope(json.loads(bytes(scope))),
        placed_by=HumanId(placed_by),
        custodian=HumanId(custodian),
        review_on=review_on,
        placed_at=placed_at,
        released_at=released_at,
    )
