"""What is to be pruned: which log, under which policy, by clocks that can be trusted, and up to where.

Nothing is changed here. What may stand in the way of a prune that was decided is left to `services`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings

from auditvault.core.clock import compare
from auditvault.core.policy.pruning import (
    LogState,
    PrunePolicy,
    PrunePolicyError,
    check_clocks,
    new_minimum,
)
from auditvault.core.tlog.entry import EntryError, read_fields
from auditvault.core.tlog.log_key import LogKey
from auditvault.core.tlog.merkle import ProofError, verify_consistency
from auditvault.evidence.clock import read_clocks
from auditvault.evidence.pruning import holds
from auditvault.evidence.pruning.anchoring import PruneLogDamagedError, signed_checkpoint
from auditvault.ledger.logs import LogNotFoundError, LogRef, region_logs, tenant_logs
from auditvault.ledger.pruning import (
    EntryPrunedError,
    PruneOrder,
    entry_at,
    minimum_index,
    range_at,
)
from auditvault.ledger.scope import region_alias, tenant_scope
from auditvault.ledger.selectors import consistency, head


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """Which log, under which policy, and whose signatures count."""

    region: str
    log: LogRef
    policy: PrunePolicy
    keys: Sequence[LogKey]
    host_clock: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))


def find_log(region: str, origin: str) -> LogRef:
    """The log of that origin, whosever it is; raises LogNotFoundError."""
    for found in region_logs(region):
        if found.origin == origin:
            logs = tenant_logs(region=region, tenant_id=found.tenant_id)
            return next(log for log in logs if log.origin == origin)
    raise LogNotFoundError("There is no such log in this region.")


def read_policy(path: Path) -> PrunePolicy:
    """The policy in a file; raises PrunePolicyError."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise PrunePolicyError("The prune policy cannot be read.") from error
    return PrunePolicy.parse(data)


def trusted_now(ask: Ask) -> datetime:
    """The database's present, once no clock contradicts it; raises PruneClockError."""
    reading = read_clocks(ask.region, host_clock=ask.host_clock)
    state = compare(reading, None, bound=_skew())
    with tenant_scope(region_alias(ask.region), ask.log.tenant_id) as connection:
        last_at = head(connection, ask.log).last_at
    # The newest entry may have been written since the clock was read.
    check_clocks(state, now=reading.database_at + _skew(), last_at=last_at)
    return reading.database_at.astimezone(UTC)


def _skew() -> timedelta:
    return timedelta(seconds=settings.CLOCK_SKEW_SECONDS)


def _time_of(connection: psycopg.Connection[Any], log: LogRef, index: int) -> datetime:
    """An entry's own time; raises PruneLogDamagedError."""
    try:
        found = read_fields(entry_at(connection, log, index)).recorded_at
    except (EntryError, EntryPrunedError) as error:
        raise PruneLogDamagedError(
            f"Entry {index} is missing or malformed. Verify the log."
        ) from error
    return datetime.fromisoformat(found)


def decide(connection: psycopg.Connection[Any], ask: Ask, now: datetime) -> PruneOrder | None:
    """What is to go; None where nothing is old enough."""
    log, cutoff = ask.log, ask.policy.cutoff(ask.log.kind, now)
    signed = signed_checkpoint(connection, log, ask.keys)
    if signed is None:
        return None
    state = LogState(
        minimum=minimum_index(connection, log),
        signed_size=signed.size,
        partition_entries=log.partition_entries,
    )
    minimum = new_minimum(
        state, cutoff=cutoff, time_of=lambda index: _time_of(connection, log, index)
    )
    if minimum <= state.minimum:
        return None
    try:
        verify_consistency(
            old_size=minimum,
            new_size=signed.size,
            old_root=range_at(connection, log, minimum).root(),
            new_root=signed.root,
            proof=consistency(connection, log, old_size=minimum, new_size=signed.size)
            if minimum < signed.size
            else (),
        )
    except ProofError as error:
        raise PruneLogDamagedError(
            "The log's tiles do not lead to what was signed. Verify it."
        ) from error
    return PruneOrder(
        previous=state.minimum,
        minimum=minimum,
        cutoff=cutoff,
        policy=ask.policy,
        holds=holds.look_for_holds(region=ask.region, log=log, first=state.minimum, end=minimum),
        signed_size=signed.size,
        signed_root=signed.root,
    )
