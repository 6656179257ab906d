"""May the beginning of a log go, and how much of it: the written policy, the clocks, contents and holds.

Pure: takes what was found at the edge, and returns a minimum or raises. Nothing is pruned without a policy, nothing
younger than the policy's age by the entries' own times, and nothing on a clock that cannot be trusted (design rule 8).
Format of the policy file: docs/spec/prune.md section 1.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from auditvault.core.clock import ClockState
from auditvault.core.errors import AuditvaultError
from auditvault.core.tlog.strict_json import StrictJsonError, check_keys, parse_object

POLICY_VERSION = "auditvault/prune-policy/1"
MAX_POLICY_SIZE = 65_536
_KINDS = frozenset({"interactions", "access", "admin"})
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_MAX_DAYS = 36_500
_MIN_TEXT = 15


class PrunePolicyError(AuditvaultError):
    """Bytes are no prune policy, or one that says nothing about this kind of log."""

    code = "prune_policy_malformed"


class PruneClockError(AuditvaultError):
    """A clock cannot be trusted, so nothing is old enough."""

    code = "prune_clock_untrusted"


class PruneContentRemainsError(AuditvaultError):
    """Sealed content of a record that would go is still there."""

    code = "prune_content_remains"


class PruneHeldError(AuditvaultError):
    """A legal hold covers something that would go."""

    code = "prune_held"


@dataclass(frozen=True, slots=True, kw_only=True)
class PrunePolicy:
    """A written policy, as read."""

    policy_id: str
    text: str
    """What was decided, in words."""
    min_age: Mapping[str, timedelta]
    """Kind of log -> how old an entry is before it may go. A kind that is not named is not pruned."""
    sha256: str
    """Of the file's bytes, in hex."""

    @classmethod
    def parse(cls, data: bytes) -> PrunePolicy:
        """Read a policy file; raises PrunePolicyError unless it is one to the letter."""
        if len(data) > MAX_POLICY_SIZE:
            raise PrunePolicyError("A prune policy has at most 64 KiB.")
        try:
            members = parse_object(data)
            check_keys(members, required={"v", "id", "text", "min_age_days"})
        except StrictJsonError as error:
            raise PrunePolicyError(f"The prune policy is none: {error.message}.") from error
        if members["v"] != POLICY_VERSION:
            raise PrunePolicyError("Not a prune policy of version 1.")
        if not _is_text(members["id"]) or not _NAME.fullmatch(members["id"]):
            raise PrunePolicyError("A policy's id is 1 to 64 characters of A-Z a-z 0-9 . _ -")
        if not _is_text(members["text"]) or len(members["text"].strip()) < _MIN_TEXT:
            raise PrunePolicyError(
                "A policy says in words, at least 15 characters, what was decided."
            )
        return cls(
            policy_id=members["id"],
            text=members["text"],
            min_age=_ages(members["min_age_days"]),
            sha256=sha256(data).hexdigest(),
        )

    def cutoff(self, kind: str, now: datetime) -> datetime:
        """The instant up to which entries of such a log may go; raises PrunePolicyError for a kind not named."""
        if kind not in self.min_age:
            raise PrunePolicyError(
                f"The policy does not say that logs of kind {kind!r} are pruned."
            )
        return now - self.min_age[kind]


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldFindings:
    """Where holds were looked for, and how many are in the way."""

    sources: tuple[str, ...]
    blocking: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LogState:
    """What a log is like when it is to be pruned."""

    minimum: int
    """The first entry that is there."""
    signed_size: int
    """Entries that a signed checkpoint covers."""
    partition_entries: int
    """Only whole partitions go."""


def check_clocks(state: ClockState, *, now: datetime, last_at: datetime | None) -> None:
    """Raise PruneClockError where the host and the database disagree, or the log is ahead of the database."""
    if state.disagrees:
        raise PruneClockError("This host's clock disagrees with the database's. Mend that first.")
    if last_at is not None and last_at > now:
        raise PruneClockError(
            "The log has entries from after the database's present. Mend its clock."
        )


def new_minimum(log: LogState, *, cutoff: datetime, time_of: Callable[[int], datetime]) -> int:
    """The greatest partition border with nothing before it that is younger than the cutoff.

    `time_of` gives an entry's own time; times never go back in a log. Returns the log's minimum where nothing may go.
    """
    per = log.partition_entries
    low, high = log.minimum // per, log.signed_size // per
    while low < high:
        middle = (low + high + 1) // 2
        if time_of(middle * per - 1) <= cutoff:
            low = middle
        else:
            high = middle - 1
    return max(low * per, log.minimum)


def check_release(*, contents: int, holds: HoldFindings) -> None:
    """Raise PruneHeldError or PruneContentRemainsError where something is in the way; a hold comes first."""
    if holds.blocking:
        raise PruneHeldError(f"{holds.blocking} legal hold(s) cover entries that would go.")
    if contents:
        raise PruneContentRemainsError(
            f"{contents} sealed content(s) of entries that would go are still there. "
            "Contents go first, by retention or erasure."
        )


def _ages(value: Any) -> Mapping[str, timedelta]:
    if not isinstance(value, dict) or not value or value.keys() - _KINDS:
        raise PrunePolicyError("min_age_days names interactions, access or admin, and no other.")
    for days in value.values():
        if type(days) is not int or not 1 <= days <= _MAX_DAYS:
            raise PrunePolicyError("An age is 1 to 36,500 whole days.")
    return {kind: timedelta(days=days) for kind, days in value.items()}


def _is_text(value: Any) -> bool:
    return isinstance(value, str)
