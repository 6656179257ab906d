"""Announcing and retiring the keys that sign checkpoints, as entries of each region's operator's log.

Rules kept: docs/spec/checkpoint.md section 3.1. What is written here makes no key sign and no verifier trust it: the
signer acts on an entry that it has proved, with a private key that it holds. Safe to run again: what is there already
is not written twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from django.conf import settings

from auditvault.core.errors import AuditvaultError
from auditvault.core.policy.approvals import Operation, Plan
from auditvault.core.tlog.canonical import JsonValue, canonical_bytes
from auditvault.core.tlog.checkpoint import CheckpointError, open_checkpoint
from auditvault.core.tlog.key_events import ENTRY_TYPE_ANNOUNCED, ENTRY_TYPE_RETIRED, key_in
from auditvault.core.tlog.log_key import ED25519, LogKey, log_verifiers
from auditvault.core.tlog.note import NoteError
from auditvault.ledger.admin.services import OPERATOR, Also, record_operation
from auditvault.ledger.logs import log_ref
from auditvault.ledger.scope import region_alias, tenant_scope
from auditvault.ledger.selectors import latest_checkpoint


class KeyUnknownError(AuditvaultError):
    """A key that is to be retired is none of the signer's."""

    code = "checkpoint_key_unknown"


class KeyOverlapMissingError(AuditvaultError):
    """A key that is to be retired is the only Ed25519 key that signs."""

    code = "checkpoint_key_overlap_missing"


class KeyRetiredError(AuditvaultError):
    """A key that is to be announced was retired."""

    code = "checkpoint_key_retired"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRecord:
    """What the operator's log of a region says of a key; nothing of it is proved here."""

    key: LogKey
    action: str
    recorded_at: datetime


def plan_of_announcement(*, region: str, key: LogKey) -> Plan | None:
    """That the key is to sign from now on; None where that is recorded already. Raises KeyRetiredError."""
    history = key_history(region)
    if not _is_new(history, key):
        return None
    return _plan(region, "announce", key, history)


def announce_key(*, region: str, key: LogKey, also: Also | None = None) -> bool:
    """Record in the region that a key is to sign from now on; False where that is recorded already.

    `also` as of `record_operation`. Raises what it raises, and KeyRetiredError.
    """
    if not _is_new(key_history(region), key):
        return False
    record_operation(
        region=region, action=ENTRY_TYPE_ANNOUNCED, details=_details(region, key), also=also
    )
    return True


def plan_of_retirement(*, region: str, key: LogKey, known: Sequence[LogKey]) -> Plan | None:
    """That the key is to sign no more; None where that is recorded already. Raises as `retire_key`."""
    history = key_history(region)
    if not _can_retire(region, key, known, history):
        return None
    return _plan(region, "retire", key, history)


def retire_key(
    *, region: str, key: LogKey, known: Sequence[LogKey], also: Also | None = None
) -> bool:
    """Record in the region that a key is to sign no more; False where that is recorded already.

    `known` are all of the signer's keys; `also` as of `record_operation`. Raises what that raises, KeyUnknownError, or
    KeyOverlapMissingError unless the newest checkpoint of the operator's log bears the line of another Ed25519 key that
    stays.
    """
    if not _can_retire(region, key, known, key_history(region)):
        return False
    record_operation(
        region=region, action=ENTRY_TYPE_RETIRED, details=_details(region, key), also=also
    )
    return True


def key_history(region: str) -> list[KeyRecord]:
    """What is recorded of keys in the region, oldest first."""
    with tenant_scope(region_alias(region), OPERATOR) as connection:
        rows = connection.execute(
            "SELECT action, recorded_at, header FROM admin_event WHERE tenant_id = %s"
            " AND action IN (%s, %s) ORDER BY recorded_at, record_id",
            (OPERATOR, ENTRY_TYPE_ANNOUNCED, ENTRY_TYPE_RETIRED),
        ).fetchall()
    return [
        KeyRecord(key=key_in(bytes(header)), action=action, recorded_at=recorded_at)
        for action, recorded_at, header in rows
    ]


def _is_new(history: Sequence[KeyRecord], key: LogKey) -> bool:
    actions = {record.action for record in history if record.key == key}
    if ENTRY_TYPE_RETIRED in actions:
        raise KeyRetiredError("That key was retired, and never returns.")
    return ENTRY_TYPE_ANNOUNCED not in actions


def _can_retire(
    region: str, key: LogKey, known: Sequence[LogKey], history: Sequence[KeyRecord]
) -> bool:
    retired = {record.key for record in history if record.action == ENTRY_TYPE_RETIRED}
    if key in retired:
        return False
    if key not in known:
        raise KeyUnknownError("That is none of the signer's keys.")
    staying = [
        other for other in known if other.algorithm == ED25519 and other not in {key, *retired}
    ]
    if not _has_signed(region, staying):
        raise KeyOverlapMissingError(f"No other Ed25519 key signs in {region} yet.")
    return True


def _plan(region: str, act: str, key: LogKey, history: Sequence[KeyRecord]) -> Plan:
    """What came before is part of it: with other keys, it would be another change."""
    said: list[JsonValue] = [[record.action, record.key.encoded()] for record in history]
    return Plan(
        operation=Operation.CHECKPOINT_KEY_CHANGE,
        tenant_id=OPERATOR,
        region=region,
        parameters={
            "act": act,
            "algorithm": key.algorithm,
            "public_key": key.encoded(),
            "history": sha256(canonical_bytes(said)).hexdigest(),
        },
    )


def _has_signed(region: str, keys: Sequence[LogKey]) -> bool:
    """Whether one of the keys signed the newest checkpoint of the operator's log."""
    log = log_ref(region, OPERATOR, "admin", settings.LOG_HOST)
    with tenant_scope(region_alias(region), OPERATOR) as connection:
        newest = latest_checkpoint(connection, log)
    try:
        open_checkpoint(
            newest.note if newest else "",
            origin=log.origin,
            verifiers=log_verifiers(log.origin, keys),
        )
    except (NoteError, CheckpointError):
        return False
    return True


def _details(region: str, key: LogKey) -> dict[str, JsonValue]:
    log = log_ref(region, OPERATOR, "admin", settings.LOG_HOST)
    return {
        "algorithm": key.algorithm,
        "public_key": key.encoded(),
        "key_id": key.key_id(log.origin).hex(),
    }
