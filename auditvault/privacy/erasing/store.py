"""Rows of manifests, listings, parts and certificates, inside a scope of their tenant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

import psycopg

from auditvault.core.errors import AuditvaultError
from auditvault.core.policy.manifest import Manifest, manifest_digest, read_manifest

_PART_COLUMNS = (
    "request_id, home, manifest, state, code, holds, tries, next_try_at, destroyed, keys, idxs, hashes, done_at,"
    " checked, remaining, opened, arrived, verified_at"
)


class ManifestNotFoundError(AuditvaultError):
    """The request has no manifest, or not this one."""

    code = "manifest_not_found"


class CertificateNotFoundError(AuditvaultError):
    """The request has no certificate, or not yet."""

    code = "request_certificate_not_found"


class PartState(StrEnum):
    """How far a request is in one region."""

    ORDERED = "ordered"
    HELD = "held"
    FAILED = "failed"
    DONE = "done"
    LEFT = "left"
    VERIFIED = "verified"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A request in one region."""

    request_id: UUID
    home: str
    """The region that keeps the request."""
    manifest: bytes
    state: PartState
    code: str | None
    """Of the error with which it failed."""
    holds: list[UUID]
    """In the way."""
    tries: int
    next_try_at: datetime
    destroyed: int | None
    """Objects."""
    keys: int | None
    idxs: list[int]
    """Records of the region's erasure ledger, with their hashes."""
    hashes: list[bytes]
    done_at: datetime | None
    checked: int | None
    remaining: int | None
    opened: int | None
    arrived: int | None
    verified_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a part went."""

    state: PartState
    code: str | None = None
    holds: Sequence[UUID] = ()
    wait: timedelta = timedelta()
    """Until it is looked at again."""
    destroyed: int | None = None
    keys: int | None = None
    records: Sequence[tuple[int, bytes]] = ()


def insert_manifest(
    connection: psycopg.Connection[Any], tenant_id: UUID, request_id: UUID, body: bytes
) -> None:
    """Store what was frozen, in the transaction that freezes it."""
    connection.execute(
        "INSERT INTO privacy_manifest (tenant_id, request_id, digest, body) VALUES (%s, %s, %s, %s)",
        (tenant_id, request_id, manifest_digest(body), body),
    )


def manifest_of(
    connection: psycopg.Connection[Any], request_id: UUID, digest: bytes | None
) -> Manifest:
    """What was frozen under this digest; raises ManifestNotFoundError."""
    return read_manifest(manifest_body(connection, request_id, digest))


def manifest_body(
    connection: psycopg.Connection[Any], request_id: UUID, digest: bytes | None
) -> bytes:
    """The bytes of it; raises ManifestNotFoundError, also where they are not those that were frozen."""
    row = connection.execute(
        "SELECT body FROM privacy_manifest WHERE request_id = %s AND digest = %s",
        (request_id, digest),
    ).fetchone()
    if row is None or manifest_digest(bytes(row[0])) != digest:
        raise ManifestNotFoundError("Nothing was frozen for this request. Freeze it first.")
    return bytes(row[0])


def list_objects(
    connection: psycopg.Connection[Any],
    *,
    listing_id: UUID,
    request_id: UUID,
    home: str,
    subjects: Sequence[UUID],
) -> tuple[int, bytes]:
    """List what there is of these subjects; how many objects, and their digest."""
    row = connection.execute(
        "SELECT * FROM privacy_list_objects(%s, %s, %s, %s)",
        (listing_id, request_id, home, list(subjects)),
    ).fetchone()
    if row is None:
        raise RuntimeError("this function gives one row")
    return row[0], bytes(row[1])


def listed(connection: psycopg.Connection[Any], listing_id: UUID) -> list[tuple[UUID, bytes]]:
    """Object and lookup tag of everything that was listed."""
    rows = connection.execute(
        "SELECT object_id, tag FROM privacy_listing_object WHERE listing_id = %s", (listing_id,)
    ).fetchall()
    return [(object_id, bytes(tag)) for object_id, tag in rows]


def forget_listings(connection: psycopg.Connection[Any], request_id: UUID) -> int:
    """Forget what was listed for a request; how many lists there were."""
    row = connection.execute("SELECT privacy_forget_listings(%s)", (request_id,)).fetchone()
    return int(row[0]) if row else 0


def holds_over(connection: psycopg.Connection[Any], subjects: Sequence[UUID]) -> list[UUID]:
    """Holds in force that cover something of these subjects, ascending."""
    rows = connection.execute("SELECT privacy_holds_over(%s)", (list(subjects),)).fetchall()
    return [row[0] for row in rows]


def part_of(connection: psycopg.Connection[Any], request_id: UUID) -> Part | None:
    """How far a request is in this region; None where it was not ordered."""
    row = connection.execute(
        f"SELECT {_PART_COLUMNS} FROM privacy_part WHERE request_id = %s",  # noqa: S608
        (request_id,),
    ).fetchone()
    if row is None:
        return None
    found = dict(zip(_PART_COLUMNS.replace(" ", "").split(","), row, strict=True))
    return Part(
        **found
        | {
            "state": PartState(found["state"]),
            "manifest": bytes(found["manifest"]),
            "hashes": list(map(bytes, found["hashes"])),
        }
    )


def order_part(
    connection: psycopg.Connection[Any], request_id: UUID, *, home: str, manifest: bytes
) -> bool:
    """Order a part, or order it again after it was held, failed or left something; whether this did."""
    return _called(
        connection, "SELECT privacy_order_part(%s, %s, %s)", (request_id, home, manifest)
    )


def note_part(connection: psycopg.Connection[Any], request_id: UUID, outcome: Outcome) -> bool:
    """Note how an ordered part went; False where somebody else has."""
    return _called(
        connection,
        "SELECT privacy_note_part(%s, %s, %s, %s::uuid[], %s, %s, %s, %s::bigint[], %s::bytea[])",
        (
            request_id,
            outcome.state.value,
            outcome.code,
            list(outcome.holds),
            outcome.wait,
            outcome.destroyed,
            outcome.keys,
            [index for index, _ in outcome.records],
            [digest for _, digest in outcome.records],
        ),
    )


def note_verified(
    connection: psycopg.Connection[Any],
    request_id: UUID,
    *,
    checked: int,
    remaining: int,
    opened: int,
    arrived: int,
) -> bool:
    """Note what the verification of a part that is done found; False where somebody else has."""
    return _called(
        connection,
        "SELECT privacy_verify_part(%s, %s, %s, %s, %s)",
        (request_id, checked, remaining, opened, arrived),
    )


def insert_certificate(
    connection: psycopg.Connection[Any],
    tenant_id: UUID,
    request_id: UUID,
    certificate_id: UUID,
    body: bytes,
    issued_at: datetime,
) -> None:
    """Store a certificate, in the transaction that certifies."""
    connection.execute(
        "INSERT INTO privacy_certificate VALUES (%s, %s, %s, %s, %s)",
        (tenant_id, request_id, certificate_id, body, issued_at),
    )


def certificate_of(connection: psycopg.Connection[Any], request_id: UUID) -> bytes:
    """A request's certificate; raises CertificateNotFoundError."""
    row = connection.execute(
        "SELECT body FROM privacy_certificate WHERE request_id = %s", (request_id,)
    ).fetchone()
    if row is None:
        raise CertificateNotFoundError("This request has no certificate yet.")
    return bytes(row[0])


def _called(
    connection: psycopg.Connection[Any], statement: str, values: tuple[object, ...]
) -> bool:
    return connection.execute(statement.encode(), values).fetchone() == (True,)
