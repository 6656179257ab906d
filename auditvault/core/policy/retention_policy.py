"""Retention policies: how long what is kept, under which law at least, and never without an end.

Format and rules: docs/spec/retention-policy.md. A *rule* says for how long records that it is for are kept, and when
they are gone at the latest; of several, the most specific one is in force. A *floor* is a law's minimum: all that fit a
record hold, and none is outdone by a rule that is more specific, so no policy is read in which a record's rule ends
before one of its floors. What becomes of one record is in `retention`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from hashlib import sha256
from itertools import product
from typing import Any, ClassVar
from uuid import UUID

from auditvault.core.errors import AuditvaultError
from auditvault.core.policy.calendar import Period, PeriodError, never_shorter
from auditvault.core.tlog.strict_json import StrictJsonError, check_keys, parse_object

POLICY_VERSION = "auditvault/retention-policy/1"
MAX_POLICY_SIZE = 262_144
MAX_ITEMS = 100
"""Rules, and floors, of one policy."""
_MIN_TEXT = 15
_NAME = re.compile(r"[a-z][a-z0-9_]{0,30}")
_ORDER = re.compile(r"[A-Z][A-Z0-9-]{0,15}")
_FIELDS = ("tenant_id", "region", "data_class", "trace_type")
_SCOPE_KEYS = frozenset({"tenant", "region", "data_class", "trace_type"})


class RetentionPolicyError(AuditvaultError):
    """Bytes are no retention policy, or one that must not be in force."""

    code: ClassVar[str] = "retention_policy_malformed"


class BelowFloorError(RetentionPolicyError):
    """Records would go before a law lets them."""

    code: ClassVar[str] = "retention_below_floor"


class UnclassifiedError(AuditvaultError):
    """A record is of no class that the policy knows, so nobody would know when it goes."""

    code: ClassVar[str] = "record_unclassified"


class RecordClass(StrEnum):
    """What a record is. Each has a rule in every policy."""

    HEADER = "header"
    PAYLOAD = "payload"
    ACCESS_RECORD = "access_record"
    ADMIN_RECORD = "admin_record"
    DISCLOSURE = "disclosure"
    RIGHTS_REQUEST = "rights_request"
    HOLD_FILE = "hold_file"
    DOCUMENT = "document"


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What of a record decides on its retention; `data_class` and `trace_type` are None where it has none."""

    record_class: RecordClass
    tenant_id: UUID
    region: str
    data_class: str | None = None
    trace_type: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Which records something is for; None stands for all."""

    record_class: RecordClass
    tenant_id: UUID | None = None
    region: str | None = None
    data_class: str | None = None
    trace_type: str | None = None

    def covers(self, facts: Facts) -> bool:
        """Whether the record is among them."""
        return self.record_class is facts.record_class and all(
            bound is None or bound == value for bound, value in self._beside(facts)
        )

    def contains(self, other: Scope) -> bool:
        """Whether every record of `other` is among them."""
        return self.record_class is other.record_class and all(
            bound is None or bound == value for bound, value in self._beside(other)
        )

    def meets(self, other: Scope) -> Scope | None:
        """The scope of records that are in both; None where there can be none."""
        pairs = list(self._beside(other))
        if self.record_class is not other.record_class or any(
            one is not None and two is not None and one != two for one, two in pairs
        ):
            return None
        both = {
            name: one if one is not None else two
            for name, (one, two) in zip(_FIELDS, pairs, strict=True)
        }
        return Scope(record_class=self.record_class, **both)

    def specificity(self) -> tuple[int, ...]:
        """Orders scopes: whichever binds more is greater; among equals tenant, region, data class, trace type."""
        bound = [int(getattr(self, name) is not None) for name in _FIELDS]
        return (sum(bound), *bound)

    def _beside(self, other: Scope | Facts) -> Iterator[tuple[Any, Any]]:
        return ((getattr(self, name), getattr(other, name)) for name in _FIELDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """How long records are kept."""

    scope: Scope
    keep: Period
    ceiling: Period
    """By when they are gone, whatever stood in the way that is no floor and no hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """A law's minimum."""

    scope: Scope
    at_least: Period
    legal_order: str
    """Whose law it is, such as EU or US; CONTRACT for what is no law."""
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionPolicy:
    """A policy that holds together; making one that does not raises RetentionPolicyError or BelowFloorError."""

    text: str
    """What was decided, in words."""
    rules: tuple[Rule, ...]
    floors: tuple[Floor, ...] = ()
    lapses_on: date | None = None
    """The first day on which it is not in force any more: then nothing is deleted, and somebody is told."""
    sha256: str = ""
    """Of the document's bytes, in hex; empty for one that was not read."""

    def __post_init__(self) -> None:
        _check_rules(self.rules)
        for rule in self.rules:
            for floor in self.floors:
                self._check_floor(rule, floor)

    @classmethod
    def parse(cls, data: bytes) -> RetentionPolicy:
        """Read a policy; raises RetentionPolicyError unless it is one to the letter, BelowFloorError."""
        if len(data) > MAX_POLICY_SIZE:
            raise RetentionPolicyError("A retention policy has at most 256 KiB.")
        try:
            members = parse_object(data)
            check_keys(members, required={"v", "text", "rules"}, optional={"floors", "lapses_on"})
            if members["v"] != POLICY_VERSION:
                raise RetentionPolicyError(f"A retention policy's v is {POLICY_VERSION}.")
            return cls(
                text=_words(members["text"]),
                rules=tuple(map(_rule, _items(members["rules"]))),
                floors=tuple(map(_floor, _items(members.get("floors", [])))),
                lapses_on=_day(members.get("lapses_on")),
                sha256=sha256(data).hexdigest(),
            )
        except (StrictJsonError, PeriodError) as error:
            raise RetentionPolicyError(f"The retention policy is none: {error.message}") from error

    def rule_for(self, facts: Facts) -> Rule:
        """The most specific rule that covers the record; raises UnclassifiedError where none does."""
        found = [rule for rule in self.rules if rule.scope.covers(facts)]
        if not found:
            raise UnclassifiedError("The record is of no class that the policy knows.")
        return max(found, key=lambda rule: rule.scope.specificity())

    def floors_for(self, facts: Facts) -> list[Floor]:
        """Every minimum that holds for the record."""
        return [floor for floor in self.floors if floor.scope.covers(facts)]

    def _check_floor(self, rule: Rule, floor: Floor) -> None:
        both = rule.scope.meets(floor.scope)
        if both is None or never_shorter(rule.keep, floor.at_least):
            return
        # A more specific rule may have all of these records to itself; then this one is not asked.
        outranked = any(
            other.scope.contains(both) and other.scope.specificity() > rule.scope.specificity()
            for other in self.rules
        )
        if not outranked:
            raise BelowFloorError(
                f"{both.record_class.value} would be kept for {rule.keep}, and {floor.source} asks for "
                f"{floor.at_least}. Periods are compared by the calendar: {rule.keep} must never be the shorter."
            )


