"""Epochs of a region's keys, for the command line and the scheduled job: when one is due, turning it, how things stand.

Metadata only: no key, wrapped or not, comes through this door.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from auditvault.core.policy.approvals import Operation, Plan
from auditvault.ledger.admin.services import OPERATOR
from auditvault.ledger.scope import keys_alias, retention_connection, tenant_scope
from auditvault.vault.keyring.services import keyring
from auditvault.vault.keyring.turning import (
    NOBODY,
    SELECT_TURN,
    EpochStuckError,
    Progress,
    Turn,
    newest_turn,
    remaining_keys,
    turn_epoch,
)
from auditvault.vault.overused import rotate_overused

ENTRY_TYPE_DESTRUCTION_BEGUN = "key.destruction_begun"
"""Before keys are destroyed outside their schedule, with the approval of it."""

# The first three are the keyring's, which nobody outside the vault imports from.
__all__ = [
    "ENTRY_TYPE_DESTRUCTION_BEGUN",
    "EpochStuckError",
    "Figures",
    "KeyLine",
    "KeyState",
    "Progress",
    "Turn",
    "key_figures",
    "key_state",
    "list_keys",
    "past_recall_at",
    "plan_of_turn",
    "turn",
    "turn_if_due",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyState:
    """How a region's keys stand."""

    epoch: int | None
    """The newest epoch; None in a region without keys."""
    began_at: datetime | None
    """When it began."""
    turn: Turn | None
    """The newest turn, done or not."""
    remaining: int
    """Subjects' keys that are still under an older epoch."""
    recallable: list[Turn]
    """Turns whose destroyed root keys could still be taken back, at their provider."""


class Figures(NamedTuple):
    """What `/metrics` says of a region's keys; the application's role sees no more."""

    began_at: datetime | None
    is_turning: bool
    moved: int
    recallable: int


class KeyLine(NamedTuple):
    """One key, by its metadata."""

    kind: str
    epoch: int
    key_id: UUID
    tenant_id: UUID | None
    version: int | None
    created_at: datetime
    retired_at: datetime | None


def plan_of_turn(region: str, every: timedelta, now: datetime) -> Plan | None:
    """What a turn now, outside the schedule, would destroy; None where none begins, or one is due by `every`.

    Raises RegionUnavailableError.
    """
    figures = key_figures(region, now)
    if figures.began_at is None or figures.is_turning:
        return None
    if every and now - figures.began_at >= every:
        return None
    retention = retention_connection(region, keys=True)
    rows = retention.execute(
        "SELECT epoch, key_id FROM keyring_region_key ORDER BY epoch"
    ).fetchall()
    return Plan(
        operation=Operation.KEY_DESTRUCTION,
        tenant_id=OPERATOR,
        region=region,
        parameters={
            "act": "turn_epoch",
            "epoch": max(epoch for epoch, _ in rows),
            "region_keys": [str(key_id) for _, key_id in rows],
        },
    )


def turn(
    region: str,
    progress: Callable[[Progress], None] = lambda _: None,
    *,
    from_epoch: int | None = None,
) -> Turn:
    """Turn the region's epoch, or finish the turn that was begun. Raises as `keyring.turning.turn_epoch`.

    Then keys that have wrapped too much begin to be rotated. A crash in between: they are looked for at the next turn.
    """
    done = turn_epoch(keyring(region).epochs, progress, from_epoch=from_epoch)
    rotate_overused(region=region)
    return done


def turn_if_due(region: str, every: timedelta, now: datetime) -> Turn | None:
    """Finish a turn that was begun, or turn an epoch that is as old as `every`; None where nothing is due."""
    figures = key_figures(region, now)
    is_old = figures.began_at is not None and now - figures.began_at >= every
    return turn(region) if figures.is_turning or is_old else None


def key_figures(region: str, now: datetime) -> Figures:
    """How the region's keys stand, as far as the application's role sees."""
    with tenant_scope(keys_alias(region), NOBODY) as connection:
        row = connection.execute(
            "SELECT (SELECT created_at FROM keyring_region_key ORDER BY epoch DESC LIMIT 1),"
            " count(*) FILTER (WHERE state <> 'done'),"
            " coalesce(sum(subject_keys) FILTER (WHERE state <> 'done'), 0),"
            " count(*) FILTER (WHERE past_recall_at > %s) FROM keyring_turn",
            (now,),
        ).fetchone()
    if row is None:
        raise RuntimeError("an aggregate has one row")
    began_at, unfinished, moved, recallable = row
    return Figures(began_at, unfinished > 0, int(moved), recallable)


def key_state(region: str, now: datetime) -> KeyState:
    """How the region's keys stand, with the retention role's connection; raises RegionUnavailableError without it."""
    keys_alias(region)
    retention = retention_connection(region, keys=True)
    row = retention.execute(
        "SELECT epoch, created_at FROM keyring_region_key ORDER BY epoch DESC LIMIT 1"
    ).fetchone()
    epoch, began_at = row or (None, None)
    recallable = retention.execute(
        f"{SELECT_TURN} WHERE past_recall_at > %s ORDER BY to_epoch".encode(),
        (now,),
    ).fetchall()
    return KeyState(
        epoch=epoch,
        began_at=began_at,
        turn=newest_turn(retention),
        remaining=remaining_keys(retention, epoch) if epoch is not None else 0,
        recallable=[Turn(*found) for found in recallable],
    )


def past_recall_at(region: str, destroyed_at: datetime) -> datetime | None:
    """From when on no backup opens what keys of the region opened that were destroyed by then; None while unknown.

    Every backup from before then needs a root key that the first turn after it destroyed (docs/spec/keys.md section 2).
    """
    with tenant_scope(keys_alias(region), NOBODY) as connection:
        row = connection.execute(
            "SELECT past_recall_at FROM keyring_turn WHERE started_at > %s AND state = 'done'"
            " ORDER BY to_epoch LIMIT 1",
            (destroyed_at,),
        ).fetchone()
    found: datetime | None = row[0] if row else None
    return found


_LIST = (
    "SELECT 'region_kek', epoch, key_id, NULL::uuid, NULL::int, created_at, NULL::timestamptz"
    " FROM keyring_region_key WHERE %(tenant)s::uuid IS NULL"
    " UNION ALL SELECT 'tenant_kek', epoch, key_id, tenant_id, NULL, created_at, NULL"
    " FROM keyring_tenant_key WHERE %(tenant)s::uuid IS NULL OR tenant_id = %(tenant)s"
    " UNION ALL SELECT 'tag_secret', epoch, key_id, tenant_id, version, created_at, NULL"
    " FROM keyring_tag_secret WHERE %(tenant)s::uuid IS NULL OR tenant_id = %(tenant)s"
    " UNION ALL SELECT 'subject_dek', epoch, key_id, tenant_id, version, created_at, retired_at"
    " FROM keyring_subject_key WHERE tenant_id = %(tenant)s"
    " ORDER BY 1, 2, 6, 3 LIMIT %(limit)s"
)


def list_keys(region: str, *, tenant_id: UUID | None, limit: int) -> list[KeyLine]:
    """Keys of the region by their metadata; subjects' keys of one tenant only, and no subject's id."""
    keys_alias(region)
    asked: dict[str, Any] = {"tenant": tenant_id, "limit": limit}
    rows = retention_connection(region, keys=True).execute(_LIST, asked).fetchall()
    return [KeyLine(*row) for row in rows]
