"""Who is one person, for whoever has to merge or split subjects: ids, kinds and tags, and nothing in clear.

The look is recorded before anything is given out, like every other. It is made on the service's own machine; no role
of a token or a person allows it yet.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg

from auditvault.access.events.services import Act as RecordedAct
from auditvault.access.events.services import record_act
from auditvault.core.tlog.canonical import JsonValue
from auditvault.ledger.scope import region_alias, tenant_scope
from auditvault.vault.kinds import KindRules
from auditvault.vault.merging import SubjectUnknownError, group_of, records_of_person
from auditvault.vault.subjects import identifier_tag, subject_named

MOST_RECORDS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownName:
    """A name of a subject, as far as it may be shown."""

    kind: str
    tag: bytes
    normalisation: int
    """The version of the rules that made the tag."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownSubject:
    """One of the subjects that are one person."""

    subject_id: UUID
    kind: str
    state: str
    created_at: datetime
    names: tuple[KnownName, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownPerson:
    """Everybody who is one person with somebody, and the record of the look."""

    subjects: tuple[KnownSubject, ...]
    records: int
    """How many records they have; counted up to 10,000."""
    access_record: UUID


def show_named(
    *, region: str, tenant_id: UUID, kind: str, value: str, actor: str, now: datetime
) -> KnownPerson:
    """The person whom an identifier names. `value` is personal data: it becomes a keyed tag here and goes no further.

    Raises:
        IdentifierKindUnknownError, IdentifierInvalidError: nothing was looked for.
        AccessNotRecordedError: the access log cannot be written, and nothing is given out.
        SubjectUnknownError: it names nobody; the look is recorded all the same.
    """
    identifier = KindRules(region=region, tenant_id=tenant_id).named(kind, value)
    tag = identifier_tag(region=region, tenant_id=tenant_id, identifier=identifier)
    with tenant_scope(region_alias(region), tenant_id) as connection:
        subject_id = subject_named(connection, identifier.kind, tag)
    details: dict[str, JsonValue] = {f"{identifier.kind}_tag": tag.hex()}
    return _shown(region, tenant_id, subject_id, details, actor, now)


def show_subject(
    *, region: str, tenant_id: UUID, subject_id: UUID, actor: str, now: datetime
) -> KnownPerson:
    """As `show_named`, by one of the person's subjects."""
    details: dict[str, JsonValue] = {"subject": str(subject_id)}
    return _shown(region, tenant_id, subject_id, details, actor, now)


def _shown(
    region: str,
    tenant_id: UUID,
    subject_id: UUID | None,
    details: dict[str, JsonValue],
    actor: str,
    now: datetime,
) -> KnownPerson:
    act = RecordedAct(
        actor=actor, actor_role=None, action="show_subject", outcome="granted", details=details
    )
    access_record = record_act(region=region, tenant_id=tenant_id, act=act, now=now)
    with tenant_scope(region_alias(region), tenant_id, snapshot=True) as connection:
        group = group_of(connection, tenant_id, subject_id) if subject_id else []
        subjects = _subjects(connection, group)
        if subject_id is None or not subjects:
            raise SubjectUnknownError("Nobody of this tenant in this region is known by that.")
        records = len(records_of_person(connection, tenant_id, subject_id, MOST_RECORDS))
    return KnownPerson(subjects=subjects, records=records, access_record=access_record)


def _subjects(connection: psycopg.Connection[Any], group: list[UUID]) -> tuple[KnownSubject, ...]:
    names: dict[UUID, list[KnownName]] = {}
    for subject_id, kind, tag, normalisation in connection.execute(
        "SELECT subject_id, kind, tag, normalisation FROM vault_identifier"
        " WHERE subject_id = ANY(%s) ORDER BY kind, tag",
        (group,),
    ):
        known = KnownName(kind=kind, tag=bytes(tag), normalisation=normalisation)
        names.setdefault(subject_id, []).append(known)
    rows = connection.execute(
        "SELECT subject_id, kind, state, created_at FROM vault_subject"
        " WHERE subject_id = ANY(%s) ORDER BY subject_id",
        (group,),
    ).fetchall()
    return tuple(
        KnownSubject(
            subject_id=subject_id,
            kind=kind,
            state=state,
            created_at=created_at,
            names=tuple(names.get(subject_id, ())),
        )
        for subject_id, kind, state, created_at in rows
    )