def shortened(old: RetentionPolicy | None, new: RetentionPolicy) -> list[Facts]:
    """Sorts of records that `new` lets go earlier than `old` did, or protects by less; empty where there are none.

    Without an old policy nothing went, so everything goes earlier. A record of which nothing is known but what a rule
    of each policy asks for is enough: whatever else covers it covers all that both rules do.
    """
    if old is None:
        return [_sort_of(rule.scope) for rule in new.rules]
    earlier = [
        facts
        for before, after in product(old.rules, new.rules)
        if not never_shorter(after.keep, before.keep)
        and (both := before.scope.meets(after.scope)) is not None
        and old.rule_for(facts := _sort_of(both)) == before
        and new.rule_for(facts) == after
    ]
    unprotected = [
        facts
        for floor in old.floors
        if not _is_protected(facts := _sort_of(floor.scope), by=new, like=floor)
    ]
    return list(dict.fromkeys([*earlier, *unprotected]))


def _is_protected(facts: Facts, *, by: RetentionPolicy, like: Floor) -> bool:
    return any(
        floor.legal_order == like.legal_order and never_shorter(floor.at_least, like.at_least)
        for floor in by.floors_for(facts)
    )


_NO_TENANT, _NO_REGION = UUID(int=(1 << 128) - 1), "*"  # of a record that no scope names


