"""Looks at one person's data, as access records have them: found by ids alone, and nobody who looked is named.

A name is a keyed tag, tags lead to the subjects that are one person, they lead to objects, records, traces and tags,
and those stand in access records. After an erasure nothing leads from the person to the looks any more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import psycopg

from auditvault.access.events.selectors import Header
from auditvault.core.tlog.canonical import JsonValue
from auditvault.traces.selectors import traces_of_records
from auditvault.vault.merging import names_of_group, objects_of_group, records_of_person

_NAME = "a search by their name"
_CONTENT = "content"
_TRACE = "a trace"
_REPORT = "a report for them"
_SUBJECT = "who is one person with them"


@dataclass(frozen=True, slots=True, kw_only=True)
class Traces:
    """Everything in access records that leads to one person."""

    subjects: frozenset[str] = frozenset()
    objects: frozenset[str] = frozenset()
    records: frozenset[str] = frozenset()
    traces: frozenset[str] = frozenset()
    tags: frozenset[tuple[str, str]] = field(default=frozenset(), repr=False)


def traces_of(
    connection: psycopg.Connection[Any], tenant_id: UUID, group: Sequence[UUID], limit: int
) -> Traces:
    """What leads to the person who is all of these subjects, of whom there is at least one.

    Up to `limit` objects and records are followed: who gets as many asks for fewer, or says so.
    """
    objects = objects_of_group(connection, group, limit)
    records = records_of_person(connection, tenant_id, group[0], limit)
    return Traces(
        subjects=frozenset(map(str, group)),
        objects=frozenset(str(object_id) for object_id, _ in objects),
        records=frozenset(map(str, records)),
        traces=frozenset(each.hex() for each in traces_of_records(connection, records)),
        tags=frozenset(
            (f"{each}_tag", value.hex()) for each, value in names_of_group(connection, group)
        ),
    )


def seen_by(header: Header, person: Traces) -> str | None:
    """What of the person's somebody saw by this act; None where it was nothing of theirs."""
    details = details_of(header)
    within = details.get("filters")
    members = {**details, **(within if isinstance(within, dict) else {})}
    said = {name: value for name, value in members.items() if isinstance(value, str)}
    if person.objects.intersection(objects_of(header)):
        return _CONTENT
    if said.get("trace_id") in person.traces:
        return _TRACE
    if said.get("subject") in person.subjects:
        return _SUBJECT
    if said.items() & person.tags:
        return _REPORT if header["action"] == "report" else _NAME
    return None


def look(header: Header, what: str, person: Traces) -> dict[str, JsonValue]:
    """A look as the person is told of it."""
    return {
        "recorded_at": header["recorded_at"],
        "what": what,
        "purpose_code": header.get("purpose_code"),
        "role": header.get("actor_role"),
        "contents": len(person.objects.intersection(objects_of(header))),
    }


def details_of(header: Header) -> dict[str, JsonValue]:
    """A record's details."""
    found = header.get("details")
    return dict(found) if isinstance(found, dict) else {}


def objects_of(header: Header) -> list[str]:
    """Ids of the contents that a look was at."""
    found = details_of(header).get("objects")
    return [str(each) for each in found] if isinstance(found, list) else []
