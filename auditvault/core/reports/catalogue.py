"""Which reports there are: the act that each needs, the filters that it takes, its columns, and the logs that it reads.

A column's name is never reused for something else. What a report looks up is left to `auditvault.evidence.reports`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, ClassVar, Protocol

from auditvault.core.errors import AuditvaultError
from auditvault.core.policy.access import PurposeCode
from auditvault.core.policy.cases import CaseError, check_case
from auditvault.core.policy.roles import Act
from auditvault.core.tlog.canonical import JsonValue

DORMANT_DAYS = 30
MAX_DAYS = 3660
_YEARS = (2000, 2199)
_ACTOR = re.compile(r"user:[0-9a-f]{32}|token:[0-9a-f]{12}|operator:[a-z]{1,32}")
_WORD = re.compile(r"[a-z][a-z0-9_:-]{0,39}")
_TARGET = re.compile(r"tag:[0-9a-f]{64}")


class ReportUnknownError(AuditvaultError):
    """There is no report of that name."""

    code: ClassVar[str] = "report_unknown"


class ReportFilterError(AuditvaultError):
    """A filter does not exist, is not this report's, or has no such value."""

    code: ClassVar[str] = "report_filter_invalid"


class ReportName(StrEnum):
    """The reports; names are stable."""

    CONTENT_ACCESS = "content_access"
    DORMANT_RIGHTS = "dormant_rights"
    LEAVERS = "leavers"
    CONFLICTING_RIGHTS = "conflicting_rights"
    EXPIRED_RIGHTS = "expired_rights"
    GRANTS = "grants"
    LOOKS = "looks"
    BREAK_GLASS = "break_glass"
    DENIALS = "denials"
    EVIDENCE_ACTS = "evidence_acts"
    REVIEWS = "reviews"
    SUBJECT_LOOKS = "subject_looks"


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What a report or a page of access records is narrowed to; None where it is not."""

    recorded_from: datetime | None = None
    recorded_before: datetime | None = None
    actor: str | None = None
    """As in records: `user:` and a public id, `token:` and a public id, `operator:cli`."""
    action: str | None = None
    outcome: str | None = None
    purpose_code: str | None = None
    case: str | None = None
    role: str | None = None
    target: str | None = None
    """A lookup tag, `tag:<hex>`."""
    days: int | None = None
    """For how long a right was not used."""

    def as_values(self) -> dict[str, Any]:
        """Name -> value of each, None included."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    def given(self) -> dict[str, JsonValue]:
        """Those that are set, as they stand in a footer: instants in UTC."""
        found: dict[str, JsonValue] = {}
        for name, value in self.as_values().items():
            if isinstance(value, datetime):
                found[name] = value.astimezone(UTC).isoformat()
            elif value is not None:
                found[name] = value
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One report."""

    acts: tuple[Act, ...]
    """Whoever may do any of these may run it."""
    columns: tuple[str, ...]
    filters: frozenset[str] = frozenset()
    logs: tuple[str, ...] = ()
    """Kinds of the tenant's logs whose records are in it."""
    days: int | None = None
    """The period where none is given, up to now; None: from the beginning."""
    most_days: int | None = None
    """The longest period."""


_RIGHTS = (Act.READ_ACCESS_LOG, Act.GRANT_ROLES)
_RECORDS = (Act.READ_ACCESS_LOG,)
_PERIOD = frozenset({"recorded_from", "recorded_before"})
_HOLDER = ("human", "actor", "username")

CATALOGUE: dict[ReportName, Rule] = {
    ReportName.CONTENT_ACCESS: Rule(
        acts=_RIGHTS,
        columns=(
            *_HOLDER,
            "region",
            "role",
            "representation",
            "through",
            "held_since",
            "given_by",
            "case",
            "blocked_by",
            "live_grants",
        ),
        logs=("admin",),
    ),
    ReportName.DORMANT_RIGHTS: Rule(
        acts=_RIGHTS,
        columns=(
            *_HOLDER,
            "region",
            "role",
            "through",
            "held_since",
            "last_act_at",
            "last_seen_at",
            "days_unused",
        ),
        filters=frozenset({"days"}),
        logs=("access", "admin"),
    ),
    ReportName.LEAVERS: Rule(
        acts=_RIGHTS,
        columns=(*_HOLDER, "region", "role", "through", "last_seen_at", "why"),
    ),
    ReportName.CONFLICTING_RIGHTS: Rule(
        acts=_RIGHTS, columns=("human", "actors", "usernames", "rule", "acts", "roles", "why")
    ),
    ReportName.EXPIRED_RIGHTS: Rule(
        acts=_RIGHTS, columns=(*_HOLDER, "region", "role", "through", "expired_at")
    ),
    ReportName.GRANTS: Rule(
        acts=_RECORDS,
        days=90,
        columns=(
            "grant",
            "actor",
            "username",
            "case",
            "purpose_codes",
            "scope",
            "approver",
            "approver_username",
            "starts_at",
            "expires_at",
            "revoked_at",
            "revoked_by",
            "live",
            "contents_seen",
        ),
        filters=_PERIOD | {"actor", "case"},
        logs=("admin",),
    ),
    ReportName.LOOKS: Rule(
        acts=_RECORDS,
        days=90,
        most_days=366,
        columns=(
            "actor",
            "username",
            "case",
            "purpose_codes",
            "looks",
            "objects",
            "first_at",
            "last_at",
            "objects_of_person",
            "z_of_persons",
            "busiest_day",
            "objects_that_day",
            "z_of_own_days",
            "outlier",
        ),
        filters=_PERIOD | {"actor", "case", "purpose_code"},
        logs=("access",),
    ),
    ReportName.BREAK_GLASS: Rule(
        acts=_RECORDS,
        days=90,
        columns=(
            "recorded_at",
            "actor",
            "username",
            "role",
            "case",
            "what",
            "objects",
            "break_glass",
            "review",
            "due_at",
            "reviewer",
            "record",
        ),
        filters=_PERIOD | {"actor", "case"},
        logs=("access",),
    ),
    ReportName.DENIALS: Rule(
        acts=_RECORDS,
        days=90,
        columns=("recorded_at", "actor", "username", "action", "refused_with", "target", "record"),
        filters=_PERIOD | {"actor", "action", "target"},
        logs=("access",),
    ),
    ReportName.EVIDENCE_ACTS: Rule(
        acts=_RECORDS,
        days=90,
        columns=("recorded_at", "actor", "username", "action", "outcome", "what", "record"),
        filters=_PERIOD | {"actor"},
        logs=("access",),
    ),
    ReportName.REVIEWS: Rule(
        acts=_RIGHTS,
        columns=(
            "quarter",
            "state",
            "due_at",
            "opened_at",
            "signed_at",
            "signed_by",
            "lines",
            "to_remove",
            "still_held",
            "list_sha256",
        ),
        logs=("admin",),
    ),
    ReportName.SUBJECT_LOOKS: Rule(
        acts=(Act.REPORT_TO_SUBJECT,),
        columns=("recorded_at", "what", "purpose_code", "role", "contents", "actor", "username"),
        filters=_PERIOD,
        logs=("access",),
    ),
}


