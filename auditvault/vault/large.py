"""Contents larger than a request: sealed from a stream, in bounded memory.

Order, inside the caller's one transaction: pieces while the stream is read, then the object's row, with the tag that
only the end shows. Crash, or a stream that breaks off: nothing, all of it is rolled back.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

import psycopg

from auditvault.core.crypto.envelope import ContextPrefix
from auditvault.core.crypto.frames import FRAME_SIZE, seal_framed_object
from auditvault.core.ids import uuid7
from auditvault.core.tlog.canonical import JsonValue
from auditvault.ledger.copying import copy_into_month, encode_row, int4
from auditvault.vault.keyring.services import keyring
from auditvault.vault.opening import ContentTooLargeError
from auditvault.vault.pieces import piece_rows, write_pieces
from auditvault.vault.sealing import OBJECT_COLUMNS, reference
from auditvault.vault.subjects import DATA_CLASS

MAX_LARGE_SIZE = 2**30
"""Bytes of the largest content that the vault takes: 1 GiB, one transaction."""


class Readable(Protocol):
    """A stream of bytes, such as an open file."""

    def read(self, size: int, /) -> bytes:
        """Up to `size` bytes; none at the end."""
        ...


def seal_large(
    connection: psycopg.Connection[Any],
    *,
    region: str,
    tenant_id: UUID,
    subject_id: UUID,
    record_id: UUID,
    role: str,
    stream: Readable,
    at: datetime,
) -> dict[str, JsonValue]:
    """Seal what `stream` gives as a new object of the subject; returns what the record's header says of it.

    Runs in the caller's transaction for the tenant, which also appends the record: content that no entry records is a
    finding. It shares `SEALERS_LOCK`, and looked the subject up in it: or somebody who is being erased gets a new
    content. The connection is taken while the stream is read, so hand in one that does not wait for a stranger. Every
    call is a new object, even of an equal content: whether it is one is known only at its end.

    Raises:
        ContentTooLargeError: over MAX_LARGE_SIZE. Nothing of it stays once the transaction is rolled back.
    """
    ring = keyring(region)
    key = ring.keys_to_seal(tenant_id, [subject_id], DATA_CLASS)[subject_id]
    object_id = uuid7(at).bytes
    measured = _Measured(stream)
    made = seal_framed_object(
        dek=key,
        prefix=ContextPrefix(region=region, tenant_id=tenant_id, data_class=DATA_CLASS),
        subject_id=subject_id.bytes,
        object_id=object_id,
        content=measured,
    )
    write_pieces(connection, at, piece_rows(tenant_id, object_id, made.frames))
    digest = measured.digest()
    row = encode_row(
        tenant_id.bytes,
        object_id,
        record_id.bytes,
        subject_id.bytes,
        key.key_id,
        DATA_CLASS.encode(),
        role.encode(),
        int4(1),
        ring.tag_keys(tenant_id).lookup_tag(digest),
        made.wrapped_cek,
        made.head,
    )
    copy_into_month(connection, "vault_object", at, OBJECT_COLUMNS, [row])
    return reference(object_id, made.opening, role, digest, measured.size_bytes)


class _Measured:
    """A stream's chunks, counted and hashed as they pass."""

    def __init__(self, stream: Readable) -> None:
        self._stream = stream
        self._sha256 = hashlib.sha256()
        self.size_bytes = 0

    def __iter__(self) -> Iterator[bytes]:
        while chunk := self._stream.read(FRAME_SIZE):
            self.size_bytes += len(chunk)
            if self.size_bytes > MAX_LARGE_SIZE:
                raise ContentTooLargeError("A content is at most 1 GiB.")
            self._sha256.update(chunk)
            yield chunk

    def digest(self) -> bytes:
        """SHA-256 of what has passed."""
        return self._sha256.digest()
