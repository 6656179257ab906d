"""Answering for a restore: what a region's logs lost is recorded, and the signer is told to go on.

A log counts as restored where it does not extend the last checkpoint that the signer remembers, and does extend an
earlier one that is in the database and that the signer's key has signed. Anything else is no older backup but
tampering, and cannot be answered for.

Order, and what a crash leaves behind:

1. The signer's memory, heads and checkpoints are read.            Crash: nothing.
2. `log.restored` is recorded in the operator's log, and durable.  Crash: a record, and a signer that still refuses;
                                                                   the command is given again and records it again.
3. The file beside the signer's state is replaced.                 Crash before: as in 2.
4. The signer's next look finds it, and signs the restored log.    Crash: the next look after that.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psycopg

from auditvault.core.errors import AuditvaultError
from auditvault.core.tlog.canonical import JsonValue
from auditvault.core.tlog.checkpoint import open_checkpoint
from auditvault.core.tlog.log_key import LogKey, log_verifiers
from auditvault.core.tlog.merkle import EMPTY_ROOT, verify_consistency
from auditvault.ledger.admin.services import record_operation
from auditvault.ledger.logs import LogRef, region_logs
from auditvault.ledger.restores import Restore, add_restores, read_restores, restore_of
from auditvault.ledger.scope import region_alias, tenant_scope
from auditvault.ledger.selectors import HeadState, consistency, head, latest_checkpoint
from auditvault.ledger.signer_state import Signed, SignerState

ENTRY_TYPE = "log.restored"
Kept = tuple[int, bytes]
"""Size and root of the checkpoint that a log goes on from."""

_CASE = re.compile(r"[A-Za-z0-9._/#-]{1,64}")


class NoRestoreError(AuditvaultError):
    """A log is not an older state of itself, so nobody can answer for it."""

    code = "no_restore"


def acknowledge_restore(
    *, region: str, case: str, state_file: Path, keys: Sequence[LogKey]
) -> list[Restore]:
    """Record what the region's logs lost, and let the signer go on; empty where nothing was lost.

    `case` refers to whoever ordered it. Raises NoRestoreError where a log was changed otherwise, and then nothing is
    recorded; SignerStateError, RestoresError; what the database raises.
    """
    if not _CASE.fullmatch(case):
        raise NoRestoreError(
            "The case must be a reference such as INC-1234: letters, digits and . _ / # -"
        )
    known = read_restores(state_file)
    new = [
        restore
        for restore in _restores(region, SignerState(state_file).signed, keys, known)
        if not _is_known(known, restore)
    ]
    if not new:
        return []
    details: dict[str, JsonValue] = {"case": case, "logs": [_as_json(one) for one in new]}
    record = record_operation(region=region, action=ENTRY_TYPE, details=details)
    new = [dataclasses.replace(one, case=case, record=str(record)) for one in new]
    add_restores(state_file, new)
    return new


def extends_checkpoint(region: str, origin: str, size: int, root: bytes) -> bool:
    """Whether the region's log, as it is now, is what was signed at that size, or has grown from it."""
    log = next((log for log in region_logs(region) if log.origin == origin), None)
    if log is None:
        return not size
    with tenant_scope(region_alias(region), log.tenant_id) as connection:
        return _extends(connection, log, head(connection, log), size, root)


def _is_known(known: Sequence[Restore], one: Restore) -> bool:
    lost = {"origin": one.origin, "note": one.lost_note, "signed_at": one.lost_signed_at}
    return restore_of(known, **lost) is not None


def _as_json(one: Restore) -> dict[str, JsonValue]:
    return {
        "log": one.origin,
        "epoch": one.epoch,
        "lost_size": one.lost_size,
        "lost_root": one.lost_root,
        "kept_size": one.kept_size,
        "kept_root": one.kept_root,
    }


def _restores(
    region: str,
    memory: Mapping[str, Signed],
    keys: Sequence[LogKey],
    known: Sequence[Restore],
) -> Iterator[Restore]:
    """One for each log that does not reach what was signed, not yet recorded."""
    there = {log.origin: log for log in region_logs(region)}
    for origin, last in sorted(memory.items()):
        if origin.split("/")[1] != region or not last.size:
            continue
        kept: Kept | None = (0, EMPTY_ROOT)
        if origin in there:
            kept = _left(region, there[origin], last, keys)
        if kept is None:
            continue
        size, root = kept
        yield Restore(
            origin=origin,
            epoch=2 + sum(one.origin == origin for one in known),
            lost_size=last.size,
            lost_root=last.root,
            lost_note=last.note,
            lost_signed_at=last.signed_at,
            kept_size=size,
            kept_root=root.hex(),
            case="",
            record="",
        )


def _left(region: str, log: LogRef, last: Signed, keys: Sequence[LogKey]) -> Kept | None:
    """What is left of a log that was restored; None where it reaches what was signed."""
    with tenant_scope(region_alias(region), log.tenant_id) as connection:
        state = head(connection, log)
        if _extends(connection, log, state, last.size, bytes.fromhex(last.root)):
            return None
        return _kept(connection, log, state, keys)


def _kept(
    connection: psycopg.Connection[Any],
    log: LogRef,
    state: HeadState,
    keys: Sequence[LogKey],
) -> Kept:
    """The newest checkpoint in the database, which the log must extend; raises NoRestoreError."""
    newest = latest_checkpoint(connection, log)
    if newest is None and not state.size:
        return 0, EMPTY_ROOT
    if newest is None:
        raise NoRestoreError(f"{log.origin} has entries and no checkpoint: it was changed.")
    try:
        verifiers = log_verifiers(log.origin, keys)
        signed = open_checkpoint(newest.note, origin=log.origin, verifiers=verifiers)
    except AuditvaultError as error:
        raise NoRestoreError(f"The newest checkpoint of {log.origin} is not signed.") from error
    if not _extends(connection, log, state, signed.size, signed.root):
        raise NoRestoreError(
            f"{log.origin} does not extend its own newest checkpoint: it was changed, not restored."
        )
    return signed.size, signed.root


def _extends(
    connection: psycopg.Connection[Any], log: LogRef, state: HeadState, size: int, root: bytes
) -> bool:
    if state.size <= size or not size:
        return (state.size, state.root) == (size, root) if size else True
    try:
        verify_consistency(
            old_size=size,
            new_size=state.size,
            old_root=root,
            new_root=state.root,
            proof=consistency(connection, log, old_size=size, new_size=state.size),
        )
    except AuditvaultError:
        return False
    return True
