"""A person's own report: when, what for and in which role somebody looked at their data (GDPR Art. 15, C-579/21).

Looks are found by ids alone: a name becomes a keyed tag, the tag leads to the subjects that are one person, they lead
to objects, records, traces and tags, and those stand in access records. Who looked is withheld unless whoever may
decide so says why: staff have rights, too, and the judgment gives their names only where they are needed to exercise
the person's own.

After an erasure nothing leads from the person to the looks any more: names, objects and links to records are gone. What
the access log says stays, about ids that mean nobody. So the report is made before the erasure, or not at all.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import psycopg

from auditvault.access.events.selectors import Header
from auditvault.core.reports.form import Row
from auditvault.evidence.reports.sources import (
    MAX_RECORDS,
    Made,
    ReportTooLargeError,
    Sources,
    details_of,
    objects_of,
)
from auditvault.traces.selectors import traces_of_records
from auditvault.vault.merging import group_of, names_of_group, objects_of_group, records_of_person
from auditvault.vault.subjects import subject_named

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


def subject_looks(sources: Sources, name: tuple[str, bytes], *, with_staff: bool) -> Made:
    """Looks at the data of whoever the kind and tag name, newest first; none where they name nobody."""
    person = _leads(sources.records, sources.tenant_id, *name)
    found = [
        (header, what)
        for header in (sources.access_records(outcome="granted") if person.subjects else ())
        if (what := _what(header, person))
    ]
    names = sources.usernames([header for header, _ in found]) if with_staff else {}
    rows: list[Row] = [
        {
            "recorded_at": header["recorded_at"],
            "what": what,
            "purpose_code": header.get("purpose_code"),
            "role": header.get("actor_role"),
            "contents": len(person.objects.intersection(objects_of(header))),
            "actor": header["actor"] if with_staff else None,
            "username": names.get(str(header["actor"])),
        }
        for header, what in found
    ]
    return rows, {"subjects": len(person.subjects), "staff_names": with_staff}


def _leads(connection: psycopg.Connection[Any], tenant_id: UUID, kind: str, tag: bytes) -> Traces:
    subject_id = subject_named(connection, kind, tag)
    if subject_id is None:
        return Traces()
    group = group_of(connection, tenant_id, subject_id)
    objects = objects_of_group(connection, group, MAX_RECORDS + 1)
    records = records_of_person(connection, tenant_id, subject_id, MAX_RECORDS + 1)
    if max(len(objects), len(records)) > MAX_RECORDS:
        raise ReportTooLargeError(
            f"The person has more than {MAX_RECORDS:,} contents or records, which one report cannot follow."
        )
    return Traces(
        subjects=frozenset(map(str, group)),
        objects=frozenset(str(object_id) for object_id, _ in objects),
        records=frozenset(map(str, records)),
        traces=frozenset(each.hex() for each in traces_of_records(connection, records)),
        tags=frozenset(
            (f"{each}_tag", value.hex()) for each, value in names_of_group(connection, group)
        ),
    )


def _what(header: Header, person: Traces) -> str | None:
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
