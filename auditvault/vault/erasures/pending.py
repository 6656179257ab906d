"""`restore_pending`: a region that may hold again what was erased opens nothing and takes nothing in.

A region is pending where it was marked, or where its database or its keyring does not know a record of the erasure
ledger. Nobody has to remember to mark it: whoever opens contents, or seals them, asks `refuse_while_restore_pending`
first, inside the transaction in which it does so, and gets the `Permit` that opening takes.

It costs one query and two looks at a directory. Where the answer is not plain, because an erasure is under way or a
crash left one unfinished, everything is looked at again from outside the transaction, whose snapshot may be older.

The keyring's head is asked for at most once a second. A keyring alone that was restored opens nothing meanwhile: what
was erased has no object left in the region's database, and no subject that is readable.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
from django.db import connections

from auditvault.core.errors import AuditvaultError
from auditvault.core.tlog.erasure_ledger import open_record
from auditvault.ledger.scope import (
    driver_connection,
    keys_alias,
    region_alias,
    retention_connection,
    usable_connection,
)
from auditvault.vault.erasures.keys import trusted_keys
from auditvault.vault.erasures.store import LedgerFiles, ledger_files
from auditvault.vault.keyring.cache import KeyCache

log = logging.getLogger("auditvault.vault")

MARKED_BY_RESTORE = "restored"
BEHIND = "erasures_missing"
KEYRING_BEHIND = "keyring_behind"
CONTRADICTED = "erasure_ledger_contradicts"

SEALERS_LOCK = "vault_sealers"
"""Shared by every transaction that looks subjects up and seals for them; an erasure begins with it to itself."""

_STATE = "SELECT idx, hash, pending_reason FROM erasure_state"
_KEYRING_STATE = "SELECT idx, hash FROM keyring_erasure_state"


class RestorePendingError(AuditvaultError):
    """The region waits until its erasure ledger was gone through again; nothing is opened or taken in."""

    code = "restore_pending"


class Head(NamedTuple):
    """The last record of the erasure ledger that a database knows to be carried out; -1 and zeros before the first."""

    idx: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Permit:
    """That a region was not pending in the transaction that asked; contents are opened with it and not without."""

    region: str
    connection: psycopg.Connection[Any]
    """In that transaction."""


class _State(NamedTuple):
    head: Head
    reason: str | None


_keyring_heads: KeyCache[Head] = KeyCache(lifetime_seconds=1.0)


def mark_restore_pending(region: str, *, reason: str = MARKED_BY_RESTORE) -> None:
    """Let nothing be read in the region or taken in until `replay_erasures`; `reason` is lower-case words and `_`.

    For whoever restores one of its databases, at once afterwards. The first reason stays. Needs the retention role.
    """
    connection = retention_connection(region)
    connection.execute("SELECT vault_mark_restore_pending(%s)", (reason,))


def refuse_while_restore_pending(connection: psycopg.Connection[Any], region: str) -> Permit:
    """The permit to open and seal in this transaction of the region's database; raises RestorePendingError."""
    if not _is_plainly_whole(connection, region):
        reason = restore_pending_reason(region)
        if reason is not None:
            raise RestorePendingError(
                f"The region {region!r} was restored, or its erasure ledger is not to be had ({reason})."
                " Nothing is read or taken in until `auditvault replay_erasures`."
            )
    return Permit(region, connection)


def restore_pending_reason(region: str) -> str | None:
    """Why the region is pending, in a word; None where it is not. Raises what the databases raise."""
    try:
        return _reason(region, ledger_files(region))
    except AuditvaultError as error:
        return error.code


def _is_plainly_whole(connection: psycopg.Connection[Any], region: str) -> bool:
    state = _state(connection.execute(_STATE).fetchone())
    try:
        files = ledger_files(region)
        return (
            state.reason is None
            and files.has_hash(*state.head)
            and not files.has(state.head.idx + 1)
            and _keyring_head(region) == state.head
        )
    except AuditvaultError:
        return False


def _reason(region: str, files: LedgerFiles) -> str | None:
    """What is looked at first was true first: so no erasure that goes on meanwhile looks like a restore.

    Every record that is counted was begun in the region before it was written; and the keyring is never behind the
    region, unless it was restored.
    """
    size = files.size()
    state, unfinished = _from_outside(region)
    keyring = _read_keyring_head(region)
    if state.reason is not None:
        return state.reason
    if not (files.has_hash(*state.head) and files.has_hash(*keyring)):
        return CONTRADICTED
    if keyring.idx < state.head.idx:
        return KEYRING_BEHIND
    verifiers_for = trusted_keys()
    for index in range(state.head.idx + 1, size):
        record = open_record(files.read(index) or b"", verifiers_for)
        if UUID(record.erasure_id) not in unfinished:
            return BEHIND
    return None


def _from_outside(region: str) -> tuple[_State, set[UUID]]:
    """As it is now, whatever snapshot this thread's transaction has; a connection of its own, in one look."""
    wrapper = connections.create_connection(region_alias(region))
    try:
        wrapper.ensure_connection()
        row = (
            driver_connection(wrapper)
            .execute(
                "SELECT idx, hash, pending_reason,"
                " ARRAY(SELECT erasure_id FROM vault_unfinished_erasures()) FROM erasure_state"
            )
            .fetchone()
        )
    finally:
        wrapper.close()
    return _state(row), set(row[3] if row else ())


def _state(row: tuple[Any, ...] | None) -> _State:
    if row is None:
        raise RestorePendingError("The region's database does not say which erasures it knows.")
    return _State(Head(row[0], bytes(row[1])), row[2])


def _keyring_head(region: str) -> Head:
    head = _keyring_heads.get(region)
    return _read_keyring_head(region) if head is None else head


def _read_keyring_head(region: str) -> Head:
    row = usable_connection(keys_alias(region)).execute(_KEYRING_STATE).fetchone()
    if row is None:
        raise RestorePendingError("The keyring does not say which erasures it knows.")
    head = Head(row[0], bytes(row[1]))
    _keyring_heads.put(region, head)
    return head
