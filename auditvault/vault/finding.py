"""Everything of a person in one region, found by what names them; and whatever of it is left afterwards.

Both are looks of the application's role, at rows and never at contents: finding opens nothing, and looking for what is
left opens only what should not be there. Whoever erases has another role and other functions; so this is no mirror of
`shred`, and finds what that forgot.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import psycopg

from auditvault.core.errors import AuditvaultError
from auditvault.ledger.scope import keys_alias, region_alias, tenant_scope
from auditvault.vault.erasures.pending import refuse_while_restore_pending
from auditvault.vault.merging import group_of
from auditvault.vault.opening import examine_stored, objects_by_id
from auditvault.vault.subjects import subject_named

BATCH = 5000
"""Objects that are looked for in one statement."""
MOST_OPENED = 1000
"""Of what should not be there, how many are tried to be opened: one is enough to say so."""
_COUNTS = """
SELECT (SELECT count(*) FROM vault_object WHERE subject_id = ANY(%(who)s)),
    (SELECT count(*) FROM (SELECT record_id FROM vault_object WHERE subject_id = ANY(%(who)s)
                           UNION SELECT record_id FROM vault_record WHERE subject_id = ANY(%(who)s)) AS own),
    (SELECT count(*) FROM vault_identifier WHERE subject_id = ANY(%(who)s))
"""
_KEYS = "SELECT count(*) FROM keyring_subject_key WHERE subject_id = ANY(%s)"
_STANDING = """
SELECT s.subject_id FROM vault_subject AS s WHERE s.subject_id = ANY(%(who)s) AND (s.state <> 'erased'
    OR EXISTS (SELECT FROM vault_object AS o WHERE o.subject_id = s.subject_id)
    OR EXISTS (SELECT FROM vault_record AS r WHERE r.subject_id = s.subject_id)
    OR EXISTS (SELECT FROM vault_identifier AS i WHERE i.subject_id = s.subject_id))
ORDER BY s.subject_id
"""
# By its id, by the hash of what was in it, and by another hash that led to it: of these subjects, since what somebody
# else has of the same content is theirs.
_LEFT = """
SELECT object_id FROM vault_object WHERE object_id = ANY(%(ids)s)
UNION SELECT object_id FROM vault_object WHERE tag = ANY(%(tags)s) AND subject_id = ANY(%(who)s)
UNION SELECT a.object_id FROM vault_tag_alias AS a JOIN vault_object AS o USING (tenant_id, object_id)
    WHERE a.tag = ANY(%(tags)s) AND o.subject_id = ANY(%(who)s)
"""
_TRACES_LEFT = """
SELECT (SELECT count(*) FROM vault_piece WHERE object_id = ANY(%(ids)s))
    + (SELECT count(*) FROM vault_tag_alias WHERE object_id = ANY(%(ids)s))
