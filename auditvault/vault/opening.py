"""Sealed contents as they lie in the database: finding them, and opening them.

Both kinds of envelope come through one door: `open_stored` for callers that hold a content, `stream_stored` for those
that must not. Nothing is opened without the caller having asked for the subject's state.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import psycopg

from auditvault.core.crypto.envelope import (
    MAX_CONTENT_SIZE,
    ContextPrefix,
    EnvelopeError,
    open_object,
)
from auditvault.core.crypto.frames import is_framed, open_framed_object
from auditvault.core.crypto.keywrap import CryptoContextError, WrapError, WrapKey
from auditvault.core.errors import AuditvaultError
from auditvault.vault.erasures.pending import Permit
from auditvault.vault.hash_only import stated_by
from auditvault.vault.keyring.hierarchy import KeyDamagedError, KeyDestroyedError
from auditvault.vault.keyring.services import keyring
from auditvault.vault.pieces import read_pieces

log = logging.getLogger("auditvault.vault")

MAX_OPENED_SIZE = MAX_CONTENT_SIZE
"""Bytes of the largest content that `open_stored` puts together."""

_DAMAGE = (EnvelopeError, WrapError, CryptoContextError)
_COLUMNS = "object_id, record_id, subject_id, key_id, data_class, role, version, tag, wrapped_cek, envelope"
_SELECT = f"SELECT {_COLUMNS} FROM vault_kept"  # noqa: S608  # our own words only
_SELECT_READABLE = f"SELECT {_COLUMNS} FROM vault_readable"  # noqa: S608
"""Of subjects that are neither restricted nor erased: the database's view leaves the others out."""


class StoredObject(NamedTuple):
    """A sealed object as it lies in the table; no plaintext."""

    object_id: UUID
    record_id: UUID
    subject_id: UUID
    key_id: UUID
    data_class: str
    role: str
    version: int
    tag: bytes
    wrapped_cek: bytes
    envelope: bytes
    """Of a framed content its head."""


class Opened(NamedTuple):
    """A content in clear, with the opening of its commitment."""

    content: bytes
    opening: bytes


