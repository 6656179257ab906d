"""Pruning a log, step by step (docs/spec/prune.md section 4).

Order, and what a crash leaves behind:

1. Clocks, policy, holds, contents and the signed log are      Crash: nothing.
   looked at.
2. The prune entry and its record are appended in one          Crash before the commit: nothing. After it: a prune is
   transaction; under a policy that is new to the log an       pending, and the log is whole.
   approval is used up there, and an entry names it.
3. The signer, witnesses and the authority anchor the entry;   Crash: as after 2.
   they are only waited for.
4. Everything is looked at again, and the retention role has   Crash before the commit: as after 2. After it: the
   the database drop headers and partitions in one             entries have gone, and `ledger_pruned` says so.
   transaction.

Every run begins at the first step that has not been taken: a prune that is pending is finished, never recorded twice.
What goes is decided in step 2 and not again; whether it may still go is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import psycopg
from django.conf import settings

from auditvault.access.approvals.commands import use_for_command
from auditvault.core.errors import AuditvaultError
from auditvault.core.policy.approvals import Operation, Plan
from auditvault.core.policy.pruning import (
    PruneContentRemainsError,
    PrunePolicyError,
    check_release,
)
from auditvault.core.tlog.commitment import CommitmentMismatchError, verify_header_commitment
from auditvault.core.tlog.entry import EntryError, read_fields
from auditvault.core.tlog.merkle import ProofError
from auditvault.core.tlog.prune import PruneRecord, PruneRecordError
from auditvault.evidence.pruning import holds
from auditvault.evidence.pruning.anchoring import (
    Anchored,
    PruneLogDamagedError,
    missing_anchors,
)
from auditvault.evidence.pruning.planning import Ask, decide, trusted_now
from auditvault.evidence.trust import check_taken_up
from auditvault.ledger.admin.services import admin_log, new_record_id, record_in
from auditvault.ledger.logs import LogNotFoundError
from auditvault.ledger.pruning import (
    PruneOrder,
    StoredPruneRecord,
    minimum_index,
    pending_prune,
    projection,
    prune_records,
    range_at,
    record_prune,
)
from auditvault.ledger.scope import (
    RegionUnavailableError,
    region_alias,
    tenant_scope,
    usable_connection,
)

ENTRY_TYPE_TAKEN_UP = "prune.policy_taken_up"
_REFUSAL = "AV013"
State = Literal["nothing_due", "would_prune", "pending", "pruned"]


class PrunePolicyChangedError(AuditvaultError):
    """A prune that is pending was recorded under another policy file."""

    code = "prune_policy_changed"


class PruneRefusedError(AuditvaultError):
    """The database does not carry the prune out: what was recorded does not agree with the log."""

    code = "prune_refused"


class PruneNotAnchoredError(AuditvaultError):
    """The database knows no signed checkpoint over the prune entry."""

    code = "prune_not_anchored"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a run came to: the entries `previous` to `minimum` - 1 are meant."""

    state: State
    previous: int
    minimum: int
    cutoff: datetime
    entries: int = 0
    headers: int | None = None
    """None where nothing went yet."""
    size_bytes: int = 0
    """Of the partitions."""
    contents: int = 0
    """Sealed contents that are in the way."""
    holds: int = 0
    waiting_for: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Preview:
    entries: int
    contents: int
    size_bytes: int


def preview(ask: Ask) -> Outcome:
    """What a run would do, and what is in the way; nothing is changed."""
    now = trusted_now(ask)
    with tenant_scope(region_alias(ask.region), ask.log.tenant_id, snapshot=True) as connection:
        pending = pending_prune(connection, ask.log)
        if pending is not None:
            waiting = missing_anchors(connection, ask.log, _anchored(ask, pending), ask.keys)
            return _outcome(
                ask, "pending", pending.previous, pending.minimum, pending.cutoff, waiting
            )
        order = decide(connection, ask, now)
    if order is None:
        return _nothing(ask, now)
    return _outcome(ask, "would_prune", order.previous, order.minimum, order.cutoff)


def plan_of_prune(ask: Ask) -> Plan | None:
    """What a run would give up under a policy that is new to the log; None where a run takes no approval."""
    now = trusted_now(ask)
    with tenant_scope(region_alias(ask.region), ask.log.tenant_id, snapshot=True) as connection:
        if pending_prune(connection, ask.log) is not None:
            return None
        order = decide(connection, ask, now)
        return _plan(connection, ask, order) if order is not None else None