"""
_SUBJECTS_LEFT = """
SELECT (SELECT count(*) FROM vault_object WHERE subject_id = ANY(%(who)s))
    + (SELECT count(*) FROM vault_record WHERE subject_id = ANY(%(who)s))
    + (SELECT count(*) FROM vault_identifier WHERE subject_id = ANY(%(who)s))
    + (SELECT count(*) FROM vault_subject WHERE subject_id = ANY(%(who)s) AND state <> 'erased')
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a region has of a person."""

    subject_ids: tuple[UUID, ...]
    """Ascending; empty where nothing leads to anybody."""
    objects: int
    records: int
    """Headers that are theirs."""
    names: int
    keys: int


@dataclass(slots=True)
class Left:
    """What is left of a person who should be gone."""

    checked: int = 0
    """Objects that were looked for."""
    remaining: int = 0
    """Rows, of whatever kind."""
    opened: int = 0
    """Contents that could be read."""
    object_ids: set[UUID] = field(default_factory=set)


def people_named(
    connection: psycopg.Connection[Any], tenant_id: UUID, names: Iterable[tuple[str, bytes]]
) -> list[UUID]:
    """Everybody whom tagged identifiers lead to, by kind and tag, with whoever is one person with them; ascending."""
    found = (subject_named(connection, kind, tag) for kind, tag in names)
    return sorted(
        same_people(connection, tenant_id, [subject for subject in found if subject is not None])
    )


def same_people(
    connection: psycopg.Connection[Any], tenant_id: UUID, subjects: Iterable[UUID]
) -> set[UUID]:
    """These subjects, and whoever is one person with one of them."""
    everybody: set[UUID] = set()
    for subject in subjects:
        if subject not in everybody:
            everybody.update((subject, *group_of(connection, tenant_id, subject)))
    return everybody


def count_found(
    connection: psycopg.Connection[Any], region: str, tenant_id: UUID, subjects: Sequence[UUID]
) -> Found:
    """What there is of these subjects, counted in the caller's transaction, and in the keyring a moment later."""
    row = connection.execute(_COUNTS, {"who": list(subjects)}).fetchone()
    objects, records, names = row or (0, 0, 0)
    return Found(
        subject_ids=tuple(sorted(subjects)),
        objects=objects,
        records=records,
        names=names,
        keys=_keys_of(region, tenant_id, subjects),
    )


def standing(connection: psycopg.Connection[Any], subjects: Sequence[UUID]) -> list[UUID]:
    """Those of the subjects that are not erased, or of whom something is there again; ascending."""
    rows = connection.execute(_STANDING, {"who": list(subjects)}).fetchall()
    return [row[0] for row in rows]


def look_for_left(
    *, region: str, tenant_id: UUID, subjects: Sequence[UUID], listed: Sequence[tuple[UUID, bytes]]
) -> Left:
    """Look for each listed object, by id and lookup tag, and for everything else of the subjects, on every path.

    Raises what the databases raise: then nothing is known.
    """
    left = Left(checked=len(listed))
    with tenant_scope(region_alias(region), tenant_id) as connection:
        for start in range(0, len(listed), BATCH):
            _look_for(connection, subjects, listed[start : start + BATCH], left)
        left.remaining += len(left.object_ids)
        left.remaining += _one(connection, _SUBJECTS_LEFT, {"who": list(subjects)})
        if left.object_ids:
            left.opened = _opened(connection, region, tenant_id, left.object_ids)
    left.remaining += _keys_of(region, tenant_id, subjects)
    return left


def _look_for(
    connection: psycopg.Connection[Any],
    subjects: Sequence[UUID],
    listed: Sequence[tuple[UUID, bytes]],
    left: Left,
) -> None:
    wanted = {
        "ids": [object_id for object_id, _ in listed],
        "tags": [tag for _, tag in listed],
        "who": list(subjects),
    }
    left.object_ids.update(row[0] for row in connection.execute(_LEFT, wanted).fetchall())
    left.remaining += _one(connection, _TRACES_LEFT, wanted)


def _opened(
    connection: psycopg.Connection[Any], region: str, tenant_id: UUID, object_ids: set[UUID]
) -> int:
    """How many of these can be read; nothing of them is kept."""
    permit = refuse_while_restore_pending(connection, region)
    opened = 0
    for stored in objects_by_id(connection, sorted(object_ids)[:MOST_OPENED]).values():
        try:
            examine_stored(permit=permit, tenant_id=tenant_id, stored=stored)
        except AuditvaultError:
            continue
        opened += 1
    return opened


def _keys_of(region: str, tenant_id: UUID, subjects: Sequence[UUID]) -> int:
    with tenant_scope(keys_alias(region), tenant_id) as connection:
        return _one(connection, _KEYS, (list(subjects),))


def _one(connection: psycopg.Connection[Any], query: str, values: Any) -> int:
    row = connection.execute(query.encode(), values).fetchone()
    return int(row[0]) if row else 0
