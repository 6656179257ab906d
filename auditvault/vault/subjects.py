"""Whose content it is: identifiers become keyed tags, tags name subjects.

A span's subject is the user it names, else its session, else its trace. An identifier is stored as a tag that only
this tenant's key in this region can make, with the identifier itself sealed beside it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple
from uuid import UUID

import psycopg

from auditvault.core.crypto.envelope import ContextPrefix, seal_object
from auditvault.core.crypto.keywrap import WrapKey
from auditvault.core.errors import AuditvaultError
from auditvault.core.ids import uuid7, uuid7s
from auditvault.ledger.scope import region_alias, tenant_scope
from auditvault.vault.keyring.services import Keyring, keyring

DATA_CLASS = "content"
IdentifierKind = Literal["user", "session", "trace"]


class SubjectErasedError(AuditvaultError):
    """The subject's content is gone or going: nothing of theirs is opened."""

    code = "subject_erased"


class Identifier(NamedTuple):
    """Something that names a subject. `value` is personal data, except for a trace."""

    kind: IdentifierKind
    value: str


@dataclass(frozen=True, slots=True)
class _Tagged:
    kind: IdentifierKind
    tag: bytes


def resolve_subjects(
    *,
    region: str,
    tenant_id: UUID,
    identifiers: Collection[Identifier],
    aliases: Mapping[Identifier, Identifier],
    at: datetime,
) -> dict[Identifier, UUID]:
    """The subject of each identifier, made where it is new.

    `aliases` are further names seen beside one of `identifiers`, such as a user's session: one that is unknown
    is recorded for the same subject.

    New subjects are committed here, in a transaction of their own, before anything is sealed for them: a crash
    afterwards leaves a subject without content, which is harmless.
    """
    if not identifiers:
        return {}
    keys = keyring(region)
    tags = keys.tag_keys(tenant_id)
    tagged = {
        item: _Tagged(item.kind, tags.identifier_tag(item.kind, item.value))
        for item in {*identifiers, *aliases}
    }
    with tenant_scope(region_alias(region), tenant_id) as connection:
        known = _known(connection, tagged.values())
    fresh = sorted(
        (item for item in tagged if tagged[item] not in known),
        # A fixed order, so that two processes naming the same people cannot deadlock.
        key=lambda item: (item.kind, tagged[item].tag),
    )
    if fresh:
        owners = {item: known.get(tagged[aliases.get(item, item)]) for item in fresh}
        known |= _make(keys, tenant_id, fresh, tagged, owners, aliases, at)
    return {item: known[tagged[item]] for item in identifiers}


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


def _known(connection: psycopg.Connection[Any], tagged: Iterable[_Tagged]) -> dict[_Tagged, UUID]:
    wanted = list(tagged)
    rows = connection.execute(
        "SELECT i.kind, i.tag, i.subject_id FROM vault_identifier AS i"
        " JOIN unnest(%s::text[], %s::bytea[]) AS wanted (kind, tag) USING (kind, tag)",
        ([item.kind for item in wanted], [item.tag for item in wanted]),
    ).fetchall()
    return {_Tagged(kind, bytes(tag)): subject_id for kind, tag, subject_id in rows}


def _make(
    ring: Keyring,
    tenant_id: UUID,
    fresh: list[Identifier],
    tagged: dict[Identifier, _Tagged],
    owners: dict[Identifier, UUID | None],
    aliases: Mapping[Identifier, Identifier],
    at: datetime,
) -> dict[_Tagged, UUID]:
    new_ids = uuid7s(at, len(fresh))
    made = {item: next(new_ids) for item in fresh if item not in aliases}
    owner = {item: owners[item] or made[aliases.get(item, item)] for item in fresh}
    named = {owner[item] for item in fresh if item.kind != "trace"}
    keys = ring.keys_to_seal(tenant_id, named, DATA_CLASS)
    prefix = ContextPrefix(region=ring.region, tenant_id=tenant_id, data_class=DATA_CLASS)
    rows = [
        (
            tenant_id,
            item.kind,
            tagged[item].tag,
            owner[item],
            *_sealed_value(item, owner[item], keys, prefix, at),
        )
        for item in fresh
    ]
    kinds = ["person" if item.kind == "user" else "session" for item in made]
    with tenant_scope(region_alias(ring.region), tenant_id) as connection:
        _insert(connection, tenant_id, list(made.values()), kinds, rows)
        return _known(connection, [tagged[item] for item in fresh])


def _sealed_value(
    item: Identifier,
    subject_id: UUID,
    keys: Mapping[UUID, WrapKey],
    prefix: ContextPrefix,
    at: datetime,
) -> tuple[UUID | None, UUID | None, bytes | None, bytes | None]:
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
    return object_id, UUID(bytes=key.key_id), box.wrapped_cek, box.envelope


def _insert(
    connection: psycopg.Connection[Any],
    tenant_id: UUID,
    subjects: list[UUID],
    kinds: list[str],
    identifiers: list[tuple[Any, ...]],
) -> None:
    connection.execute(
        "INSERT INTO vault_subject (tenant_id, subject_id, kind)"
        " SELECT %s, * FROM unnest(%s::uuid[], %s::text[])",
        (tenant_id, subjects, kinds),
    )
    connection.execute(
        "INSERT INTO vault_identifier"
        " (tenant_id, kind, tag, subject_id, object_id, key_id, wrapped_cek, envelope)"
        " SELECT * FROM unnest(%s::uuid[], %s::text[], %s::bytea[], %s::uuid[], %s::uuid[],"
        " %s::uuid[], %s::bytea[], %s::bytea[]) ON CONFLICT DO NOTHING",
        [list(column) for column in zip(*identifiers, strict=True)],
    )


def identifier_tag(*, region: str, tenant_id: UUID, identifier: Identifier) -> bytes:
    """The keyed tag of an identifier: what a record may say in its place."""
    return keyring(region).tag_keys(tenant_id).identifier_tag(identifier.kind, identifier.value)


def subject_named(
    connection: psycopg.Connection[Any], kind: IdentifierKind, tag: bytes
) -> UUID | None:
    """The subject that a tagged identifier names, or None; for search, where nothing is made."""
    wanted = _Tagged(kind, tag)
    return _known(connection, [wanted]).get(wanted)
