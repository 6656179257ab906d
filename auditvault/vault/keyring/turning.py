"""The turn of an epoch: fresh KEKs, everything that lives moved under them, what was before destroyed.

Order, and what a crash leaves (docs/spec/keyring.md section 3). Whoever turns next begins where the row of
`keyring_turn` says; two at once do the same work twice and no harm.

1. The provider makes the new root key.              A root key that wraps nothing; the next attempt finds it.
2. Region KEK and row, in one transaction.           Both generations open; new keys are made under the new one.
3. `key.epoch_started` is recorded.                  Recorded once: the log is asked first.
4. Fresh tenant KEKs, keys moved in batches.         Some moved, some not; both open.
5. Old KEKs deleted, once nothing is under them.     The old root key wraps nothing any more.
6. `key.epoch_turned` is recorded.                   As 3.
7. The provider destroys the old root key.           Asking again is no error.
8. When that is past taking back is written down.
9. `key.destroyed` is recorded, and the row is done. As 3.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import psycopg

from auditvault.core.crypto.keywrap import RootKeyDestroyedError
from auditvault.core.errors import AuditvaultError
from auditvault.core.policy.approvals import ApprovalDriftedError
from auditvault.core.tlog.canonical import JsonValue
from auditvault.ledger.admin.services import is_recorded, record_operation
from auditvault.ledger.scope import keys_alias, retention_connection, tenant_scope
from auditvault.ledger.services import format_instant
from auditvault.vault.keyring.hierarchy import EpochKeys
from auditvault.vault.keyring.rewrapping import Rewrapper

ENTRY_TYPE_STARTED = "key.epoch_started"
ENTRY_TYPE_TURNED = "key.epoch_turned"
ENTRY_TYPE_DESTROYED = "key.destroyed"
NOBODY = UUID(int=0)
# Keys made under the old epoch while it was being emptied; each pass finds fewer.
_PASSES = 20
_MOST_NAMED = 20
SELECT_TURN = (
    "SELECT to_epoch, state, old_refs, old_keys, subject_keys, tag_secrets, tenant_keys, started_at, ended_at,"
    " past_recall_at, finished_at FROM keyring_turn"
)


class EpochStuckError(AuditvaultError):
    """Some keys cannot be moved, so the old epoch cannot end; everything else has moved."""

    code = "key_epoch_stuck"

    def __init__(self, message: str, damaged: list[UUID]) -> None:
        super().__init__(message)
        self.damaged = damaged


class NoEpochError(AuditvaultError):
    """The region has no keys yet, so no epoch can turn."""

    code = "key_epoch_none"


class Turn(NamedTuple):
    """A row of `keyring_turn`."""

    to_epoch: int
    state: str
    old_refs: list[str]
    old_keys: list[UUID]
    subject_keys: int
    tag_secrets: int
    tenant_keys: int
    started_at: datetime
    ended_at: datetime | None
    past_recall_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far the moving is."""

    moved: int
    remaining: int


def turn_epoch(
    epochs: EpochKeys,
    progress: Callable[[Progress], None] = lambda _: None,
    *,
    from_epoch: int | None = None,
) -> Turn:
    """Turn the region's epoch, or finish the turn that was begun; returns the turn, done.

    Raises NoEpochError, EpochStuckError, RegionUnavailableError, a KeyProviderError, or what the database raises. Then
    asking again goes on from there. ApprovalDriftedError: the epoch `from_epoch`, where it is given, ended already.
    """
    retention = retention_connection(epochs.region, keys=True)
    turn = newest_turn(retention)
    if turn is None or turn.state == "done":
        turn = _begin(epochs, retention, from_epoch)
    _record(epochs.region, ENTRY_TYPE_STARTED, turn, {"epoch": turn.to_epoch})
    if turn.state == "rewrapping":
        turn = _move(epochs, retention, turn, progress)
    _record(epochs.region, ENTRY_TYPE_TURNED, turn, _turned(turn))
    if turn.state == "destroying":
        turn = _destroy(epochs, retention, turn)
    _record(epochs.region, ENTRY_TYPE_DESTROYED, turn, _destroyed(turn))
    retention.execute("SELECT keyring_finish_turn(%s)", (turn.to_epoch,))
    return _again(retention, turn.to_epoch)


def newest_turn(connection: psycopg.Connection[Any]) -> Turn | None:
    """The newest turn; None where no epoch has turned yet."""
    row = connection.execute(f"{SELECT_TURN} ORDER BY to_epoch DESC LIMIT 1".encode()).fetchone()
    return Turn(*row) if row is not None else None


