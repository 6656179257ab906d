"""A content in pieces is sealed anew, in bounded memory: its next version is written beside it, then takes its place.

Order, and what a crash leaves (docs/spec/keyring.md section 5):

1. The pieces of the next version, in one transaction of a connection of their own.   Pieces that no row names. They
   stay until the object is sealed anew again, or removed.
2. The row, and the pieces of other versions removed, in one statement.                The next version, whole.

A version is never written twice: the next one is above every piece that is there.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg
from django.db import connections

from auditvault.core.crypto.envelope import ContextPrefix
from auditvault.core.crypto.frames import seal_framed_object
from auditvault.core.crypto.keywrap import WrapKey
from auditvault.core.ids import instant_of
from auditvault.ledger.copying import Row
from auditvault.ledger.scope import driver_connection, region_alias
from auditvault.vault.erasures.pending import Permit
from auditvault.vault.keyring.services import keyring
from auditvault.vault.opening import StoredObject, Streamed, stream_stored
from auditvault.vault.pieces import piece_rows, write_pieces


@dataclass(frozen=True, slots=True, kw_only=True)
class LargeVersion:
    """A next version whose pieces are written."""

    version: int
    wrapped_cek: bytes
    head: bytes
    pieces: int


def seal_large_anew(permit: Permit, tenant_id: UUID, stored: StoredObject) -> LargeVersion:
    """Step 1. The caller, in whose transaction the content is read, has asked for the subject's state.

    Errors as `stream_stored`; then nothing was written.
    """
    dek = keyring(permit.region).key_to_open(tenant_id, stored.key_id)
    version = _next_version(permit.connection, stored)
    content = stream_stored(permit=permit, tenant_id=tenant_id, stored=stored)
    with _closed_after(content.chunks):
        return _written(permit.region, tenant_id, stored, dek, version, content)


def _written(
    region: str,
    tenant_id: UUID,
    stored: StoredObject,
    dek: WrapKey,
    version: int,
    content: Streamed,
) -> LargeVersion:
    made = seal_framed_object(
        dek=dek,
        prefix=ContextPrefix(region=region, tenant_id=tenant_id, data_class=stored.data_class),
        subject_id=stored.subject_id,
        object_id=stored.object_id,
        content=content.chunks,
        version=version,
        opening=content.opening,
    )
    counted = _Counted(piece_rows(tenant_id, stored.object_id.bytes, made.frames, version))
    with _writing(region, tenant_id) as writer:
        write_pieces(writer, instant_of(stored.object_id), counted)
    return LargeVersion(
        version=version, wrapped_cek=made.wrapped_cek, head=made.head, pieces=counted.rows
    )


def replace_large(
    vault: psycopg.Connection[Any], tenant_id: UUID, stored: StoredObject, new: LargeVersion
) -> bool:
    """Step 2; False where the object has changed meanwhile, and what was written is removed again."""
    row = vault.execute(
        "SELECT vault_reseal_large(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (*place_of(tenant_id, stored), new.version, new.wrapped_cek, new.head, new.pieces),
    ).fetchone()
    replaced = row is not None and bool(row[0])
    if not replaced:
        vault.execute("SELECT vault_drop_stray_pieces(%s, %s)", (tenant_id, stored.object_id))
    return replaced


def place_of(tenant_id: UUID, stored: StoredObject) -> tuple[UUID, UUID, UUID, int, UUID, bytes]:
    """What a row must still be for its next version to take its place."""
    return (
        tenant_id,
        stored.subject_id,
        stored.object_id,
        stored.version,
        stored.key_id,
        stored.wrapped_cek,
    )


def _next_version(connection: psycopg.Connection[Any], stored: StoredObject) -> int:
    row = connection.execute(
        "SELECT max(version) FROM vault_piece WHERE object_id = %s", (stored.object_id,)
    ).fetchone()
    last = row[0] if row is not None else None
    return max(stored.version, last or 0) + 1


@contextmanager
def _closed_after(chunks: Iterator[bytes]) -> Iterator[None]:
    """End a stream that was not read to its end: the server holds a cursor for it."""
    try:
        yield
    finally:
        if isinstance(chunks, Generator):
            chunks.close()


@contextmanager
def _writing(region: str, tenant_id: UUID) -> Iterator[psycopg.Connection[Any]]:
    """A transaction of the tenant's on a connection of its own: the other one is reading what is written here."""
    wrapper = connections.create_connection(region_alias(region))
    with closing(wrapper):
        wrapper.ensure_connection()
        raw = driver_connection(wrapper)
        with raw.transaction():
            raw.execute("SELECT set_config('auditvault.tenant_id', %s, true)", (str(tenant_id),))
            yield raw


class _Counted:
    """Rows, counted as they pass."""

    def __init__(self, rows: Iterator[Row]) -> None:
        self._rows = rows
        self.rows = 0

    def __iter__(self) -> Iterator[Row]:
        for row in self._rows:
            self.rows += 1
            yield row
