"""Legal holds: what must stay, whatever else would let it go.

A hold says what it is for in one of six ways. All but one also cover what arrives later; what a query found is a list
of records and stays that list. A hold covers within its scope and nothing beyond (design rule 5). Pure: storage, the
sealed reason and what enforces a hold are left to `auditvault.privacy.holds` and the keyring.
Rules kept: docs/spec/legal-holds.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from hashlib import sha256
from typing import Any, ClassVar, Protocol, TypeAlias
from uuid import UUID

from auditvault.core.errors import AuditvaultError
from auditvault.core.policy.approvals import HumanId, Operation, Plan
from auditvault.core.policy.cases import CaseError, check_case
from auditvault.core.tlog.canonical import JsonValue, canonical_bytes

SCOPE_VERSION = "auditvault/hold-scope/1"
MAX_NAMED = 1000
"""Subjects, traces or cases of one hold."""
MAX_RECORDS = 100_000
_TRACE_ID_SIZE = 16


class HoldScopeError(AuditvaultError):
    """A hold would cover nothing, or names more than one hold can."""

    code: ClassVar[str] = "hold_scope_invalid"


class HoldNotOpenError(AuditvaultError):
    """The hold was released."""

    code: ClassVar[str] = "hold_not_open"


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """What of a record decides whether a hold covers it."""

    tenant_id: UUID
    record_id: UUID
    recorded_at: datetime
    trace_id: bytes | None = None
    subject_ids: frozenset[UUID] = frozenset()
    """Whom its contents belong to or name."""
    cases: frozenset[str] = frozenset()
    """Cases that it was put to."""


class Scope(Protocol):
    """What a hold is for, within its tenant."""

    def covers(self, record: Held) -> bool:
        """Whether it is for the record."""

    def parameters(self) -> dict[str, JsonValue]:
        """Its canonical members."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SubjectScope:
    """Everything that belongs to or names these subjects."""

    subject_ids: frozenset[UUID]

    def __post_init__(self) -> None:
        _check_count(len(self.subject_ids), MAX_NAMED)

    def covers(self, record: Held) -> bool:
        """Whether it belongs to or names one of them."""
        return not self.subject_ids.isdisjoint(record.subject_ids)

    def parameters(self) -> dict[str, JsonValue]:
        """Its canonical members."""
        return {"kind": "subject", "subjects": sorted(map(str, self.subject_ids))}


@dataclass(frozen=True, kw_only=True, slots=True)
class TraceScope:
    """Everything of these traces; ids of 16 bytes."""

    trace_ids: frozenset[bytes]

    def __post_init__(self) -> None:
        _check_count(len(self.trace_ids), MAX_NAMED)
        if any(len(trace_id) != _TRACE_ID_SIZE for trace_id in self.trace_ids):
            raise HoldScopeError("A trace is named by 16 bytes.")

    def covers(self, record: Held) -> bool:
        """Whether it is of one of them."""
        return record.trace_id in self.trace_ids

    def parameters(self) -> dict[str, JsonValue]:
        """Its canonical members."""
        return {"kind": "trace", "traces": sorted(trace_id.hex() for trace_id in self.trace_ids)}


@dataclass(frozen=True, kw_only=True, slots=True)
class CaseScope:
    """Everything that was or will be put to these cases."""

    cases: frozenset[str]

    def __post_init__(self) -> None:
        _check_count(len(self.cases), MAX_NAMED)
        for case in self.cases:
            check_case(case)

    def covers(self, record: Held) -> bool:
        """Whether it was put to one of them."""
        return not self.cases.isdisjoint(record.cases)

    def parameters(self) -> dict[str, JsonValue]:
        """Its canonical members."""
        return {"kind": "case", "cases": sorted(self.cases)}


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordScope:
    """These records: what a query found when the hold was placed, and nothing that came later."""

    record_ids: frozenset[UUID]

    def __post_init__(self) -> None:
        _check_count(len(self.record_ids), MAX_RECORDS)

    def covers(self, record: Held) -> bool:
        """Whether it is one of them."""
        return record.record_id in self.record_ids

    def parameters(self) -> dict[str, JsonValue]:
        """Its canonical members."""
        return {"kind": "records", "records": sorted(map(str, self.record_ids))}