class Streamed(NamedTuple):
    """A content that comes in chunks, with the opening of its commitment.

    Each chunk is authentic. The content is whole only when `chunks` has ended without an error.
    """

    opening: bytes
    chunks: Iterator[bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Among:
    """What somebody may come across at all: objects by id, of these subjects, or first recorded in these periods."""

    object_ids: Collection[UUID] = ()
    subject_ids: Collection[UUID] = ()
    periods: Collection[tuple[datetime, datetime]] = ()
    """From an instant, up to but not at another; exact to the millisecond."""

    def values(self) -> tuple[object, ...]:
        """For the places of `_AMONG`."""
        starts, ends = [one for one, _ in self.periods], [other for _, other in self.periods]
        return (list(self.object_ids), list(self.subject_ids), starts, ends)


# Ids first, by the two indexes over tags, then each object by its own. Whatever else is joined in here, the planner may
# well read every object of the tenant instead: it takes each tenant to be of average size.
_UNDER_TAG = f"""
    FROM (SELECT named.object_id FROM vault_object AS named WHERE named.tag = %s
          UNION SELECT named.object_id FROM vault_tag_alias AS named WHERE named.tag = %s
          ORDER BY object_id DESC) AS under
    CROSS JOIN LATERAL (SELECT {_COLUMNS} FROM vault_readable AS one
                        WHERE one.object_id = under.object_id OFFSET 0) AS found"""  # noqa: S608  # our own words only
_AMONG = (
    " WHERE (found.object_id = ANY(%s) OR subject_id = ANY(%s) OR EXISTS (SELECT FROM"
    " unnest(%s::timestamptz[], %s::timestamptz[]) AS period (start, finish)"
    " WHERE record_id >= auditvault_uuid7_floor(start) AND record_id < auditvault_uuid7_floor(finish)))"
)


def objects_by_tag(
    connection: psycopg.Connection[Any], tag: bytes, limit: int, *, among: Among | None = None
) -> list[StoredObject]:
    """Objects found under a lookup tag or an alias of it whose subjects can be read, newest first.

    What was erased or is restricted, or is none of those that `among` names, is not found at all: no work is done on it
    by which a caller could tell it from a miss.
    """
    source, values = (_UNDER_TAG + _AMONG, among.values()) if among else (_UNDER_TAG, ())
    rows = connection.execute(
        f"SELECT found.* {source} ORDER BY under.object_id DESC LIMIT %s",  # our own words only
        (tag, tag, *values, limit),
    ).fetchall()
    return [_stored(row) for row in rows]


def is_anything_under(connection: psycopg.Connection[Any], tag: bytes) -> bool:
    """Whether `objects_by_tag` would find anything; for records of looks, never for answers."""
    row = connection.execute(
        f"SELECT EXISTS (SELECT {_UNDER_TAG})",  # our own words only
        (tag, tag),
    ).fetchone()
    return bool(row and row[0])


def objects_of_subject(
    connection: psycopg.Connection[Any], subject_id: UUID, tags: Collection[bytes]
) -> list[StoredObject]:
    """The objects of one subject that are found under one of these lookup tags, restricted or not: for storing once."""
    rows = connection.execute(
        f"{_SELECT} WHERE tag = ANY(%s) AND subject_id = %s", (list(tags), subject_id)
    ).fetchall()
    return [_stored(row) for row in rows]


def objects_by_id(
    connection: psycopg.Connection[Any], object_ids: Sequence[UUID]
) -> dict[UUID, StoredObject]:
    """The objects of those ids that still exist, restricted or not: to check them, or to seal them anew."""
    rows = connection.execute(
        f"{_SELECT} WHERE object_id = ANY(%s)", (list(object_ids),)
    ).fetchall()
    return {row[0]: _stored(row) for row in rows}


def readable_by_id(
    connection: psycopg.Connection[Any], object_ids: Sequence[UUID]
) -> dict[UUID, StoredObject]:
    """The objects of those ids that may be read: of subjects that are neither restricted nor erased."""
    rows = connection.execute(
        f"{_SELECT_READABLE} WHERE object_id = ANY(%s)", (list(object_ids),)
    ).fetchall()
    return {row[0]: _stored(row) for row in rows}


def tags_of(
    connection: psycopg.Connection[Any], object_ids: Sequence[UUID]
) -> dict[UUID, tuple[UUID, bytes]]:
    """Subject and lookup tag of each object that still exists; no ciphertext is read."""
    rows = connection.execute(
        "SELECT object_id, subject_id, tag FROM vault_object WHERE object_id = ANY(%s)",
        (list(object_ids),),
    ).fetchall()
    return {object_id: (subject_id, bytes(tag)) for object_id, subject_id, tag in rows}


class ContentGoneError(AuditvaultError):
    """The key that sealed a content no longer exists."""

    code = "content_gone"


class ContentDamagedError(ContentGoneError):
    """A sealed content was changed, or moved to where it does not belong."""

    code = "content_damaged"


class ContentTooLargeError(AuditvaultError):
    """A content is larger than what was asked for can hold."""

    code = "content_too_large"


def is_large(stored: StoredObject) -> bool:
    """Whether the object's content is in pieces, which opening it asks the connection for."""
    return is_framed(stored.envelope)


def open_stored(*, permit: Permit, tenant_id: UUID, stored: StoredObject) -> Opened:
    """Open one object whole. In the same transaction the caller got the permit and checked the subject's state.

    Raises:
        ContentGoneError: its key is gone.
        ContentDamagedError: row or pieces were tampered with, or belong to another place.
        ContentTooLargeError: it is over MAX_OPENED_SIZE.
    """
    if not is_large(stored):
        return _open_whole(permit.region, tenant_id, stored)
    streamed = stream_stored(permit=permit, tenant_id=tenant_id, stored=stored)
    content = bytearray()
    for chunk in streamed.chunks:
        content += chunk
        if len(content) > MAX_OPENED_SIZE:
            raise ContentTooLargeError("This content is larger than 32 MiB: read it as a stream.")
    return Opened(bytes(content), streamed.opening)


def stream_stored(*, permit: Permit, tenant_id: UUID, stored: StoredObject) -> Streamed:
    """Open one object of any size, in chunks; memory for a piece is enough. Errors as `open_stored`.

    They may come while the chunks are read, which must be inside the caller's transaction.
    """
    region, connection = permit.region, permit.connection
    if not is_large(stored):
        opened = _open_whole(region, tenant_id, stored)
        return Streamed(opened.opening, iter((opened.content,)))
    key = _key(region, tenant_id, stored)
    try:
        content = open_framed_object(
            dek=key,
            prefix=ContextPrefix(region=region, tenant_id=tenant_id, data_class=stored.data_class),
            subject_id=stored.subject_id.bytes,
            object_id=stored.object_id.bytes,
            version=stored.version,
            wrapped_cek=stored.wrapped_cek,
            head=stored.envelope,
            sealed=read_pieces(connection, stored.object_id, stored.version),
        )
    except _DAMAGE as error:
        raise _refusal(connection, stored, error) from error
    return Streamed(content.opening, _chunks(connection, stored, content.chunks))


class Examined(NamedTuple):
    """What is left of a content that was opened to its end and forgotten."""

    opening: bytes
    sha256: bytes
    """Of the content, also where its hash alone was kept."""
    is_hash_only: bool


def examine_stored(*, permit: Permit, tenant_id: UUID, stored: StoredObject) -> Examined:
    """Open one object of any size and keep nothing of it: it is there, whole. Errors as `open_stored`."""
    if not is_large(stored):
        opened = _open_whole(permit.region, tenant_id, stored)
        tag_of = keyring(permit.region).tag_keys(tenant_id).lookup_tag
        stated = stated_by(opened.content, stored.tag, tag_of)
        sha256 = stated.digest if stated else hashlib.sha256(opened.content).digest()
        return Examined(opened.opening, sha256, is_hash_only=stated is not None)
    opening, chunks = stream_stored(permit=permit, tenant_id=tenant_id, stored=stored)
    digest = hashlib.sha256()
    # To the end: the opening comes with the first frame, and says nothing about the last.
    for chunk in chunks:
        digest.update(chunk)
    return Examined(opening, digest.digest(), is_hash_only=False)


def _chunks(
    connection: psycopg.Connection[Any], stored: StoredObject, chunks: Iterator[bytes]
) -> Iterator[bytes]:
    try:
        yield from chunks
    except EnvelopeError as error:
        raise _refusal(connection, stored, error) from error


def _open_whole(region: str, tenant_id: UUID, stored: StoredObject) -> Opened:
    key = _key(region, tenant_id, stored)
    try:
        opened = open_object(
            dek=key,
            prefix=ContextPrefix(region=region, tenant_id=tenant_id, data_class=stored.data_class),
            subject_id=stored.subject_id.bytes,
            object_id=stored.object_id.bytes,
            version=stored.version,
            wrapped_cek=stored.wrapped_cek,
            envelope=stored.envelope,
        )
    except _DAMAGE as error:
        raise _damaged(stored, error) from error
    return Opened(opened.content, opened.opening)


def _key(region: str, tenant_id: UUID, stored: StoredObject) -> WrapKey:
    try:
        return keyring(region).key_to_open(tenant_id, stored.key_id)
    except KeyDestroyedError as error:
        raise ContentGoneError("This content can no longer be opened.") from error
    except KeyDamagedError as error:
        log.critical("key of object %s: %s", stored.object_id, error.message)
        raise ContentDamagedError("The key of this content was changed or moved.") from error


def _refusal(
    connection: psycopg.Connection[Any], stored: StoredObject, error: AuditvaultError
) -> ContentGoneError:
    """What it means that the pieces do not open: they were read after the row, which may be gone by now."""
    row = connection.execute(
        "SELECT version FROM vault_object WHERE object_id = %s", (stored.object_id,)
    ).fetchone()
    if row is None or row[0] != stored.version:
        return ContentGoneError("This content was removed or replaced meanwhile.")
    return _damaged(stored, error)


def _damaged(stored: StoredObject, error: AuditvaultError) -> ContentDamagedError:
    log.critical("object %s does not open where it stands: %s", stored.object_id, error.code)
    return ContentDamagedError("This content was changed or moved.")


def _stored(row: tuple[Any, ...]) -> StoredObject:
    head, tail = row[:7], row[7:]
    return StoredObject(*head, *(bytes(part) for part in tail))
