"""Whose content it is: identifiers become keyed tags, tags name subjects.

A span's subject is the user it names, else its session, else its trace. An identifier is stored as a tag that only
this tenant's key in this region can make, with the identifier itself sealed beside it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeAlias
from uuid import UUID

import psycopg

from auditvault.core.crypto.envelope import ContextPrefix, seal_object
from auditvault.core.crypto.keywrap import WrapKey
from auditvault.core.crypto.tags import TenantTagKeys
from auditvault.core.errors import AuditvaultError
from auditvault.core.identifiers import NORMALISATION, tagged_text
from auditvault.core.ids import uuid7, uuid7s
from auditvault.ledger.copying import int2
from auditvault.ledger.scope import region_alias, tenant_scope
from auditvault.ledger.statements import BYTEA_OID, INT2_OID, TEXT_OID, UUID_OID, Statement, array
from auditvault.vault.erasures.pending import SEALERS_LOCK
from auditvault.vault.keyring.services import keyring
from auditvault.vault.kinds import Identifier

DATA_CLASS = "content"
_FIND_IDENTIFIERS = Statement(
    "SELECT i.kind, i.tag, i.subject_id FROM vault_identifier AS i"
    " JOIN unnest($1::text[], $2::bytea[]) AS wanted (kind, tag) USING (kind, tag)"
)
_INSERT_IDENTIFIERS = Statement(
    "INSERT INTO vault_identifier"
    " (tenant_id, kind, tag, subject_id, object_id, key_id, wrapped_cek, envelope, normalisation)"
    " SELECT * FROM unnest($1::uuid[], $2::text[], $3::bytea[], $4::uuid[], $5::uuid[],"
    " $6::uuid[], $7::bytea[], $8::bytea[], $9::smallint[]) ON CONFLICT DO NOTHING"
)
_INSERT_TYPES = (
    UUID_OID, TEXT_OID, BYTEA_OID, UUID_OID, UUID_OID, UUID_OID, BYTEA_OID, BYTEA_OID, INT2_OID,
)  # fmt: skip
_IdentifierRow: TypeAlias = tuple[bytes | None, ...]
"""The columns of `vault_identifier` in the order in which they are inserted."""
# What names no person: a session, or the trace where nothing else is known.
_IMPERSONAL = frozenset({"session", "trace"})
_TRACE = "trace"
_AS_SENT, _VERSION = int2(0), int2(NORMALISATION)
_LOCK_JOINS = "SELECT pg_advisory_xact_lock(hashtext('vault_identifier'), hashtext(%s))"
_MAY_JOIN = (
    "SELECT DISTINCT s.subject_id, asked.kind FROM unnest(%s::uuid[], %s::text[]) AS asked (subject_id, kind)"
    " JOIN vault_subject AS s USING (subject_id)"
    " WHERE s.kind = 'person' AND s.state = 'active' AND NOT EXISTS ("
    "SELECT FROM vault_identifier AS i WHERE i.kind = asked.kind"
    " AND i.subject_id IN (SELECT vault_subject_group(%s, s.subject_id)))"
)


class SubjectErasedError(AuditvaultError):
    """The subject's content is gone or going: nothing of theirs is opened."""

    code = "subject_erased"


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """Who one request's spans name."""

    owners: frozenset[Identifier] = field(repr=False)
    """What the spans belong to: for each the name that counts."""
    aliases: Mapping[Identifier, Identifier] = field(repr=False)
    """Further names -> the name they were seen beside, such as a session -> its user. No circles."""
    sent: Mapping[Identifier, str] = field(repr=False)
    """Names as they were sent, where that is not how they are normalised."""


