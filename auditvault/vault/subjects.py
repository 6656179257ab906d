"""Whose content it is: identifiers become keyed tags, tags name subjects.

A span's subject is the user it names, else its session, else its trace. An identifier is stored as a tag that only
this tenant's key in this region can make, with the identifier itself sealed beside it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple, TypeAlias, get_args
from uuid import UUID

import psycopg

from auditvault.core.crypto.envelope import ContextPrefix, seal_object
from auditvault.core.crypto.keywrap import WrapKey
from auditvault.core.errors import AuditvaultError
from auditvault.core.ids import uuid7, uuid7s
from auditvault.ledger.scope import region_alias, tenant_scope
from auditvault.ledger.statements import BYTEA_OID, TEXT_OID, UUID_OID, Statement, array
from auditvault.vault.keyring.services import keyring

DATA_CLASS = "content"
IdentifierKind = Literal["user", "session", "trace"]
_KINDS: dict[bytes, IdentifierKind] = {kind.encode(): kind for kind in get_args(IdentifierKind)}
_FIND_IDENTIFIERS = Statement(
    "SELECT i.kind, i.tag, i.subject_id FROM vault_identifier AS i"
    " JOIN unnest($1::text[], $2::bytea[]) AS wanted (kind, tag) USING (kind, tag)"
)
_INSERT_IDENTIFIERS = Statement(
    "INSERT INTO vault_identifier"
    " (tenant_id, kind, tag, subject_id, object_id, key_id, wrapped_cek, envelope)"
    " SELECT * FROM unnest($1::uuid[], $2::text[], $3::bytea[], $4::uuid[], $5::uuid[],"
    " $6::uuid[], $7::bytea[], $8::bytea[]) ON CONFLICT DO NOTHING"
)
_INSERT_TYPES = (
    UUID_OID, TEXT_OID, BYTEA_OID, UUID_OID, UUID_OID, UUID_OID, BYTEA_OID, BYTEA_OID,
)  # fmt: skip
_IdentifierRow: TypeAlias = tuple[bytes | None, ...]
"""The columns of `vault_identifier` in the order in which they are inserted."""


class SubjectErasedError(AuditvaultError):
    """The subject's content is gone or going: nothing of theirs is opened."""

    code = "subject_erased"


class Identifier(NamedTuple):
    """Something that names a subject. `value` is personal data, except for a trace."""

    kind: IdentifierKind
    value: str


class Naming:
    """Finds the subjects that one request's identifiers name, and makes those that are new.

    Three steps: `look_up` in the caller's transaction, `make_missing` in one of its own where somebody is new, and
    `look_up` and `write_aliases` in the caller's again. A new subject is committed before anything is sealed for it: a
    crash afterwards leaves a subject without content, which is harmless.
    """

    def __init__(
        self,
        *,
        region: str,
        tenant_id: UUID,
        identifiers: Collection[Identifier],
        aliases: Mapping[Identifier, Identifier],
        at: datetime,
    ) -> None:
        """`aliases` are further names seen beside one of `identifiers`, such as a user's session."""
        self._ring = keyring(region)
        self._tenant_id = tenant_id
        self._aliases = aliases
        self._at = at
        tags = self._ring.tag_keys(tenant_id)
        self._tags = {
            item: tags.identifier_tag(item.kind, item.value) for item in {*identifiers, *aliases}
        }
        self._known: dict[Identifier, UUID] = {}

    def look_up(self, connection: psycopg.Connection[Any]) -> None:
        """Find what is known, and forget what was: somebody may have been erased since.

        In a transaction that shares `SEALERS_LOCK`, who was found stays until its end.
        """
        self._known = self._found(connection, self._tags)

    def is_missing_any(self) -> bool:
        """Whether one of the `identifiers` names nobody yet; to be asked after `look_up`."""
        return any(item not in self._known and item not in self._aliases for item in self._tags)

    def make_missing(self) -> None:
        """Make and commit a subject for each identifier that named none; aliases wait."""
        fresh = self._missing(item for item in self._tags if item not in self._aliases)
        made = dict(zip(fresh, uuid7s(self._at, len(fresh)), strict=True))
        rows = self._rows(made)
        kinds = ["person" if item.kind == "user" else "session" for item in fresh]
        with tenant_scope(region_alias(self._ring.region), self._tenant_id) as connection:
            connection.execute(
                "INSERT INTO vault_subject (tenant_id, subject_id, kind)"
                " SELECT %s, * FROM unnest(%s::uuid[], %s::text[])",
                (self._tenant_id, list(made.values()), kinds),
            )
            _insert_identifiers(connection, rows)
            # Another process may have been first: what stands in the table is what counts.
            self._known |= self._found(connection, fresh)

    def subject(self, identifier: Identifier) -> UUID:
        """The subject of one of the `identifiers`."""
        return self._known[identifier]

    def write_aliases(self, connection: psycopg.Connection[Any]) -> None:
        """Record unknown aliases for the subject they were seen beside.

        Comes before the log's head is locked: whoever waits here for another request's row holds no head, so nobody
        can wait in a circle.
        """
        fresh = self._missing(self._aliases)
        if fresh:
            owners = {item: self._known[self._aliases[item]] for item in fresh}
            _insert_identifiers(connection, self._rows(owners))

    def _missing(self, items: Iterable[Identifier]) -> list[Identifier]:
        """What is not known, in a fixed order, so that two processes cannot deadlock."""
        unknown = [item for item in items if item not in self._known]
        return sorted(unknown, key=lambda item: (item.kind, self._tags[item]))

    def _found(
        self, connection: psycopg.Connection[Any], items: Collection[Identifier]
    ) -> dict[Identifier, UUID]:
        by_tag = {(item.kind, self._tags[item]): item for item in items}
        found = _known(connection, list(by_tag))
        return {by_tag[place]: subject_id for place, subject_id in found.items()}

    def _rows(self, owners: Mapping[Identifier, UUID]) -> list[_IdentifierRow]:
        named = {owner for item, owner in owners.items() if item.kind != "trace"}
        keys = self._ring.keys_to_seal(self._tenant_id, named, DATA_CLASS)
        prefix = ContextPrefix(
            region=self._ring.region, tenant_id=self._tenant_id, data_class=DATA_CLASS
        )
        return [
            (
                self._tenant_id.bytes,
                item.kind.encode(),
                self._tags[item],
                owner.bytes,
                *_sealed_value(item, owner, keys, prefix, self._at),
            )
            for item, owner in owners.items()
        ]


