"""What grants cover of what the vault holds.

A content that was sent twice lies in the vault once, under the record that came first. A grant that names a trace or a
record covers every content that one of their headers names, whichever record it was first recorded with.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg

from auditvault.core.ids import instant_of
from auditvault.core.policy.access import Purpose
from auditvault.core.policy.grants import (
    Grant,
    GrantMissingError,
    PeriodScope,
    RecordScope,
    SubjectScope,
    Target,
    TraceScope,
    grant_for,
)
from auditvault.traces.selectors import Mention, contents_named
from auditvault.vault.opening import Among, StoredObject

_NO_TRACE = bytes(16)


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """Grants of one human for one case, and what headers that they name say."""

    grants: Sequence[Grant]
    mentions: dict[UUID, list[Mention]] = field(default_factory=dict)

    def among(self) -> Among:
        """Where to look at all; `grant_of` then says whether, and under which grant."""
        return Among(
            object_ids=list(self.mentions),
            subject_ids=[
                subject
                for grant in self.grants
                if isinstance(grant.scope, SubjectScope)
                for subject in grant.scope.subject_ids
            ],
            periods=[
                (grant.scope.recorded_from, grant.scope.recorded_before)
                for grant in self.grants
                if isinstance(grant.scope, PeriodScope)
            ],
        )

    def grant_of(self, stored: StoredObject, *, purpose: Purpose, now: datetime) -> Grant | None:
        """The grant under which its human sees the object; None where there is none."""
        for target in self._targets(stored):
            for human in {grant.human for grant in self.grants}:
                try:
                    return grant_for(
                        self.grants, human=human, purpose=purpose, target=target, now=now
                    )
                except GrantMissingError:
                    continue
        return None

    def _targets(self, stored: StoredObject) -> Iterable[Target]:
        """The object where it was first recorded, then wherever else a header names it."""
        yield _target(stored, stored.record_id, _NO_TRACE)
        for mention in self.mentions.get(stored.object_id, ()):
            yield _target(stored, mention.record_id, mention.trace_id)


def coverage(connection: psycopg.Connection[Any], grants: Sequence[Grant]) -> Coverage:
    """What these grants cover, as the transaction sees it; they are one human's."""
    scopes = [grant.scope for grant in grants]
    named = contents_named(
        connection,
        trace_ids={
            one for scope in scopes if isinstance(scope, TraceScope) for one in scope.trace_ids
        },
        record_ids={
            one for scope in scopes if isinstance(scope, RecordScope) for one in scope.record_ids
        },
    )
    mentions: dict[UUID, list[Mention]] = {}
    for mention in named:
        mentions.setdefault(mention.object_id, []).append(mention)
    return Coverage(grants=grants, mentions=mentions)


def _target(stored: StoredObject, record_id: UUID, trace_id: bytes) -> Target:
    return Target(
        record_id=record_id,
        trace_id=trace_id,
        subject_id=stored.subject_id,
        recorded_at=instant_of(record_id),
    )
