"""Which spans of a request are new, which are repeats, and which revise a recorded span.

Senders repeat requests they got no answer to, so a span is known by (tenant, trace id, span id). The same span
with the same body is answered with success and recorded once. With another body it is recorded as a further
revision, linked to the first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import attrgetter, itemgetter
from typing import Any
from uuid import UUID

import orjson

from auditvault.core.interaction import Interaction
from auditvault.core.tlog.canonical import JsonValue
from auditvault.ingest.header import body_digest, header_bytes
from auditvault.ingest.policies.contents import ADDED_MEMBERS
from auditvault.traces.services import KnownSpan, SpanKey

# What recording adds to a header; the rest is what the sender said.
_ADDED = frozenset({"id", "revision", "revises", "contents"}) | ADDED_MEMBERS


TagOf = Callable[[bytes], bytes]
TagsOf = Callable[[list[UUID]], dict[UUID, tuple[UUID, bytes]]]


@dataclass(slots=True)
class Draft:
    """An interaction with its record id and its subject, UUIDs' 16 bytes, on its way to become a record."""

    interaction: Interaction
    record_id: bytes
    subject_id: bytes
    revision: int = 0
    revises: UUID | None = None

    @property
    def key(self) -> SpanKey:
        """What a span is known by inside a tenant."""
        return self.interaction.trace_id, self.interaction.span_id

    @property
    def names_user(self) -> bool:
        """Whether the span itself says which user it is about."""
        return any(kind == "user" for kind, _ in self.interaction.identifiers)


@dataclass(slots=True)
class StoredSpan:
    """A recorded revision: what its header says, and what its contents are known by."""

    record_id: UUID
    revision: int
    said: bytes
    roles: list[str]
    # Subject and lookup tag of each content, None where it is gone.
    contents: list[tuple[UUID, bytes] | None]
    tag_of: TagOf

    @classmethod
    def read(cls, known: KnownSpan, tags_of: TagsOf, tag_of: TagOf) -> StoredSpan:
        """From the stored header; no content is opened."""
        stored: dict[str, Any] = orjson.loads(known.header)
        listed = sorted(stored["contents"], key=itemgetter("role"))
        objects = [UUID(item["object"]) for item in listed]
        found = tags_of(objects)
        return cls(
            record_id=known.record_id,
            revision=known.revision,
            said=header_bytes(_as_sent(stored)),
            roles=[item["role"] for item in listed],
            contents=[found.get(object_id) for object_id in objects],
            tag_of=tag_of,
        )

    def is_repeated_by(self, draft: Draft) -> bool:
        """Whether the draft says the same, in whatever order. Erased contents count as equal: they do not come back."""
        contents = sorted(draft.interaction.contents, key=attrgetter("role"))
        if self.said != header_bytes(_as_sent(draft.interaction.header)):
            return False
        if self.roles != [content.role for content in contents]:
            return False
        for known, content in zip(self.contents, contents, strict=True):
            if known is None:
                continue
            subject_id, tag = known
            if tag != self.tag_of(content.digest):
                return False
            is_personal = draft.names_user and content.owner == "subject"
            if is_personal and subject_id.bytes != draft.subject_id:
                return False
        return True


def _as_sent(header: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    return {name: header[name] for name in header if name not in _ADDED}


def settle_repeats(
    drafts: list[Draft],
    seen: dict[SpanKey, list[UUID]],
    stored: Callable[[list[UUID]], list[StoredSpan]],
) -> list[Draft]:
    """The drafts to record, in order, those that revise a recorded span marked as such.

    `seen` has the record ids of spans that are recorded already; `stored` reads those records.
    """
    fresh: list[Draft] = []
    taken: dict[SpanKey, list[Draft]] = {}
    for draft in drafts:
        key = draft.key
        if key in seen:
            revisions = stored(seen[key])
            if any(known.is_repeated_by(draft) for known in revisions):
                continue
            draft.revision, draft.revises = revisions[-1].revision + 1, revisions[-1].record_id
        earlier = taken.get(key)
        if earlier is None:
            taken[key] = [draft]
        else:
            digest = body_digest(draft.interaction)
            if any(body_digest(other.interaction) == digest for other in earlier):
                continue
            draft.revision = earlier[-1].revision + 1
            draft.revises = UUID(bytes=earlier[-1].record_id)
            earlier.append(draft)
        fresh.append(draft)
    return fresh
