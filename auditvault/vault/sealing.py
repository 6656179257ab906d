"""Sealing contents into rows, and writing the rows.

Everything is encrypted here, in the process, before the database hears of it: WAL, replicas and statement logs hold
ciphertext only (design rule 3).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
from django.db import transaction

from auditvault.core.crypto.envelope import (
    ContextPrefix,
    EnvelopeError,
    open_object,
    seal_object,
)
from auditvault.core.crypto.keywrap import WRAP_SIZE, CryptoContextError, WrapError, WrapKey
from auditvault.core.crypto.tags import TAG_SIZE
from auditvault.core.errors import AuditvaultError
from auditvault.core.ids import ID_SIZE, endless_uuid7s, id_text
from auditvault.core.tlog.canonical import JsonValue
from auditvault.core.tlog.commitment import content_commitment
from auditvault.ledger.copying import Row, copy_into_month, framed, int4, row_start
from auditvault.ledger.scope import region_alias
from auditvault.vault.keyring.cache import KeyCache
from auditvault.vault.keyring.services import (
    KeyDamagedError,
    KeyDestroyedError,
    Keyring,
    keyring,
)
from auditvault.vault.subjects import DATA_CLASS

log = logging.getLogger("auditvault.vault")
_COLUMNS = (
    "tenant_id, object_id, record_id, subject_id, key_id, data_class, role, version, tag,"
    " wrapped_cek, envelope"
)
_RECORD_COLUMNS = "tenant_id, record_id, subject_id"
_DATA_CLASS_FIELD = DATA_CLASS.encode()
_VERSION_FIELD = int4(1)
# Lengths before the fields of one size.
_ID_LENGTH, _TAG_LENGTH, _WRAP_LENGTH = int4(ID_SIZE), int4(TAG_SIZE), int4(WRAP_SIZE)


@dataclass(slots=True)  # made in a hot loop
class _Shared:
    """A content that this process sealed or opened within the last minute."""

    object_id: bytes
    opening: bytes
    # What headers say of it in the role asked for last: one value, so that threads never see halves of two.
    said: tuple[str, dict[str, JsonValue]] = ("", {})


_SELECT = (
    "SELECT object_id, record_id, subject_id, key_id, data_class, role, version, tag, wrapped_cek,"
    " envelope FROM vault_object"
)

# System prompts and tool definitions come with every call; each is sealed once and referred to.
_shared: KeyCache[_Shared] = KeyCache(max_keys=10_000)


class Sealer:
    """Seals the contents of one request, and remembers the rows until they are written."""

    def __init__(
        self,
        *,
        ring: Keyring,
        tenant_id: UUID,
        keys: Mapping[UUID, WrapKey],
        tenant_subject: UUID,
        at: datetime,
    ) -> None:
        self._region = ring.region
        self._tenant_id = tenant_id
        self._start = row_start(_COLUMNS, tenant_id.bytes)
        self._record_start = row_start(_RECORD_COLUMNS, tenant_id.bytes)
        # With the fields of an object's row that follow from the subject.
        self._keys = {
            subject_id.bytes: (key, framed(subject_id.bytes, key.key_id, _DATA_CLASS_FIELD))
            for subject_id, key in keys.items()
        }
        self.tenant_subject = tenant_subject.bytes
        self._tags = ring.tag_keys(tenant_id)
        self._prefix = ContextPrefix(region=ring.region, tenant_id=tenant_id, data_class=DATA_CLASS)
        self._rows: list[Row] = []
        self._ids = endless_uuid7s(at)
        self._aliases: list[tuple[UUID, bytes, UUID]] = []
        self._records: list[Row] = []
        # Records with an object of their own, which says whose they are.
        self._told: set[bytes] = set()
        # Equal contents of one subject in one request are one object; never across subjects.
        self._seen: dict[bytes, _Shared] = {}
        self._made_for_tenant: list[tuple[bytes, _Shared]] = []

    def recall(self, connection: psycopg.Connection[Any], digests: Iterable[bytes]) -> None:
        """Find which of the tenant's own contents, by SHA-256, other processes have sealed, to refer to them again.

        Only objects of the tenant's own subject are looked at.
        """
        place = (self._region, self._tenant_id)
        wanted = {
            self._tags.lookup_tag(digest): digest
            for digest in digests
            if _shared.get((*place, digest)) is None
        }
        if not wanted:
            return
        rows = connection.execute(
            f"{_SELECT} WHERE tag = ANY(%s) AND subject_id = %s",
            (list(wanted), UUID(bytes=self.tenant_subject)),
        ).fetchall()
        for stored in map(_stored, rows):
            try:
                opened = open_stored(region=self._region, tenant_id=self._tenant_id, stored=stored)
            except ContentGoneError:
                continue  # it is sealed anew: a damaged row must not hold senders up
            known = _Shared(stored.object_id.bytes, opened.opening)
            _shared.put((*place, wanted[stored.tag]), known)

    def seal(
        self,
        *,
        subject_id: bytes,
        record_id: bytes,
        role: str,
        body: bytes,
        digest: bytes,
    ) -> dict[str, JsonValue]:
        """Seal one content, or refer to the equal one of the same subject; returns what a header says of it.

        That is shared between headers and must not be changed. Ids are UUIDs' 16 bytes.
        """
        place = subject_id + digest
        known = self._seen.get(place)
        if known is None:
            if subject_id == self.tenant_subject:
                known = _shared.get((self._region, self._tenant_id, digest))
            if known is None:
                known = self._seal_new(subject_id, record_id, role, body, digest)
                if subject_id == self.tenant_subject:
                    self._made_for_tenant.append((digest, known))
            self._seen[place] = known
        said_as, said = known.said
        if said_as != role:
            said = {
                "role": role,
                "object": id_text(known.object_id),
                "commitment": content_commitment(known.opening, role, digest).hex(),
                "size_bytes": len(body),
            }
            known.said = role, said
        return said

    def alias(self, digest: bytes, object_id: UUID) -> None:
        """Let the object be found under a further hash, such as the sender's own `prompt.hash`."""
        self._aliases.append((self._tenant_id, self._tags.lookup_tag(digest), object_id))

    def own(self, subject_id: bytes, record_id: bytes) -> None:
        """Say whose a record is; comes after its contents were sealed. Ids are UUIDs' 16 bytes."""
        if record_id not in self._told:
            self._records.append(Row(self._record_start + framed(record_id, subject_id)))

    def write(self, connection: psycopg.Connection[Any], at: datetime) -> None:
        """Write every row, inside the caller's transaction."""
        if self._rows:
            copy_into_month(connection, "vault_object", at, _COLUMNS, self._rows)
        if self._records:
            copy_into_month(connection, "vault_record", at, _RECORD_COLUMNS, self._records)
        if self._aliases:
            connection.execute(
                "INSERT INTO vault_tag_alias (tenant_id, tag, object_id)"
                " SELECT * FROM unnest(%s::uuid[], %s::bytea[], %s::uuid[]) ON CONFLICT DO NOTHING",
                [list(column) for column in zip(*self._aliases, strict=True)],
            )
        if self._made_for_tenant:
            transaction.on_commit(self._committed, using=region_alias(self._region))

    def _committed(self) -> None:
        """Remember the tenant's own contents, now that their rows are durable."""
        for digest, known in self._made_for_tenant:
            _shared.put((self._region, self._tenant_id, digest), known)

    def _seal_new(
        self,
        subject_id: bytes,
        record_id: bytes,
        role: str,
        body: bytes,
        digest: bytes,
    ) -> _Shared:
        key, of_subject = self._keys[subject_id]
        object_id = next(self._ids)
        if subject_id != self.tenant_subject:
            self._told.add(record_id)
        box = seal_object(
            dek=key, prefix=self._prefix, subject_id=subject_id, object_id=object_id, content=body
        )
        envelope = box.envelope
        parts = (
            self._start,
            _ID_LENGTH,
            object_id,
            _ID_LENGTH,
            record_id,
            of_subject,
            _fields_of_role(role),
            _TAG_LENGTH,
            self._tags.lookup_tag(digest),
            _WRAP_LENGTH,
            box.wrapped_cek,
            int4(len(envelope)),
            envelope,
        )
        self._rows.append(Row(b"".join(parts)))
        return _Shared(object_id, box.opening)


