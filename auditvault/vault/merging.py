"""Subjects that turn out to be one person, or not to be: links between subjects, and nothing sealed anew.

Rules kept: docs/spec/subjects.md section 4. A subject's id is bound into everything that is sealed for it, so subjects
are never melted together: they get into a group, which searches, access requests and erasure follow.

Link and record are written in one transaction, the record last. A crash leaves both or neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn
from uuid import UUID

import psycopg

from auditvault.core.errors import AuditvaultError
from auditvault.core.policy.cases import check_case
from auditvault.core.tlog.canonical import JsonValue
from auditvault.ledger.admin.services import admin_log, new_record_id, record_in
from auditvault.ledger.scope import region_alias, tenant_scope

ENTRY_TYPE_MERGED = "subject.merged"
ENTRY_TYPE_SPLIT = "subject.split"


class SubjectUnknownError(AuditvaultError):
    """There is no such subject."""

    code = "subject_unknown"


class SubjectNotAPersonError(AuditvaultError):
    """The tenant's own subject is nobody."""

    code = "subject_not_a_person"


class SubjectStateError(AuditvaultError):
    """The content of one of the subjects is restricted, going or gone."""

    code = "subject_state_conflict"


class SubjectGroupError(AuditvaultError):
    """A group of subjects would become too large, or is not the one that was meant."""

    code = "subject_group_invalid"


@dataclass(frozen=True, slots=True, kw_only=True)
class Linked:
    """What became of a merge or a split."""

    record_id: UUID | None
    """The admin record; None if nothing had to be done."""
    group: tuple[UUID, ...]
    """After a merge, who is one person now; after a split, who stays."""


def merge_subjects(
    *, region: str, tenant_id: UUID, one: UUID, other: UUID, actor: str, case: str
) -> Linked:
    """Make two subjects, and whoever each is one with already, one person.

    `case` refers to what it was decided on. Where they are one already, nothing is done or recorded.

    Raises:
        CaseError, SubjectUnknownError, SubjectNotAPersonError, SubjectStateError, SubjectGroupError:
            refused, and nothing was done or recorded.
    """
    check_case(case)
    log = admin_log(region, tenant_id)
    with tenant_scope(region_alias(region), tenant_id) as connection:
        record_id = new_record_id(connection)
        outcome, first, second = _called(
            connection, "SELECT * FROM vault_merge_subjects(%s, %s, %s)", (one, other, record_id)
        )
        if outcome == "one_already":
            return Linked(record_id=None, group=tuple(first))
        if outcome != "merged":
            _refuse(outcome)
        details: dict[str, JsonValue] = {
            "one": _texts(first),
            "other": _texts(second),
            "actor": actor,
            "case": case,
        }
        record_in(connection, log, record_id=record_id, action=ENTRY_TYPE_MERGED, details=details)
    return Linked(record_id=record_id, group=tuple(sorted((*first, *second))))


def split_subjects(
    *, region: str, tenant_id: UUID, leaving: Sequence[UUID], actor: str, case: str
) -> Linked:
    """Take subjects out of their group; those that leave together stay one person with each other.

    Raises:
        CaseError, SubjectUnknownError, SubjectStateError, SubjectGroupError:
            refused, and nothing was done or recorded.
    """
    check_case(case)
    log = admin_log(region, tenant_id)
    leaving = sorted(set(leaving))
    with tenant_scope(region_alias(region), tenant_id) as connection:
        record_id = new_record_id(connection)
        outcome, staying = _called(
            connection, "SELECT * FROM vault_split_subjects(%s, %s)", (leaving, record_id)
        )
        if outcome != "split":
            _refuse(outcome)
        details: dict[str, JsonValue] = {
            "left": _texts(leaving),
            "stayed": _texts(staying),
            "actor": actor,
            "case": case,
        }
        record_in(connection, log, record_id=record_id, action=ENTRY_TYPE_SPLIT, details=details)
    return Linked(record_id=record_id, group=tuple(staying))


def group_of(connection: psycopg.Connection[Any], tenant_id: UUID, subject_id: UUID) -> list[UUID]:
    """Every subject that is one person with this one, itself included.

    Whoever acts on a person acts on all of them. Who erases calls `vault_lock_groups` first, in the same transaction.
    """
    rows = connection.execute(
        "SELECT vault_subject_group(%s, %s) ORDER BY 1", (tenant_id, subject_id)
    ).fetchall()
    return [row[0] for row in rows]


def records_of_person(
    connection: psycopg.Connection[Any], tenant_id: UUID, subject_id: UUID, limit: int
) -> list[UUID]:
    """Records of everybody who is one person with this subject, newest first."""
    group = group_of(connection, tenant_id, subject_id)
    rows = connection.execute(
        "SELECT record_id FROM vault_object WHERE subject_id = ANY(%s)"
        " UNION SELECT record_id FROM vault_record WHERE subject_id = ANY(%s)"
        " ORDER BY record_id DESC LIMIT %s",
        (group, group, limit),
    ).fetchall()
    return [row[0] for row in rows]


def objects_of_group(
    connection: psycopg.Connection[Any], group: Sequence[UUID], limit: int
) -> list[tuple[UUID, UUID]]:
    """Object and record of up to `limit` contents of these subjects, in no order; what was erased is not there."""
    return connection.execute(
        "SELECT object_id, record_id FROM vault_object WHERE subject_id = ANY(%s) LIMIT %s",
        (list(group), limit),
    ).fetchall()


def names_of_group(
    connection: psycopg.Connection[Any], group: Sequence[UUID]
) -> list[tuple[str, bytes]]:
    """Kind and keyed tag of everything that leads to these subjects."""
    rows = connection.execute(
        "SELECT kind, tag FROM vault_identifier WHERE subject_id = ANY(%s)", (list(group),)
    ).fetchall()
    return [(kind, bytes(tag)) for kind, tag in rows]


def _called(
    connection: psycopg.Connection[Any], statement: str, values: tuple[object, ...]
) -> tuple[Any, ...]:
    row: tuple[Any, ...] | None = connection.execute(statement.encode(), values).fetchone()
    if row is None:
        raise RuntimeError("these functions give one row")
    return row


def _refuse(outcome: str) -> NoReturn:
    error, message = _REFUSALS[outcome]
    raise error(message)


_REFUSALS: dict[str, tuple[type[AuditvaultError], str]] = {
    "unknown": (
        SubjectUnknownError,
        "There is no such subject of this tenant in this region. `auditvault subject show` says who there is.",
    ),
    "not_a_person": (
        SubjectNotAPersonError,
        "The tenant's own subject is nobody, and cannot be one with somebody.",
    ),
    "state": (
        SubjectStateError,
        "One of them is restricted, being erased or erased. Lift the restriction, or leave them apart.",
    ),
    "too_many": (SubjectGroupError, "A person has at most 1,000 subjects."),
    "not_merged": (
        SubjectGroupError,
        "They are not all one person, so there is nothing to split. `auditvault subject show` says who is.",
    ),
    "nobody_stays": (SubjectGroupError, "That is the whole group. Name only those that leave it."),
}


def _texts(subjects: Sequence[UUID]) -> list[JsonValue]:
    return [str(subject_id) for subject_id in subjects]
