"""Which spans of a request are new, which are repeats, and which revise a recorded span.

Senders repeat requests they got no answer to, so a span is known by (tenant, trace id, span id). The same span
with the same body is answered with success and recorded once. With another body it is recorded as a further
revision, linked to the first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson
import psycopg

from auditvault.core.interaction import Interaction
from auditvault.ingest.header import body_digest, header_bytes
from auditvault.traces.services import KnownSpan, SpanKey, stored_revisions
from auditvault.vault.sealing import tags_of

# What recording adds to a header; the rest is what the sender said.
_ADDED = frozenset({"id", "revision", "revises", "contents"})


TagOf = Callable[[bytes], bytes]


@dataclass(slots=True)
class Draft:
    """An interaction with its record id and its subject, on its way to become a record."""

    interaction: Interaction
    record_id: UUID
    subject_id: UUID
    names_user: bool
    revision: int = 0
    revises: UUID | None = None

    @property
    def key(self) -> SpanKey:
        """What a span is known by inside a tenant."""
        return self.interaction.trace_id, self.interaction.span_id


def settle_repeats(
    connection: psycopg.Connection[Any],
    drafts: list[Draft],
    seen: dict[SpanKey, list[UUID]],
    tag_of: TagOf,
) -> list[Draft]:
    """The drafts to record, in order, those that revise a recorded span marked as such."""
    fresh: list[Draft] = []
    taken: dict[SpanKey, list[Draft]] = {}
    for draft in drafts:
        stored = seen.get(draft.key)
        earlier = taken.get(draft.key, [])
        if stored is not None:
            revisions = stored_revisions(connection, stored)
            if any(_same(connection, draft, known, tag_of) for known in revisions):
                continue
            draft.revision, draft.revises = revisions[-1].revision + 1, revisions[-1].record_id
        if earlier:
            digest = body_digest(draft.interaction)
            if any(body_digest(other.interaction) == digest for other in earlier):
                continue
            draft.revision, draft.revises = earlier[-1].revision + 1, earlier[-1].record_id
        taken.setdefault(draft.key, []).append(draft)
        fresh.append(draft)
    return fresh


def _same(
    connection: psycopg.Connection[Any], draft: Draft, known: KnownSpan, tag_of: TagOf
) -> bool:
    """Whether the draft says what the recorded span said. Erased contents count as equal: they do not return."""
    stored: dict[str, Any] = orjson.loads(known.header)
    said = {name: value for name, value in stored.items() if name not in _ADDED}
    if header_bytes(said) != header_bytes(draft.interaction.header):
        return False
    contents = draft.interaction.contents
    if [item["role"] for item in stored["contents"]] != [item.role for item in contents]:
        return False
    objects = [UUID(item["object"]) for item in stored["contents"]]
    found = tags_of(connection, objects)
    for object_id, content in zip(objects, contents, strict=True):
        if object_id not in found:
            continue
        subject_id, tag = found[object_id]
        if tag != tag_of(content.digest):
            return False
        if draft.names_user and content.owner == "subject" and subject_id != draft.subject_id:
            return False
    return True