@lru_cache(maxsize=256)
def _fields_of_role(role: str) -> bytes:
    """The fields of an object's row that follow from its role."""
    return framed(role.encode(), _VERSION_FIELD)


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


class Opened(NamedTuple):
    """A content in clear, with the opening of its commitment."""

    content: bytes
    opening: bytes


def objects_by_tag(
    connection: psycopg.Connection[Any], tag: bytes, limit: int
) -> list[StoredObject]:
    """Objects found under a lookup tag or an alias of it, newest first."""
    rows = connection.execute(
        f"{_SELECT} WHERE tag = %s OR object_id IN"  # noqa: S608  # our own words only
        " (SELECT object_id FROM vault_tag_alias WHERE tag = %s) ORDER BY object_id DESC LIMIT %s",
        (tag, tag, limit),
    ).fetchall()
    return [_stored(row) for row in rows]


def objects_by_id(
    connection: psycopg.Connection[Any], object_ids: Sequence[UUID]
) -> dict[UUID, StoredObject]:
    """The objects of those ids that still exist."""
    rows = connection.execute(
        f"{_SELECT} WHERE object_id = ANY(%s)", (list(object_ids),)
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


def records_of_subject(
    connection: psycopg.Connection[Any], subject_id: UUID, limit: int
) -> list[UUID]:
    """Records of this subject, newest first."""
    rows = connection.execute(
        "SELECT record_id FROM vault_object WHERE subject_id = %s"
        " UNION SELECT record_id FROM vault_record WHERE subject_id = %s"
        " ORDER BY record_id DESC LIMIT %s",
        (subject_id, subject_id, limit),
    ).fetchall()
    return [row[0] for row in rows]


class ContentGoneError(AuditvaultError):
    """The key that sealed a content no longer exists."""

    code = "content_gone"


class ContentDamagedError(ContentGoneError):
    """A sealed content was changed, or moved to where it does not belong."""

    code = "content_damaged"


def open_stored(*, region: str, tenant_id: UUID, stored: StoredObject) -> Opened:
    """Open one object. The caller has checked the subject's state in the same transaction.

    Raises:
        ContentGoneError: its key is gone.
        ContentDamagedError: the row was tampered with, or belongs to another place.
    """
    try:
        key = keyring(region).key_to_open(tenant_id, stored.key_id)
    except KeyDestroyedError as error:
        raise ContentGoneError("This content can no longer be opened.") from error
    except KeyDamagedError as error:
        log.critical("key of object %s: %s", stored.object_id, error.message)
        raise ContentDamagedError("The key of this content was changed or moved.") from error
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
    except (EnvelopeError, WrapError, CryptoContextError) as error:
        log.critical("object %s does not open where it stands: %s", stored.object_id, error.code)
        raise ContentDamagedError("This content was changed or moved.") from error
    return Opened(opened.content, opened.opening)


def _stored(row: tuple[Any, ...]) -> StoredObject:
    head, tail = row[:7], row[7:]
    return StoredObject(*head, *(bytes(part) for part in tail))
