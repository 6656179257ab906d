"""Sealing contents into rows, and writing the rows.

Everything is encrypted here, in the process, before the database hears of it: WAL, replicas and statement logs hold
ciphertext only (design rule 3).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from itertools import chain
from typing import Any
from uuid import UUID

import psycopg
from django.db import transaction

from auditvault.core.crypto.envelope import ContextPrefix, seal_object
from auditvault.core.crypto.frames import seal_framed_object
from auditvault.core.crypto.keywrap import WRAP_SIZE, WrapKey
from auditvault.core.crypto.tags import TAG_SIZE
from auditvault.core.ids import ID_SIZE, endless_uuid7s, id_text
from auditvault.core.tlog.canonical import JsonValue
from auditvault.core.tlog.commitment import content_commitment
from auditvault.ledger.copying import Row, copy_into_month, framed, int4, row_start
from auditvault.ledger.scope import region_alias
from auditvault.vault.erasures.pending import refuse_while_restore_pending
from auditvault.vault.hash_only import to_statement
from auditvault.vault.keyring.cache import KeyCache
from auditvault.vault.keyring.services import Keyring
from auditvault.vault.opening import ContentGoneError, examine_stored, objects_of_subject
from auditvault.vault.pieces import piece_rows, write_pieces
from auditvault.vault.subjects import DATA_CLASS, refuse_unless_readable

FRAMED_OVER = 2**20
"""Bytes of the largest content that is sealed in one envelope; larger ones are framed."""

OBJECT_COLUMNS = (
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
        self._start = row_start(OBJECT_COLUMNS, tenant_id.bytes)
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
        # Of framed contents; sealed while they are written.
        self._pieces: list[Iterator[Row]] = []
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
        permit = refuse_while_restore_pending(connection, self._region)
        own = UUID(bytes=self.tenant_subject)
        stored_before = objects_of_subject(connection, own, wanted)
        if stored_before:
            refuse_unless_readable(connection, [own])
        for stored in stored_before:
            try:
                found = examine_stored(permit=permit, tenant_id=self._tenant_id, stored=stored)
            except ContentGoneError:
                continue  # it is sealed anew: a damaged row must not hold senders up
            if found.is_hash_only:
                continue  # this one is to be kept whole
            known = _Shared(stored.object_id.bytes, found.opening)
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
            said = reference(known.object_id, known.opening, role, digest, len(body))
            known.said = role, said
        return said

    def seal_hash(
        self, *, subject_id: bytes, record_id: bytes, role: str, digest: bytes, size_bytes: int
    ) -> dict[str, JsonValue]:
        """Seal the hash of a content in its place, under the same tag; returns what a header says of it.

        Never shared: whoever refers to a content finds it whole.
        """
        statement = to_statement(digest, size_bytes)
        known = self._seal_new(subject_id, record_id, role, statement, digest)
        said = reference(known.object_id, known.opening, role, digest, size_bytes)
        return said | {"state": "hash_only"}

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
            copy_into_month(connection, "vault_object", at, OBJECT_COLUMNS, self._rows)
        if self._pieces:
            write_pieces(connection, at, chain.from_iterable(self._pieces))
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
        if len(body) > FRAMED_OVER:
            wrapped_cek, envelope, opening = self._seal_framed(key, subject_id, object_id, body)
        else:
            box = seal_object(
                dek=key,
                prefix=self._prefix,
                subject_id=subject_id,
                object_id=object_id,
                content=body,
            )
            wrapped_cek, envelope, opening = box.wrapped_cek, box.envelope, box.opening
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
            wrapped_cek,
            int4(len(envelope)),
            envelope,
        )
        self._rows.append(Row(b"".join(parts)))
        return _Shared(object_id, opening)

    def _seal_framed(
        self, key: WrapKey, subject_id: bytes, object_id: bytes, body: bytes
    ) -> tuple[bytes, bytes, bytes]:
        """Wrapped CEK, head and opening; the frames are made when they are written, a piece at a time."""
        made = seal_framed_object(
            dek=key,
            prefix=self._prefix,
            subject_id=subject_id,
            object_id=object_id,
            content=(body,),
        )
        self._pieces.append(piece_rows(self._tenant_id, object_id, made.frames))
        return made.wrapped_cek, made.head, made.opening


def reference(
    object_id: bytes, opening: bytes, role: str, digest: bytes, size_bytes: int
) -> dict[str, JsonValue]:
    """What a header says of a content with this SHA-256."""
    return {
        "role": role,
        "object": id_text(object_id),
        "commitment": content_commitment(opening, role, digest).hex(),
        "size_bytes": size_bytes,
    }


@lru_cache(maxsize=256)
def _fields_of_role(role: str) -> bytes:
    """The fields of an object's row that follow from its role."""
    return framed(role.encode(), _VERSION_FIELD)