def _sort_of(scope: Scope) -> Facts:
    """A record of the scope that nothing covers which asks for more."""
    return Facts(
        record_class=scope.record_class,
        tenant_id=scope.tenant_id or _NO_TENANT,
        region=scope.region or _NO_REGION,
        data_class=scope.data_class,
        trace_type=scope.trace_type,
    )


def _check_rules(rules: Iterable[Rule]) -> None:
    seen: set[Scope] = set()
    for rule in rules:
        if rule.scope in seen:
            raise RetentionPolicyError("Two rules are for the same records.")
        seen.add(rule.scope)
        if not never_shorter(rule.ceiling, rule.keep):
            raise RetentionPolicyError(
                f"{rule.scope.record_class.value}: the ceiling {rule.ceiling} can come before {rule.keep} are over."
            )
    missing = [each.value for each in RecordClass if Scope(record_class=each) not in seen]
    if missing:
        raise RetentionPolicyError(
            f"No class is without an end: give a rule for all of {', '.join(missing)}."
        )


def _rule(members: Any) -> Rule:
    _check_item(members, {"record_class", "keep", "ceiling"})
    return Rule(
        scope=_scope(members),
        keep=Period.parse(_text(members["keep"])),
        ceiling=Period.parse(_text(members["ceiling"])),
    )


def _floor(members: Any) -> Floor:
    _check_item(members, {"record_class", "at_least", "legal_order", "source"})
    order = _text(members["legal_order"])
    if not _ORDER.fullmatch(order):
        raise RetentionPolicyError("A legal order is 1 to 16 of A-Z 0-9 -, such as EU.")
    return Floor(
        scope=_scope(members),
        at_least=Period.parse(_text(members["at_least"])),
        legal_order=order,
        source=_words(members["source"], least=5),
    )


def _check_item(members: Any, required: set[str]) -> None:
    if not isinstance(members, dict):
        raise RetentionPolicyError("A rule and a floor are objects.")
    check_keys(members, required=required, optional=_SCOPE_KEYS)


def _scope(members: Mapping[str, Any]) -> Scope:
    if members["record_class"] not in list(RecordClass):
        raise RetentionPolicyError(
            f"A record class is one of: {', '.join(each.value for each in RecordClass)}."
        )
    return Scope(
        record_class=RecordClass(members["record_class"]),
        tenant_id=_tenant(members.get("tenant")),
        **{name: _name(members.get(name)) for name in ("region", "data_class", "trace_type")},
    )


def _tenant(value: Any) -> UUID | None:
    if value is None:
        return None
    try:
        return UUID(_text(value))
    except ValueError:
        raise RetentionPolicyError("A tenant is given by its id.") from None


def _name(value: Any) -> str | None:
    if value is not None and not _NAME.fullmatch(_text(value)):
        raise RetentionPolicyError(
            "A region, data class or trace type is a lower-case letter, then up to 30 of a-z 0-9 _"
        )
    return value if value is None else _text(value)


def _day(value: Any) -> date | None:
    if value is None:
        return None
    try:
        return date.fromisoformat(_text(value))
    except ValueError:
        raise RetentionPolicyError("A day is written as 2027-01-31.") from None


def _items(value: Any) -> list[Any]:
    if not isinstance(value, list) or len(value) > MAX_ITEMS:
        raise RetentionPolicyError(f"Rules, and floors, are a list of at most {MAX_ITEMS}.")
    return value


def _words(value: Any, least: int = _MIN_TEXT) -> str:
    text = _text(value).strip()
    if len(text) < least:
        raise RetentionPolicyError(
            f"What was decided, or where it stands, is said in at least {least} characters."
        )
    return text


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise RetentionPolicyError("A member that is a text is meant.")
    return value