def remaining_keys(connection: psycopg.Connection[Any], epoch: int) -> int:
    """How many DEKs are still in an older epoch, as the retention role sees them."""
    row = connection.execute(
        "SELECT count(*) FROM keyring_subject_key WHERE epoch < %s", (epoch,)
    ).fetchone()
    return int(row[0]) if row else 0


def _begin(epochs: EpochKeys, retention: psycopg.Connection[Any], from_epoch: int | None) -> Turn:
    """Steps 1 and 2. Whoever is second of two takes the first one's turn up."""
    with tenant_scope(keys_alias(epochs.region), NOBODY) as connection:
        row = connection.execute(
            "SELECT max(epoch), bool_or(key_ref = '') FROM keyring_region_key"
        ).fetchone()
    if row is None or row[0] is None:
        raise NoEpochError("This region has no keys yet. Its first record makes the first epoch.")
    if from_epoch not in (None, row[0]):
        raise ApprovalDriftedError("The epoch has turned meanwhile. Look at the new plan.")
    first_ref = epochs.provider.make_key(1) if row[1] else ""
    made = epochs.new_region_key(row[0] + 1)
    retention.execute("SELECT keyring_begin_turn(%s, %s, %s, %s, %s)", (*made, first_ref))
    turn = newest_turn(retention)
    if turn is None:
        raise NoEpochError("The epoch did not begin. Run it again.")
    return turn


def _move(
    epochs: EpochKeys,
    retention: psycopg.Connection[Any],
    turn: Turn,
    progress: Callable[[Progress], None],
) -> Turn:
    """Steps 4 and 5: pass after pass, until nothing is left under the old KEKs."""
    rewrapper = Rewrapper(epochs=epochs, retention=retention, epoch=turn.to_epoch)
    total = remaining_keys(retention, turn.to_epoch)
    moved = 0

    def report(changed: int) -> None:
        nonlocal moved
        moved += changed
        progress(Progress(moved=moved, remaining=max(0, total - moved)))

    for _ in range(_PASSES):
        done = rewrapper.run(report)
        row = retention.execute("SELECT keyring_end_epoch(%s)", (turn.to_epoch,)).fetchone()
        if row is not None and row[0] == 0:
            return _again(retention, turn.to_epoch)
        if done.damaged and not done.subject_keys and not done.tag_secrets:
            raise _stuck(done.damaged)
    raise EpochStuckError("Keys kept being made under the old epoch. Run it again.", [])


def _stuck(damaged: list[UUID]) -> EpochStuckError:
    named = ", ".join(str(key_id) for key_id in damaged[:_MOST_NAMED])
    return EpochStuckError(
        f"{len(damaged)} keys do not open where they stand, so the old epoch cannot end: {named}. Put them right from a"
        " backup of the keyring or destroy them, and run it again.",
        damaged,
    )


def _destroy(epochs: EpochKeys, retention: psycopg.Connection[Any], turn: Turn) -> Turn:
    """Steps 7 and 8."""
    answers = []
    for key_ref in turn.old_refs:
        try:
            answers.append(epochs.provider.destroy(key_ref))
        except RootKeyDestroyedError:
            continue
    past_recall_at = max((at for at in answers if at is not None), default=None)
    retention.execute("SELECT keyring_root_keys_destroyed(%s, %s)", (turn.to_epoch, past_recall_at))
    return _again(retention, turn.to_epoch)


def _again(retention: psycopg.Connection[Any], epoch: int) -> Turn:
    row = retention.execute(f"{SELECT_TURN} WHERE to_epoch = %s".encode(), (epoch,)).fetchone()
    if row is None:
        raise NoEpochError("The turn is not in the keyring any more.")
    return Turn(*row)


def _record(region: str, action: str, turn: Turn, details: dict[str, JsonValue]) -> None:
    """Once for each epoch. Two who turn at once may both ask before either records: then it stands there twice."""
    if not is_recorded(region, action, {"epoch": details["epoch"]}, since=turn.started_at):
        record_operation(region=region, action=action, details=details)


def _turned(turn: Turn) -> dict[str, JsonValue]:
    return {
        "epoch": turn.to_epoch,
        "subject_keys": turn.subject_keys,
        "tag_secrets": turn.tag_secrets,
        "tenant_keys_deleted": turn.tenant_keys,
        "region_keys_deleted": [str(key_id) for key_id in turn.old_keys],
    }


def _destroyed(turn: Turn) -> dict[str, JsonValue]:
    past_recall_at = turn.past_recall_at
    return {
        "epoch": turn.to_epoch,
        "root_keys": len(turn.old_refs),
        "region_keys": [str(key_id) for key_id in turn.old_keys],
        "past_recall_at": format_instant(past_recall_at) if past_recall_at else None,
    }
