"""Grants: content of one case, for one human, narrow, and for hours.

A role says that somebody may be cleared; a grant says what for, now. It is asked for, approved by somebody else
(`approvals`, operation `content_grant`), covers named things and nothing else, and ends by itself. Pure: storage, and
the record of every use, are left to `auditvault.access`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import ClassVar, TypeAlias, TypeVar
from uuid import UUID

from auditvault.core.errors import AuditvaultError
from auditvault.core.policy.access import Purpose, PurposeCode
from auditvault.core.policy.approvals import HumanId
from auditvault.core.tlog.canonical import JsonValue

DEFAULT_LIFETIME = timedelta(hours=8)
MAX_LIFETIME = timedelta(hours=24)
MAX_PERIOD = timedelta(days=31)
MAX_NAMED = 1000
"""Traces, subjects or records that one grant may name."""
GRANT_CODES = frozenset(PurposeCode) - {PurposeCode.BREAK_GLASS}
"""Codes that a grant may be for: who breaks glass has none, and is looked at afterwards."""
_TRACE_ID_SIZE = 16


class GrantScopeError(AuditvaultError):
    """A grant would cover nothing, too much, or for too long."""

    code: ClassVar[str] = "grant_scope_invalid"


class GrantMissingError(AuditvaultError):
    """No live grant of the person's covers what they ask to see."""

    code: ClassVar[str] = "grant_missing"


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """A content that somebody asks to see."""

    record_id: UUID
    trace_id: bytes
    subject_id: UUID
    recorded_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class TraceScope:
    """Contents of these traces."""

    trace_ids: frozenset[bytes]

    def __post_init__(self) -> None:
        _check_named(self.trace_ids)

    def covers(self, target: Target) -> bool:
        """Whether the content is of one of them."""
        return target.trace_id in self.trace_ids

    def parameters(self) -> dict[str, JsonValue]:
        """For the plan that is approved."""
        return {"traces": sorted(trace_id.hex() for trace_id in self.trace_ids)}


@dataclass(frozen=True, kw_only=True, slots=True)
class SubjectScope:
    """Contents of these subjects."""

    subject_ids: frozenset[UUID]

    def __post_init__(self) -> None:
        _check_named(self.subject_ids)

    def covers(self, target: Target) -> bool:
        """Whether the content is of one of them."""
        return target.subject_id in self.subject_ids

    def parameters(self) -> dict[str, JsonValue]:
        """For the plan that is approved."""
        return {"subjects": sorted(map(str, self.subject_ids))}


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordScope:
    """Contents of these records: what a query found when the grant was asked for, and nothing that came later."""

    record_ids: frozenset[UUID]

    def __post_init__(self) -> None:
        _check_named(self.record_ids)

    def covers(self, target: Target) -> bool:
        """Whether the content was brought by one of them."""
        return target.record_id in self.record_ids

    def parameters(self) -> dict[str, JsonValue]:
        """For the plan that is approved."""
        return {"records": sorted(map(str, self.record_ids))}


@dataclass(frozen=True, kw_only=True, slots=True)
class PeriodScope:
    """Contents recorded from an instant, up to but not at another; at most MAX_PERIOD."""

    recorded_from: datetime
    recorded_before: datetime

    def __post_init__(self) -> None:
        length = self.recorded_before - self.recorded_from
        if not timedelta() < length <= MAX_PERIOD:
            raise GrantScopeError(f"A grant's period is up to {MAX_PERIOD.days} days.")

    def covers(self, target: Target) -> bool:
        """Whether the content was recorded in it."""
        return self.recorded_from <= target.recorded_at < self.recorded_before

    def parameters(self) -> dict[str, JsonValue]:
        """For the plan that is approved."""
        return {
            "recorded_from": self.recorded_from.isoformat(),
            "recorded_before": self.recorded_before.isoformat(),
        }


Scope: TypeAlias = TraceScope | SubjectScope | RecordScope | PeriodScope


@dataclass(frozen=True, kw_only=True, slots=True)
class Grant:
    """What one human may see of one case, until when."""

    grant_id: UUID
    human: HumanId
    case: str
    codes: frozenset[PurposeCode]
    scope: Scope
    starts_at: datetime
    expires_at: datetime
    revoked_at: datetime | None = field(default=None)

    def __post_init__(self) -> None:
        _check_codes(self.codes)
        if not timedelta() < self.expires_at - self.starts_at <= MAX_LIFETIME:
            raise GrantScopeError(
                f"A grant lives up to {MAX_LIFETIME // timedelta(hours=1)} hours."
            )

    def is_live(self, now: datetime) -> bool:
        """Whether it has begun, is not over, and was not taken back."""
        return self.starts_at <= now < self.expires_at and (
            self.revoked_at is None or now < self.revoked_at
        )

    def allows(self, *, human: HumanId, purpose: Purpose, target: Target, now: datetime) -> bool:
        """Whether `human` may see `target` under it for `purpose`."""
        return (
            self.human == human
            and self.case == purpose.case
            and purpose.code in self.codes
            and self.is_live(now)
            and self.scope.covers(target)
        )


