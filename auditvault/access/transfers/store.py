"""The rows of transfer bases. Whoever calls is in a transaction of the tenant, in the region that content leaves."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg

from auditvault.core.errors import AuditvaultError
from auditvault.core.policy.approvals import HumanId
from auditvault.core.policy.transfers import (
    BasisKind,
    TransferBasis,
    TransferBasisMissingError,
)

MAX_BASES = 200
_SELECT = (
    "SELECT basis_id, kind, reference, region, to_region, valid_from, valid_until, recorded_by, recorder, recorded_at,"
    " ender, ended_at FROM transfer_basis LEFT JOIN transfer_basis_end USING (tenant_id, basis_id)"
)


class TransferBasisNotFoundError(AuditvaultError):
    """The tenant has no such basis in this region."""

    code = "transfer_basis_not_found"


@dataclass(frozen=True, slots=True, kw_only=True)
class BasisRecord:
    """A basis as it is stored, and by which accounts."""

    basis: TransferBasis
    recorder: str
    recorded_at: datetime
    ender: str | None = None


def insert(connection: psycopg.Connection[Any], tenant_id: UUID, record: BasisRecord) -> None:
    """Store a basis."""
    basis = record.basis
    connection.execute(
        "INSERT INTO transfer_basis (tenant_id, basis_id, kind, reference, region, to_region, valid_from, valid_until,"
        " recorded_by, recorder, recorded_at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (
            tenant_id,
            basis.basis_id,
            basis.kind.value,
            basis.reference,
            basis.region,
            basis.to_region,
            basis.valid_from,
            basis.valid_until,
            basis.recorded_by,
            record.recorder,
            record.recorded_at,
        ),
    )


def end(
    connection: psycopg.Connection[Any],
    tenant_id: UUID,
    basis_id: UUID,
    *,
    ender: str,
    now: datetime,
) -> bool:
    """End a basis; False where somebody had."""
    done = connection.execute(
        "INSERT INTO transfer_basis_end (tenant_id, basis_id, ender, ended_at) VALUES (%s, %s, %s, %s)"
        " ON CONFLICT DO NOTHING",
        (tenant_id, basis_id, ender, now),
    )
    return done.rowcount == 1


def read(connection: psycopg.Connection[Any], basis_id: UUID) -> BasisRecord:
    """The basis as it is; raises TransferBasisNotFoundError."""
    row = connection.execute(f"{_SELECT} WHERE basis_id = %s", (basis_id,)).fetchone()
    if row is None:
        raise TransferBasisNotFoundError("There is no such transfer basis.")
    return _record(row)


def newest(connection: psycopg.Connection[Any]) -> list[BasisRecord]:
    """The newest MAX_BASES, newest first."""
    rows = connection.execute(
        f"{_SELECT} ORDER BY basis_id DESC LIMIT %s",
        (MAX_BASES,),
    ).fetchall()
    return [_record(row) for row in rows]


def live_to(connection: psycopg.Connection[Any], *, to_region: str, now: datetime) -> TransferBasis:
    """The newest basis on which content may pass to that region now; raises TransferBasisMissingError."""
    rows = connection.execute(
        f"{_SELECT} WHERE to_region = %s AND valid_from <= %s AND valid_until > %s AND ended_at IS NULL"
        " ORDER BY basis_id DESC LIMIT 1",
        (to_region, now, now),
    ).fetchall()
    if not rows:
        raise missing()
    return _record(rows[0]).basis


def missing() -> TransferBasisMissingError:
    """The error to raise where nothing lets content pass; why is not said."""
    return TransferBasisMissingError(
        "No transfer basis that is valid now lets content pass between these regions."
    )


def _record(row: tuple[Any, ...]) -> BasisRecord:
    basis_id, kind, reference, region, to_region, valid_from, valid_until = row[:7]
    recorded_by, recorder, recorded_at, ender, ended_at = row[7:]
    return BasisRecord(
        basis=TransferBasis(
            basis_id=basis_id,
            kind=BasisKind(kind),
            reference=reference,
            region=region,
            to_region=to_region,
            valid_from=valid_from.astimezone(UTC),
            valid_until=valid_until.astimezone(UTC),
            recorded_by=HumanId(recorded_by),
            ended_at=ended_at.astimezone(UTC) if ended_at else None,
        ),
        recorder=recorder,
        recorded_at=recorded_at.astimezone(UTC),
        ender=ender,
    )
