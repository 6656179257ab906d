"""Sealing contents into rows, and writing the rows.

Everything is encrypted here, in the process, before the database hears of it: WAL, replicas and statement logs hold
ciphertext only (design rule 3).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
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
from auditvault.core.crypto.keywrap import CryptoContextError, WrapError, WrapKey
from auditvault.core.errors import AuditvaultError
from auditvault.core.tlog.commitment import content_commitment
from auditvault.ledger.copying import Row, copy_into_month, int4
from auditvault.ledger.scope import region_alias
from auditvault.vault.keyring.cache import KeyCache
from auditvault.vault.keyring.services import KeyDestroyedError, Keyring, keyring
from auditvault.vault.subjects import DATA_CLASS

log = logging.getLogger("auditvault.vault")
_COLUMNS = (
    "tenant_id, object_id, record_id, subject_id, key_id, data_class, role, version, tag,"
    " wrapped_cek, envelope"
)
_RECORD_COLUMNS = "tenant_id, record_id, subject_id"
_DATA_CLASS_FIELD = DATA_CLASS.encode()
_VERSION_FIELD = int4(1)


class ContentRef(NamedTuple):
    """What a header says of a content: where it is sealed, what it commits to, how long it is."""

    object_id: bytes
    commitment: bytes
    size_bytes: int


@dataclass(frozen=True, slots=True)
class _Shared:
    """A content that this process sealed or opened within the last minute."""

    object_id: bytes
    opening: bytes


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
    ) -> None:
        self._region = ring.region
        self._tenant_id = tenant_id
        self._tenant_field = tenant_id.bytes
        self._keys = {subject_id.bytes: key for subject_id, key in keys.items()}
        self.tenant_subject = tenant_subject.bytes
        self._tags = ring.tag_keys(tenant_id)
        self._prefix = ContextPrefix(region=ring.region, tenant_id=tenant_id, data_class=DATA_CLASS)
        self._rows: list[Row] = []
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
        object_id: bytes,
        role: str,
        body: bytes,
        digest: bytes,
    ) -> ContentRef:
        """Seal one content, or refer to the equal one of the same subject. `object_id` is used if it is new.

        Ids are UUIDs' 16 bytes.
        """
        place = subject_id + digest
        known = self._seen.get(place)
        if known is None:
            if subject_id == self.tenant_subject:
                known = _shared.get((self._region, self._tenant_id, digest))
            if known is None:
                known = self._seal_new(subject_id, record_id, object_id, role, body, digest)
                if subject_id == self.tenant_subject:
                    self._made_for_tenant.append((digest, known))
            self._seen[place] = known
        return ContentRef(
            known.object_id, content_commitment(known.opening, role, digest), len(body)
        )

    def alias(self, digest: bytes, object_id: bytes) -> None:
        """Let the object be found under a further hash, such as the sender's own `prompt.hash`."""
        self._aliases.append(
            (self._tenant_id, self._tags.lookup_tag(digest), UUID(bytes=object_id))
        )

    def own(self, subject_id: bytes, record_id: bytes) -> None:
        """Say whose a record is; comes after its contents were sealed. Ids are UUIDs' 16 bytes."""
        if record_id not in self._told:
            self._records.append((self._tenant_field, record_id, subject_id))

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
        object_id: bytes,
        role: str,
        body: bytes,
        digest: bytes,
    ) -> _Shared:
        key = self._keys[subject_id]
        if subject_id != self.tenant_subject:
            self._told.add(record_id)
        box = seal_object(
            dek=key, prefix=self._prefix, subject_id=subject_id, object_id=object_id, content=body
        )
        self._rows.append(
            (
                self._tenant_field,
                object_id,
                record_id,
                subject_id,
                key.key_id,
                _DATA_CLASS_FIELD,
                role.encode(),
                _VERSION_FIELD,
                self._tags.lookup_tag(digest),
                box.wrapped_cek,
                box.envelope,
            )
        )
        return _Shared(object_id, box.opening)


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