_tenant_subjects: dict[tuple[str, UUID], UUID] = {}


def tenant_subject(*, region: str, tenant_id: UUID, at: datetime) -> UUID:
    """The subject of contents that belong to nobody: system prompts, tool definitions, reasons of a look.

    It is made once and never changes, so it is remembered.
    """
    if (region, tenant_id) not in _tenant_subjects:
        _tenant_subjects[region, tenant_id] = _find_or_make_tenant_subject(region, tenant_id, at)
    return _tenant_subjects[region, tenant_id]


def _find_or_make_tenant_subject(region: str, tenant_id: UUID, at: datetime) -> UUID:
    query = "SELECT subject_id FROM vault_subject WHERE kind = 'tenant'"
    with tenant_scope(region_alias(region), tenant_id) as connection:
        row = connection.execute(query).fetchone()
        if row is None:
            connection.execute(
                "INSERT INTO vault_subject (tenant_id, subject_id, kind) VALUES (%s, %s, 'tenant')"
                " ON CONFLICT DO NOTHING",
                (tenant_id, next(uuid7s(at, 1))),
            )
            row = connection.execute(query).fetchone()
    if row is None:
        raise SubjectErasedError("The tenant has no subject of its own.")
    return UUID(str(row[0]))


def refuse_unless_readable(connection: psycopg.Connection[Any], subjects: Iterable[UUID]) -> None:
    """Check each subject's state inside the reader's own transaction; raises SubjectErasedError.

    A cached key may outlive its subject by a minute; this check does not.
    """
    wanted = list(set(subjects))
    row = connection.execute(
        "SELECT count(*) FROM vault_subject WHERE subject_id = ANY(%s) AND state = 'active'",
        (wanted,),
    ).fetchone()
    if row is None or row[0] != len(wanted):
        raise SubjectErasedError("The content of this subject can no longer be read.")


def _known(
    connection: psycopg.Connection[Any], wanted: Sequence[tuple[IdentifierKind, bytes]]
) -> dict[tuple[IdentifierKind, bytes], UUID]:
    """Subjects by (kind, tag) of an identifier."""
    rows: list[Any] = _FIND_IDENTIFIERS.run(
        connection,
        array(TEXT_OID, [kind.encode() for kind, _ in wanted]),
        array(BYTEA_OID, [tag for _, tag in wanted]),
    )
    return {(_KINDS[kind], tag): UUID(bytes=subject_id) for kind, tag, subject_id in rows}


def _sealed_value(
    item: Identifier,
    subject_id: UUID,
    keys: Mapping[UUID, WrapKey],
    prefix: ContextPrefix,
    at: datetime,
) -> _IdentifierRow:
    """Object id, key id, wrapped CEK and envelope of the identifier itself; nothing for a trace id."""
    if item.kind == "trace":
        return None, None, None, None
    object_id, key = uuid7(at), keys[subject_id]
    box = seal_object(
        dek=key,
        prefix=prefix,
        subject_id=subject_id.bytes,
        object_id=object_id.bytes,
        content=item.value.encode(),
    )
    return object_id.bytes, key.key_id, box.wrapped_cek, box.envelope


def _insert_identifiers(connection: psycopg.Connection[Any], rows: list[_IdentifierRow]) -> None:
    columns = zip(*rows, strict=True)
    arrays = [array(oid, column) for oid, column in zip(_INSERT_TYPES, columns, strict=True)]
    _INSERT_IDENTIFIERS.run(connection, *arrays)


def identifier_tag(*, region: str, tenant_id: UUID, identifier: Identifier) -> bytes:
    """The keyed tag of an identifier: what a record may say in its place."""
    return keyring(region).tag_keys(tenant_id).identifier_tag(identifier.kind, identifier.value)


def subject_named(
    connection: psycopg.Connection[Any], kind: IdentifierKind, tag: bytes
) -> UUID | None:
    """The subject that a tagged identifier names, or None; for search, where nothing is made."""
    return _known(connection, [(kind, tag)]).get((kind, tag))