def report_named(name: str) -> ReportName:
    """The report of that name; raises ReportUnknownError."""
    if name not in set(ReportName):
        raise ReportUnknownError(f"There is no such report. There are: {', '.join(ReportName)}.")
    return ReportName(name)


def read_filters(given: Mapping[str, object], *, allowed: frozenset[str]) -> Filters:
    """Filters as somebody typed them; raises ReportFilterError, which repeats no value."""
    unknown = sorted(set(given) - allowed)
    if unknown:
        choice = ", ".join(sorted(allowed)) or "none"
        raise ReportFilterError(f"Filters that can be given here: {choice}.")
    values = {name: _READERS[name](name, value) for name, value in given.items()}
    found = Filters(**values)  # type: ignore[arg-type]
    if (
        found.recorded_from is not None
        and found.recorded_before is not None
        and found.recorded_from >= found.recorded_before
    ):
        raise ReportFilterError("recorded_from must be before recorded_before.")
    return found


def with_period(rule: Rule, filters: Filters, now: datetime) -> Filters:
    """The filters with the report's period where none was given; raises ReportFilterError for one that is too long."""
    if "recorded_before" not in rule.filters:
        return filters
    before = filters.recorded_before or now
    begins = filters.recorded_from
    if begins is None and rule.days is not None:
        begins = before - timedelta(days=rule.days)
    if rule.most_days and begins and before - begins > timedelta(days=rule.most_days):
        raise ReportFilterError(f"The period of this report is up to {rule.most_days} days.")
    return replace(filters, recorded_from=begins, recorded_before=before)


def _instant(name: str, value: object) -> datetime:
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        found = None
    if not isinstance(found, datetime) or found.tzinfo is None:
        raise ReportFilterError(
            f"{name} must be an instant with a zone, such as 2026-11-25T00:00:00Z."
        )
    if not _YEARS[0] <= found.year <= _YEARS[1]:
        raise ReportFilterError(f"{name} is out of range.")
    return found.astimezone(UTC)


class _Reader(Protocol):
    def __call__(self, name: str, value: object, /) -> object: ...


def _matching(pattern: re.Pattern[str], form: str) -> _Reader:
    def read(name: str, value: object) -> str:
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise ReportFilterError(f"{name} must be {form}.")
        return value

    return read


def _case(name: str, value: object) -> str:
    try:
        check_case(value if isinstance(value, str) else "")
    except CaseError as error:
        raise ReportFilterError(f"{name}: {error.message}") from None
    return str(value)


def _days(name: str, value: object) -> int:
    if (
        isinstance(value, str)
        and value.isascii()
        and value.isdigit()
        and len(value) <= len(str(MAX_DAYS))
    ):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MAX_DAYS:
        raise ReportFilterError(f"{name} must be 1 to {MAX_DAYS}.")
    return value


_READERS: dict[str, _Reader] = {
    "recorded_from": _instant,
    "recorded_before": _instant,
    "actor": _matching(_ACTOR, "user:<32 hex>, token:<12 hex> or operator:cli"),
    "action": _matching(_WORD, "an action's name"),
    "outcome": _matching(re.compile("granted|denied"), "granted or denied"),
    "purpose_code": _matching(re.compile("|".join(PurposeCode)), "a purpose code"),
    "case": _case,
    "role": _matching(_WORD, "a role's name"),
    "target": _matching(_TARGET, "tag:<64 hex>"),
    "days": _days,
}
LOG_FILTERS = frozenset(_READERS) - {"days"}
"""What a page of access records can be narrowed to."""