def grant_for(
    grants: Iterable[Grant], *, human: HumanId, purpose: Purpose, target: Target, now: datetime
) -> Grant:
    """The grant under which `human` sees `target`: of several, the one that ends last.

    Raises GrantMissingError; that says nothing about whether there is such a content, which whoever calls sees to.
    """
    found = [
        grant
        for grant in grants
        if grant.allows(human=human, purpose=purpose, target=target, now=now)
    ]
    if not found:
        raise GrantMissingError(
            "You have no live grant that covers this, for this case and purpose."
        )
    return max(found, key=lambda grant: (grant.expires_at, grant.grant_id))


def _check_codes(codes: frozenset[PurposeCode]) -> None:
    if not codes or not codes <= GRANT_CODES:
        raise GrantScopeError("A grant names at least one purpose code, and never BREAK_GLASS.")


def _check_named(named: frozenset[bytes] | frozenset[UUID]) -> None:
    if not 0 < len(named) <= MAX_NAMED:
        raise GrantScopeError(f"A grant names 1 to {MAX_NAMED} traces, subjects or records.")


def scope_from(parameters: JsonValue) -> Scope:
    """The scope of `Scope.parameters`, as it stands in a plan or as somebody asks for it; raises GrantScopeError."""
    if not isinstance(parameters, dict):
        raise GrantScopeError("A scope is an object.")
    try:
        match sorted(parameters):
            case ["traces"]:
                return TraceScope(trace_ids=_named(parameters["traces"], _trace_id))
            case ["subjects"]:
                return SubjectScope(subject_ids=_named(parameters["subjects"], UUID))
            case ["records"]:
                return RecordScope(record_ids=_named(parameters["records"], UUID))
            case ["recorded_before", "recorded_from"]:
                return PeriodScope(
                    recorded_from=_instant(parameters["recorded_from"]),
                    recorded_before=_instant(parameters["recorded_before"]),
                )
    except (TypeError, ValueError) as error:
        raise GrantScopeError("A scope names traces, subjects or records by id.") from error
    raise GrantScopeError(
        "A scope is one of traces, subjects, records, or recorded_from with recorded_before."
    )


_Named = TypeVar("_Named")


def _named(values: JsonValue, read: Callable[[str], _Named]) -> frozenset[_Named]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise TypeError("not a list of texts")
    return frozenset(read(str(value)) for value in values)


def _trace_id(text: str) -> bytes:
    found = bytes.fromhex(text)
    if len(found) != _TRACE_ID_SIZE:
        raise ValueError("not a trace id")
    return found


def _instant(value: JsonValue) -> datetime:
    found = datetime.fromisoformat(value if isinstance(value, str) else "")
    if found.tzinfo is None:
        raise ValueError("an instant needs a zone")
    return found.astimezone(UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class GrantTerms:
    """What somebody asks to see, before it is approved: the parameters of a plan `content_grant`."""

    case: str
    codes: frozenset[PurposeCode]
    scope: Scope
    lifetime: timedelta = DEFAULT_LIFETIME

    def __post_init__(self) -> None:
        _check_codes(self.codes)
        if not timedelta(minutes=1) <= self.lifetime <= MAX_LIFETIME:
            raise GrantScopeError(
                f"A grant lives from a minute up to {MAX_LIFETIME // timedelta(hours=1)} hours."
            )

    def parameters(self) -> dict[str, JsonValue]:
        """For the plan that is approved."""
        return {
            "case": self.case,
            "codes": sorted(code.value for code in self.codes),
            "scope": self.scope.parameters(),
            "lifetime_seconds": int(self.lifetime.total_seconds()),
        }

    @classmethod
    def parse(cls, parameters: Mapping[str, JsonValue]) -> GrantTerms:
        """The terms of a plan's parameters; raises GrantScopeError."""
        codes, seconds = parameters.get("codes"), parameters.get("lifetime_seconds")
        if not isinstance(codes, list) or not isinstance(seconds, int):
            raise GrantScopeError("A grant names purpose codes, and its lifetime in seconds.")
        try:
            named = frozenset(PurposeCode(str(code)) for code in codes)
            lifetime = timedelta(seconds=seconds)
        except (ValueError, OverflowError) as error:
            raise GrantScopeError("There is no such purpose code or lifetime.") from error
        return cls(
            case=str(parameters.get("case")),
            codes=named,
            scope=scope_from(parameters.get("scope")),
            lifetime=lifetime,
        )

    def grant(self, *, grant_id: UUID, human: HumanId, now: datetime) -> Grant:
        """The grant that is live from `now` on."""
        return Grant(
            grant_id=grant_id,
            human=human,
            case=self.case,
            codes=self.codes,
            scope=self.scope,
            starts_at=now,
            expires_at=now + self.lifetime,
        )
