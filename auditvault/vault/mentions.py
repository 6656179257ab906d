"""Who is mentioned in contents: keyed tags of what was found there, so that a person is found in somebody else's text.

Rules kept: docs/spec/mentions.md. The tags are those of identifiers, under the same normalisation, so whatever names a
person in a request finds them in contents too. No clear text is kept.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, NamedTuple
from uuid import UUID

import psycopg

from auditvault.vault.kinds import Identifier
from auditvault.vault.opening import StoredObject
from auditvault.vault.subjects import identifier_tag

Tagged = tuple[str, bytes]
"""Kind and keyed tag of an identifier."""

_OF_OTHERS = """
SELECT o.object_id, o.record_id, o.subject_id, array_agg(DISTINCT m.kind ORDER BY m.kind)
FROM unnest(%s::text[], %s::bytea[]) AS asked (kind, tag)
JOIN vault_mention AS m USING (kind, tag) JOIN vault_object AS o USING (tenant_id, object_id)
WHERE o.subject_id <> ALL(%s)
GROUP BY o.object_id, o.record_id, o.subject_id ORDER BY o.object_id DESC LIMIT %s
"""


class Mention(NamedTuple):
    """A content of somebody else that mentions a person."""

    object_id: UUID
    record_id: UUID
    subject_id: UUID
    """Whose content it is."""
    kinds: list[str]
    """Kinds of what names the person there, ascending."""


def tags_of_mentions(
    *, region: str, tenant_id: UUID, identifiers: Iterable[Identifier]
) -> list[Tagged]:
    """Kind and tag of each; to be called outside a transaction."""
    return [
        (item.kind, identifier_tag(region=region, tenant_id=tenant_id, identifier=item))
        for item in sorted(identifiers)
    ]


def note_mentions(
    connection: psycopg.Connection[Any],
    *,
    claim: UUID,
    stored: StoredObject,
    tags: Collection[Tagged],
) -> bool:
    """Put down whom a content mentions, in place of what was there; whether the claimed look's claim still held."""
    row = connection.execute(
        "SELECT vault_note_mentions(%s, %s, %s, %s::text[], %s::bytea[])",
        (
            claim,
            stored.object_id,
            stored.version,
            [kind for kind, _ in tags],
            [tag for _, tag in tags],
        ),
    ).fetchone()
    return row is not None and bool(row[0])


def mentions_of(
    connection: psycopg.Connection[Any],
    tags: Collection[Tagged],
    *,
    without: Collection[UUID],
    most: int,
) -> list[Mention]:
    """Up to so many contents that mention somebody under one of the tags, newest first; not those of these subjects."""
    rows = connection.execute(
        _OF_OTHERS.encode(),
        ([kind for kind, _ in tags], [tag for _, tag in tags], list(without), most),
    ).fetchall()
    return [Mention(*row) for row in rows]
