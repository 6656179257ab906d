"""Rows of orders, files and links, inside a scope of their tenant."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import psycopg

from auditvault.core.errors import AuditvaultError

_COLUMNS = (
    "request_id, home, manifest, ordered_by, state, code, tries, next_try_at, contents, digest, made_at, expires_at,"
    " delivered_at"
)


class PackageNotFoundError(AuditvaultError):
    """There is no such package, or no link that leads to one; which of these is not said."""

    code = "package_not_found"


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """One region's file, without its bytes."""

    request_id: UUID
    home: str
    """The region that keeps the request."""
    manifest: bytes
    ordered_by: UUID
    """Human who may know the passphrase."""
    state: str
    """`ordered`, `failed`, `made`, `delivered` or `forgotten`."""
    code: str | None
    """Of the error with which it failed."""
    tries: int
    next_try_at: datetime
    contents: int | None
    digest: bytes | None
    """SHA-256 of the encrypted file."""
    made_at: datetime | None
    expires_at: datetime | None
    delivered_at: datetime | None


class Order(NamedTuple):
    """To whom a request's files are encrypted."""

    certificate: bytes
    locked_key: bytes | None
    ordered_by: UUID


@dataclass(frozen=True, slots=True)
class File:
    """What is given out."""

    request_id: UUID
    body: bytes = field(repr=False)
    locked_key: bytes | None = field(repr=False)


def order_of(connection: psycopg.Connection[Any], request_id: UUID) -> Order | None:
    """The order of a request that is kept here; None before there is one."""
    row = connection.execute(
        "SELECT certificate, locked_key, ordered_by FROM privacy_package_order WHERE request_id = %s",
        (request_id,),
    ).fetchone()
    return Order(bytes(row[0]), bytes(row[1]) if row[1] else None, row[2]) if row else None


def package_of(connection: psycopg.Connection[Any], request_id: UUID) -> Package | None:
    """The file of a request here; None where none was ordered."""
    row = connection.execute(
        f"SELECT {_COLUMNS} FROM privacy_package WHERE request_id = %s",  # noqa: S608  # our own words only
        (request_id,),
    ).fetchone()
    if row is None:
        return None
    found = dict(zip(_COLUMNS.replace(" ", "").split(","), row, strict=True))
    found["manifest"] = bytes(found["manifest"])
    found["digest"] = bytes(found["digest"]) if found["digest"] else None
    return Package(**found)


def file_behind(connection: psycopg.Connection[Any], link_id: UUID) -> File | None:
    """The file that a link leads to, whether or not it may be used."""
    row = connection.execute(
        "SELECT request_id, body, p.locked_key FROM privacy_package_link AS l"
        " JOIN privacy_package AS p USING (tenant_id, request_id) WHERE l.link_id = %s",
        (link_id,),
    ).fetchone()
    if row is None or row[1] is None:
        return None
    return File(row[0], bytes(row[1]), bytes(row[2]) if row[2] else None)


def is_whole(connection: psycopg.Connection[Any], request_id: UUID) -> bool:
    """Whether the file is there, byte for byte as its digest says."""
    return bool(
        called(
            connection,
            "SELECT EXISTS (SELECT FROM privacy_package WHERE request_id = %s AND sha256(body) = digest)",
            request_id,
        )
    )


def called(connection: psycopg.Connection[Any], statement: str, *values: object) -> Any:
    """The one value that a function of these tables gives."""
    row = connection.execute(statement.encode(), values).fetchone()
    return row[0] if row else None