def prune(ask: Ask, *, wait: Callable[[], bool], approval_ids: Sequence[UUID] = ()) -> Outcome:
    """Prune as far as the policy allows, or finish what was begun.

    `wait` is asked while an anchor is missing: it waits and returns whether to look again. Of `approval_ids` that of
    `plan_of_prune` is used up. Raises what stands in the way, and as `use_for_command`.
    """
    now = trusted_now(ask)
    with tenant_scope(region_alias(ask.region), ask.log.tenant_id) as connection:
        pending = pending_prune(connection, ask.log)
    if pending is None:
        pending = _record(ask, now, approval_ids)
    if pending is None:
        return _nothing(ask, now)
    _check_pending(ask, pending)
    while missing := _missing(ask, pending):
        if not wait():
            return _outcome(
                ask, "pending", pending.previous, pending.minimum, pending.cutoff, missing
            )
    _check_pending(ask, pending)
    return _carry_out(ask, pending)


def _nothing(ask: Ask, now: datetime) -> Outcome:
    with tenant_scope(region_alias(ask.region), ask.log.tenant_id) as connection:
        minimum = minimum_index(connection, ask.log)
    cutoff = ask.policy.cutoff(ask.log.kind, now)
    return Outcome(state="nothing_due", previous=minimum, minimum=minimum, cutoff=cutoff)


def _record(ask: Ask, now: datetime, approval_ids: Sequence[UUID]) -> StoredPruneRecord | None:
    """Steps 1 and 2."""
    alias = region_alias(ask.region)
    with tenant_scope(alias, ask.log.tenant_id) as connection:
        order = decide(connection, ask, now)
        plan = _plan(connection, ask, order) if order is not None else None
    if order is None:
        return None
    found = _preview(ask, order.previous, order.minimum)
    check_release(contents=found.contents, holds=order.holds)
    of_admin = admin_log(ask.region, ask.log.tenant_id)
    with tenant_scope(alias, ask.log.tenant_id) as connection:
        recorded = record_prune(connection, log=ask.log, order=order)
        if plan is not None:
            said = use_for_command(connection, plan, approval_ids, now=now)
            record_in(
                connection,
                of_admin,
                record_id=new_record_id(connection),
                action=ENTRY_TYPE_TAKEN_UP,
                details={
                    "log": ask.log.origin,
                    "policy": {"id": ask.policy.policy_id, "sha256": ask.policy.sha256},
                    "minimum": order.minimum,
                    "plan": plan.digest().hex(),
                    **said,
                },
            )
        return recorded


def _plan(connection: psycopg.Connection[Any], ask: Ask, order: PruneOrder) -> Plan | None:
    """What is to go; None under the policy of the log's last prune, which somebody has approved then."""
    before = prune_records(connection, ask.log)
    if before and _policy_of(before[-1]) == ask.policy.sha256:
        return None
    return Plan(
        operation=Operation.EARLY_PURGE,
        tenant_id=ask.log.tenant_id,
        region=ask.region,
        parameters={
            "act": "prune",
            "log": ask.log.origin,
            "policy": ask.policy.sha256,
            "previous": order.previous,
            "minimum": order.minimum,
        },
    )


def _policy_of(stored: StoredPruneRecord) -> str | None:
    try:
        return PruneRecord.from_bytes(stored.header).policy_sha256
    except PruneRecordError:
        return None


def _missing(ask: Ask, pending: StoredPruneRecord) -> tuple[str, ...]:
    """Step 3."""
    with tenant_scope(region_alias(ask.region), ask.log.tenant_id) as connection:
        return missing_anchors(connection, ask.log, _anchored(ask, pending), ask.keys)


def _anchored(ask: Ask, pending: StoredPruneRecord) -> Anchored:
    if ask.log.kind not in ask.policy.min_age:
        raise PrunePolicyError(
            f"The policy does not say that logs of kind {ask.log.kind!r} are pruned."
        )
    return Anchored(
        index=pending.index, last_at=pending.last_at, min_age=ask.policy.min_age[ask.log.kind]
    )


