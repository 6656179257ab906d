"""A person's own report: when, what for and in which role somebody looked at their data (GDPR Art. 15, C-579/21).

Looks are found by ids alone: a name becomes a keyed tag, the tag leads to the subjects that are one person, they lead
to objects, records, traces and tags, and those stand in access records. Who looked is withheld unless whoever may
decide so says why: staff have rights, too, and the judgment gives their names only where they are needed to exercise
the person's own.

After an erasure nothing leads from the person to the looks any more: names, objects and links to records are gone. What
the access log says stays, about ids that mean nobody. So the report is made before the erasure, or not at all.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

import psycopg

from auditvault.access.own_looks import Traces, look, seen_by, traces_of
from auditvault.core.reports.form import Row
from auditvault.evidence.reports.sources import (
    MAX_RECORDS,
    Made,
    ReportTooLargeError,
    Sources,
)
from auditvault.vault.merging import group_of
from auditvault.vault.subjects import subject_named


def subject_looks(sources: Sources, name: tuple[str, bytes], *, with_staff: bool) -> Made:
    """Looks at the data of whoever the kind and tag name, newest first; none where they name nobody."""
    person = _leads(sources.records, sources.tenant_id, *name)
    found = [
        (header, what)
        for header in (sources.access_records(outcome="granted") if person.subjects else ())
        if (what := seen_by(header, person))
    ]
    names = sources.usernames([header for header, _ in found]) if with_staff else {}
    rows: list[Row] = [
        {
            **look(header, what, person),
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
    person = traces_of(connection, tenant_id, group, MAX_RECORDS + 1)
    if max(len(person.objects), len(person.records)) > MAX_RECORDS:
        raise ReportTooLargeError(
            f"The person has more than {MAX_RECORDS:,} contents or records, which one report cannot follow."
        )
    return person