@dataclass(frozen=True, kw_only=True, slots=True)
class PeriodScope:
    """Everything recorded from an instant, up to but not at another; either may be open, not both."""

    recorded_from: datetime | None = None
    recorded_before: datetime | None = None

    def __post_init__(self) -> None:
        start, end = self.recorded_from, self.recorded_before
        if start is None and end is None:
            raise HoldScopeError("A time without beginning and end is the whole tenant: say so.")
        if any(each is not None and each.tzinfo is None for each in (start, end)):
            raise HoldScopeError("An instant has a zone.")
        if start is not None and end is not None and start >= end:
            raise HoldScopeError("A time that ends before it begins covers nothing.")

    def covers(self, record: Held) -> bool:
        """Whether it was recorded then."""
        at = record.recorded_at
        return (self.recorded_from is None or self.recorded_from <= at) and (
            self.recorded_before is None or at < self.recorded_before
        )

    def parameters(self) -> dict[str, JsonValue]:
        """Its canonical members."""
        return {
            "kind": "period",
            "from": _written(self.recorded_from),
            "before": _written(self.recorded_before),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class TenantScope:
    """Everything of the tenant."""

    def covers(self, record: Held) -> bool:  # noqa: ARG002  # every record of the hold's tenant
        """Always."""
        return True

    def parameters(self) -> dict[str, JsonValue]:
        """Its canonical members."""
        return {"kind": "tenant"}


AnyScope: TypeAlias = (
    SubjectScope | TraceScope | CaseScope | RecordScope | PeriodScope | TenantScope
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Hold:
    """A hold of one tenant in one region."""

    hold_id: UUID
    tenant_id: UUID
    region: str
    scope: AnyScope
    placed_by: HumanId
    custodian: HumanId
    """Who answers for it, and is asked at its review."""
    review_on: date
    placed_at: datetime
    released_at: datetime | None = None

    def covers(self, record: Held) -> bool:
        """Whether the record must stay because of it."""
        return (
            self.released_at is None
            and self.tenant_id == record.tenant_id
            and self.scope.covers(record)
        )

    def is_overdue(self, today: date) -> bool:
        """Whether somebody should have looked at it again. It goes on all the same: no hold ends by itself."""
        return self.released_at is None and today >= self.review_on

    def release_plan(self, *, waiting: int) -> Plan:
        """What somebody else has to approve; `waiting` is how many records would be due at once.

        Raises HoldNotOpenError.
        """
        self._check_open()
        return Plan(
            operation=Operation.HOLD_RELEASE,
            tenant_id=self.tenant_id,
            region=self.region,
            parameters={
                "hold": str(self.hold_id),
                "scope": scope_digest(self.scope).hex(),
                "waiting": waiting,
            },
        )

    def release(self, *, now: datetime) -> Hold:
        """The hold, released; an approval of `release_plan` is used in the same transaction. HoldNotOpenError."""
        self._check_open()
        return replace(self, released_at=now)

    def _check_open(self) -> None:
        if self.released_at is not None:
            raise HoldNotOpenError("It was released already.")


def covering(holds: Iterable[Hold], record: Held) -> Iterator[Hold]:
    """Those of `holds` because of which the record must stay."""
    return (hold for hold in holds if hold.covers(record))


def scope_digest(scope: AnyScope) -> bytes:
    """32 bytes that stand for a scope: in entries, and in the plan of its release."""
    body = canonical_bytes({"v": SCOPE_VERSION, **scope.parameters()})
    return sha256(SCOPE_VERSION.encode() + b"\0" + body).digest()


def parse_scope(members: Mapping[str, Any]) -> AnyScope:
    """Read what `parameters` writes; raises HoldScopeError, which repeats nothing of it."""
    try:
        kind = members["kind"]
        if members.keys() != _KEYS[kind]:
            raise HoldScopeError("The hold's scope has members that are not of its kind.")
        return _READERS[kind](members)
    except CaseError as error:
        raise HoldScopeError(error.message) from None
    except (KeyError, TypeError, ValueError, AttributeError):
        raise HoldScopeError("No scope of a hold.") from None


def _check_count(count: int, most: int) -> None:
    if not 1 <= count <= most:
        raise HoldScopeError(f"A hold names 1 to {most:,} of these.")


def _texts(value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise HoldScopeError("A list of texts is meant.")
    return value


def _written(instant: datetime | None) -> str | None:
    """One text for one instant, whatever zone it was said in."""
    return None if instant is None else instant.astimezone(UTC).isoformat()


def _instant(value: Any) -> datetime | None:
    return None if value is None else datetime.fromisoformat(value)


_KEYS = {
    "subject": {"kind", "subjects"},
    "trace": {"kind", "traces"},
    "case": {"kind", "cases"},
    "records": {"kind", "records"},
    "period": {"kind", "from", "before"},
    "tenant": {"kind"},
}
_READERS: dict[str, Callable[[Mapping[str, Any]], AnyScope]] = {
    "subject": lambda m: SubjectScope(subject_ids=frozenset(map(UUID, _texts(m["subjects"])))),
    "trace": lambda m: TraceScope(trace_ids=frozenset(map(bytes.fromhex, _texts(m["traces"])))),
    "case": lambda m: CaseScope(cases=frozenset(_texts(m["cases"]))),
    "records": lambda m: RecordScope(record_ids=frozenset(map(UUID, _texts(m["records"])))),
    "period": lambda m: PeriodScope(
        recorded_from=_instant(m["from"]), recorded_before=_instant(m["before"])
    ),
    "tenant": lambda _: TenantScope(),
}