def _check_pending(ask: Ask, pending: StoredPruneRecord) -> None:
    """Look at everything again before step 4: it may be long after step 2, and a row is only a row."""
    check_taken_up(ask.region)
    record = _read_pending(ask, pending)
    if record.policy_sha256 != ask.policy.sha256:
        raise PrunePolicyChangedError(
            f"A prune is pending under another policy file, {record.policy_id}. Finish it with that file."
        )
    now = trusted_now(ask)
    if pending.last_at > ask.policy.cutoff(ask.log.kind, now):
        raise PruneRefusedError("The pending prune names entries that are not old enough.")
    held = holds.look_for_holds(
        region=ask.region, log=ask.log, first=pending.previous, end=pending.minimum
    )
    found = _preview(ask, pending.previous, pending.minimum)
    check_release(contents=found.contents, holds=held)


def _read_pending(ask: Ask, pending: StoredPruneRecord) -> PruneRecord:
    """The record, after its entry committed to it and it agreed with the log's own tiles."""
    try:
        entry = read_fields(pending.entry)
        verify_header_commitment(
            entry.commitment,
            opening=pending.opening,
            entry_type=entry.type,
            header_bytes=pending.header,
        )
        record = PruneRecord.from_bytes(pending.header)
        record.check_place(entry)
        tree = record.start().tree
    except (EntryError, CommitmentMismatchError, PruneRecordError, ProofError) as error:
        raise PruneRefusedError(
            "The pending prune's record is not the one that its entry commits to."
        ) from error
    columns = (pending.previous, pending.minimum, pending.last_at, pending.cutoff)
    with tenant_scope(region_alias(ask.region), ask.log.tenant_id) as connection:
        ours = range_at(connection, ask.log, pending.minimum)
    if projection(record) != columns or record.log != ask.log.origin or tree.nodes != ours.nodes:
        raise PruneRefusedError("The pending prune's record does not agree with the log.")
    return record


def _carry_out(ask: Ask, pending: StoredPruneRecord) -> Outcome:
    """Step 4. The connection commits each statement, so that this is all or nothing."""
    try:
        row = (
            _retention(ask)
            .execute(
                "SELECT minimum, entries, headers, size_bytes FROM evidence_prune(%s, %s)",
                (ask.log.log_id, pending.previous),
            )
            .fetchone()
        )
    except psycopg.DatabaseError as error:
        raise _refusal(error) from error
    if row is None:
        raise PruneRefusedError("The database did not say what went.")
    return Outcome(
        state="pruned",
        previous=pending.previous,
        minimum=row[0],
        cutoff=pending.cutoff,
        entries=row[1],
        headers=row[2],
        size_bytes=row[3],
    )


def _refusal(error: psycopg.DatabaseError) -> Exception:
    if error.sqlstate != _REFUSAL:
        return error
    message = f"The database refuses: {error.diag.message_primary}."
    kinds: dict[str, type[AuditvaultError]] = {
        kind.code: kind
        for kind in (PruneContentRemainsError, PruneLogDamagedError, PruneNotAnchoredError)
    }
    return kinds.get(error.diag.message_detail or "", PruneRefusedError)(message)


def _outcome(
    ask: Ask,
    state: State,
    previous: int,
    minimum: int,
    cutoff: datetime,
    waiting_for: tuple[str, ...] = (),
) -> Outcome:
    found = _preview(ask, previous, minimum)
    held = holds.look_for_holds(region=ask.region, log=ask.log, first=previous, end=minimum)
    return Outcome(
        state=state,
        previous=previous,
        minimum=minimum,
        cutoff=cutoff,
        entries=found.entries,
        size_bytes=found.size_bytes,
        contents=found.contents,
        holds=held.blocking,
        waiting_for=waiting_for,
    )


def _preview(ask: Ask, first: int, end: int) -> _Preview:
    row = (
        _retention(ask)
        .execute(
            "SELECT entries, contents, size_bytes FROM evidence_prune_preview(%s, %s, %s)",
            (ask.log.log_id, first, end),
        )
        .fetchone()
    )
    if row is None:
        raise LogNotFoundError("There is no such log in this region.")
    return _Preview(entries=row[0], contents=row[1], size_bytes=row[2])


def _retention(ask: Ask) -> psycopg.Connection[Any]:
    alias = f"retention_{ask.region}"
    if alias not in settings.DATABASES:
        raise RegionUnavailableError("This process was not given the retention role's credentials.")
    return usable_connection(alias)
