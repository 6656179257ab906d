"""What a retention policy would let go on a day, by class, inside a scope of the tenant. Nothing is changed.

Payloads and headers are counted. What several records of a subject refer to is stored, and counted, with the first of
them. Days are those of UTC.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any, NamedTuple
from uuid import UUID

import psycopg

from auditvault.core.ids import instant_of
from auditvault.core.policy.retention_policy import Facts, RecordClass, RetentionPolicy
from auditvault.core.policy.retention_run import due_before

_ID_TIME_SHIFT = 80  # a UUIDv7 begins with its milliseconds


@dataclass(frozen=True, slots=True, kw_only=True)
class DueClass:
    """Records of one class that are past their time."""

    record_class: RecordClass
    data_class: str | None
    due: int
    held: int
    """Of those that are due: they stay."""
    bytes: int
    """Of the rows' own contents; pieces of large contents are not in it."""
    oldest_at: datetime
    newest_at: datetime


def preview(
    connection: psycopg.Connection[Any],
    policy: RetentionPolicy,
    *,
    tenant_id: UUID,
    region: str,
    today: date,
) -> list[DueClass]:
    """What is past its time on that day; raises PolicyLapsedError."""
    headers = Facts(record_class=RecordClass.HEADER, tenant_id=tenant_id, region=region)
    rows = connection.execute(
        "SELECT * FROM retention_preview(%s, %s, %s::text[], %s::uuid[])",
        (
            first_id(due_before(policy, headers, today=today)),
            *payload_cuts(policy, tenant_id=tenant_id, region=region, today=today),
        ),
    ).fetchall()
    return [
        DueClass(
            record_class=RecordClass(record_class),
            data_class=data_class,
            due=due,
            held=held,
            bytes=size,
            oldest_at=instant_of(oldest),
            newest_at=instant_of(newest),
        )
        for record_class, data_class, due, held, size, oldest, newest in rows
    ]


class Cuts(NamedTuple):
    """What contents are past their time on a day: those of records that come before an id."""

    others: UUID
    """For data classes that no rule and no floor names."""
    classes: list[str]
    before: list[UUID]
    """For each of `classes`."""


def payload_cuts(policy: RetentionPolicy, *, tenant_id: UUID, region: str, today: date) -> Cuts:
    """Where contents that are due end; raises PolicyLapsedError."""

    def before(data_class: str | None) -> UUID:
        facts = Facts(
            record_class=RecordClass.PAYLOAD,
            tenant_id=tenant_id,
            region=region,
            data_class=data_class,
        )
        return first_id(due_before(policy, facts, today=today))

    classes = sorted(_data_classes(policy))
    return Cuts(before(None), classes, [before(each) for each in classes])


def due_counts(found: Iterable[DueClass]) -> dict[str, int]:
    """How many are due of each record class; of those that have none, nothing is said."""
    counts: dict[str, int] = {}
    for each in found:
        counts[each.record_class.value] = counts.get(each.record_class.value, 0) + each.due
    return counts


def first_id(day: date) -> UUID:
    """The least id that a record of that day can have."""
    milliseconds = int(datetime.combine(day, time(), UTC).timestamp()) * 1000
    return UUID(int=max(milliseconds, 0) << _ID_TIME_SHIFT)


def _data_classes(policy: RetentionPolicy) -> set[str]:
    scopes = [rule.scope for rule in policy.rules] + [floor.scope for floor in policy.floors]
    return {scope.data_class for scope in scopes if scope.data_class is not None}