class Naming:
    """Finds the subjects that one request's identifiers name, and makes those that are new.

    Three steps: `look_up` in the caller's transaction, `make_missing` in one of its own where somebody is new, and
    `look_up` and `write_aliases` in the caller's again. A new subject is committed before anything is sealed for it: a
    crash afterwards leaves a subject without content, which is harmless.
    """

    def __init__(self, *, region: str, tenant_id: UUID, names: Names, at: datetime) -> None:
        self._ring = keyring(region)
        self._tenant_id = tenant_id
        self._names = names
        self._at = at
        keys = self._ring.tag_keys(tenant_id)
        self._tags = {item: _tag(keys, item) for item in {*names.owners, *names.aliases}}
        self._known: dict[Identifier, UUID] = {}

    def look_up(self, connection: psycopg.Connection[Any]) -> None:
        """Find what is known, and forget what was: somebody may have been erased since.

        In a transaction that shares `SEALERS_LOCK`, who was found stays until its end.
        """
        self._known = self._found(connection, self._tags)

    def is_missing_any(self) -> bool:
        """Whether somebody who owns a span is named by nothing known; to be asked after `look_up`."""
        known = self._known
        return any(self._counts(item) not in known for item in self._names.owners)

    def make_missing(self) -> None:
        """Find or make, and commit, a subject for each owner that is named by nothing known; aliases wait."""
        missing = {self._counts(item) for item in self._names.owners} - self._known.keys()
        fresh = sorted(missing, key=self._place)
        alias = region_alias(self._ring.region)
        # Nobody who gets one more name here is erased before it is there to be taken away.
        with tenant_scope(alias, self._tenant_id, sharing=SEALERS_LOCK) as connection:
            joined = self._joined(connection, missing)
            alone = [item for item in fresh if item not in joined]
            made = dict(zip(alone, uuid7s(self._at, len(alone)), strict=True))
            kinds = ["session" if item.kind in _IMPERSONAL else "person" for item in alone]
            connection.execute(
                "INSERT INTO vault_subject (tenant_id, subject_id, kind)"
                " SELECT %s, * FROM unnest(%s::uuid[], %s::text[])",
                (self._tenant_id, list(made.values()), kinds),
            )
            owners = made | joined
            _insert_identifiers(connection, self._rows({item: owners[item] for item in fresh}))
            # Another process may have been first: what stands in the table is what counts.
            self._known |= self._found(connection, fresh)

    def subject(self, identifier: Identifier) -> UUID:
        """The subject of one of the owners."""
        return self._known[self._counts(identifier)]

    def write_aliases(self, connection: psycopg.Connection[Any]) -> None:
        """Record unknown aliases for the subject they were seen beside. A known name stays where it is.

        Comes before the log's head is locked: whoever waits here for another request's row holds no head, so nobody
        can wait in a circle.
        """
        fresh = sorted(
            (item for item in self._names.aliases if item not in self._known), key=self._place
        )
        if fresh:
            owners = {item: self._known[self._counts(item)] for item in fresh}
            _insert_identifiers(connection, self._rows(owners))

    def _counts(self, item: Identifier) -> Identifier:
        """The name that counts for this one: itself if it is known, else the one it was seen beside."""
        known, aliases = self._known, self._names.aliases
        while item not in known and item in aliases:
            item = aliases[item]
        return item

    def _joined(
        self, connection: psycopg.Connection[Any], missing: Collection[Identifier]
    ) -> dict[Identifier, UUID]:
        """New names that are one more name of somebody known: docs/spec/subjects.md section 3.

        Requests that ask this wait for each other, so that two cannot give one subject two names of a kind at once.
        """
        wanted = [
            (self._known[alias], owner)
            for alias in self._names.aliases
            if alias in self._known and alias.kind not in _IMPERSONAL
            for owner in [self._counts(self._names.aliases[alias])]
            if owner in missing
        ]
        if not wanted:
            return {}
        connection.execute(_LOCK_JOINS, (str(self._tenant_id),))
        subjects, kinds = zip(*((subject, owner.kind) for subject, owner in wanted), strict=True)
        rows = connection.execute(_MAY_JOIN, (list(subjects), list(kinds), self._tenant_id))
        free = set(rows.fetchall())
        joined: dict[Identifier, UUID] = {}
        for subject_id, owner in sorted(wanted, key=lambda pair: (pair[0], self._place(pair[1]))):
            if owner not in joined and (subject_id, owner.kind) in free:
                free.remove((subject_id, owner.kind))
                joined[owner] = subject_id
        return joined

    def _place(self, item: Identifier) -> tuple[str, bytes]:
        """A fixed order, so that two processes cannot deadlock."""
        return item.kind, self._tags[item]

    def _found(
        self, connection: psycopg.Connection[Any], items: Collection[Identifier]
    ) -> dict[Identifier, UUID]:
        by_tag = {(item.kind, self._tags[item]): item for item in items}
        found = _known(connection, list(by_tag))
        return {by_tag[place]: subject_id for place, subject_id in found.items()}

    def _rows(self, owners: Mapping[Identifier, UUID]) -> list[_IdentifierRow]:
        named = {owner for item, owner in owners.items() if item.kind != _TRACE}
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
                *self._sealed(item, owner, keys, prefix),
            )
            for item, owner in owners.items()
        ]

    def _sealed(
        self,
        item: Identifier,
        subject_id: UUID,
        keys: Mapping[UUID, WrapKey],
        prefix: ContextPrefix,
    ) -> _IdentifierRow:
        """Object id, key id, wrapped CEK and envelope of the name as it was sent, and the version of its tag.

        A trace id is not sealed, and tagged as it is.
        """
        if item.kind == _TRACE:
            return None, None, None, None, _AS_SENT
        object_id, key = uuid7(self._at), keys[subject_id]
        box = seal_object(
            dek=key,
            prefix=prefix,
            subject_id=subject_id.bytes,
            object_id=object_id.bytes,
            content=self._names.sent.get(item, item.value).encode(),
        )
        return object_id.bytes, key.key_id, box.wrapped_cek, box.envelope, _VERSION


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
    connection: psycopg.Connection[Any], wanted: Sequence[tuple[str, bytes]]
) -> dict[tuple[str, bytes], UUID]:
    """Subjects by (kind, tag) of an identifier."""
    rows: list[Any] = _FIND_IDENTIFIERS.run(
        connection,
        array(TEXT_OID, [kind.encode() for kind, _ in wanted]),
        array(BYTEA_OID, [tag for _, tag in wanted]),
    )
    return {(kind.decode(), tag): UUID(bytes=subject_id) for kind, tag, subject_id in rows}


def _insert_identifiers(connection: psycopg.Connection[Any], rows: list[_IdentifierRow]) -> None:
    columns = zip(*rows, strict=True)
    arrays = [array(oid, column) for oid, column in zip(_INSERT_TYPES, columns, strict=True)]
    _INSERT_IDENTIFIERS.run(connection, *arrays)


def identifier_tag(*, region: str, tenant_id: UUID, identifier: Identifier) -> bytes:
    """The keyed tag of an identifier: what a record may say in its place."""
    return _tag(keyring(region).tag_keys(tenant_id), identifier)


def subject_named(connection: psycopg.Connection[Any], kind: str, tag: bytes) -> UUID | None:
    """The subject that a tagged identifier names, or None; for search, where nothing is made."""
    return _known(connection, [(kind, tag)]).get((kind, tag))


def _tag(keys: TenantTagKeys, item: Identifier) -> bytes:
    return keys.identifier_tag(
        item.kind, item.value if item.kind == _TRACE else tagged_text(item.value)
    )
