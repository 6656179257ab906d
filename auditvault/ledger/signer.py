"""The signer: signs a checkpoint only of a log that extends what it signed before.

It runs as a process of its own, with its own keys, its own database role and its own memory: a state file outside
the database. Whoever owns the database can rewrite a log, but not make the signer sign the result.

Order of one pass, and what a crash leaves behind:

1. Read which keys come or go, as far as signed checkpoints cover it.  Crash: nothing.
2. Read heads; prove each against the last checkpoint signed.          Crash: nothing.
3. Sign in memory, with every key of the region.                       Crash: nothing was released.
4. Write the state file, fsync it and its directory.                   Crash after: keys and notes are in the state;
                                                                       step 5 of the next pass publishes them.
5. Insert the checkpoints.                                             Crash before: see 4. Twice: the key refuses.

A key's coming and the first notes that it signed are in one save, and so are its going and the last sizes.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import psycopg

from auditvault.core.errors import AuditvaultError
from auditvault.core.tlog import tiles as tlog_tiles
from auditvault.core.tlog.checkpoint import Checkpoint
from auditvault.core.tlog.merkle import (
    EMPTY_ROOT,
    CompactRange,
    ProofError,
    TreeError,
    verify_consistency,
)
from auditvault.core.tlog.note import sign_note
from auditvault.ledger.key_events import proved_events
from auditvault.ledger.logs import LogRef
from auditvault.ledger.signer_keys import (
    KeyEventRefusedError,
    KeyFiles,
    SignerKeyMissingError,
    SignerKeyUnknownError,
    SigningKey,
    follow,
)
from auditvault.ledger.signer_state import (
    RegionKey,
    Signed,
    SignerState,
    SignerStateUnwritableError,
)
from auditvault.ledger.tiling import MissingTileError, fetch_tiles

log = logging.getLogger("auditvault.signer")
HEARTBEAT = timedelta(minutes=10)
_OPERATOR = UUID(int=0)


class LogInconsistentError(AuditvaultError):
    """A log does not extend what was signed: it was cut, changed or rolled back."""

    code = "log_inconsistent"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Head:
    log: LogRef
    size: int
    root: bytes


class Signer:
    """Signs the heads of every log of the regions it is given connections to."""

    def __init__(self, *, keys: KeyFiles, state: SignerState) -> None:
        self._keys = keys
        self._state = state
        self._alarmed: set[tuple[str, str]] = set()
        # Logs that do not extend what was signed of them.
        self._refused: set[str] = set()
        self._read: dict[str, tuple[int, str]] = {}

    def run_once(self, connection: psycopg.Connection[Any], now: datetime, *, region: str) -> int:
        """One pass over the logs of one region; returns how many checkpoints it published in the end.

        Raises SignerStateUnwritableError, and then nothing was released.
        """
        heads = _heads(connection)
        try:
            before = self._state.keys.get(region) or self._first_keys(heads)
            ring = self._follow_keys(connection, heads, before) if heads else before
            keys = self._keys.signing(ring)
        except (SignerKeyMissingError, SignerKeyUnknownError) as error:
            self._alarm(_of_region(region), error)
            return self._publish(connection)
        self._alarmed = {each for each in self._alarmed if each[0] != _of_region(region)}
        changed = ring != before
        fresh: dict[str, Signed] = {}
        for head in heads:
            signed = self._sign_if_due(connection, head, keys, now, again=changed)
            if signed is not None:
                fresh[head.log.origin] = signed
        if fresh or changed:
            self._remember(region, ring, fresh)
        return self._publish(connection)

    def _remember(
        self, region: str, ring: tuple[RegionKey, ...], fresh: Mapping[str, Signed]
    ) -> None:
        try:
            self._state.save(
                signed={**self._state.signed, **fresh}, keys={**self._state.keys, region: ring}
            )
        except SignerStateUnwritableError:
            self._read.clear()  # what was read of keys is forgotten too, and read again
            raise

    def _first_keys(self, heads: Iterable[_Head]) -> tuple[RegionKey, ...]:
        origins = {head.log.origin for head in heads}
        remembered = {o: last for o, last in self._state.signed.items() if o in origins}
        return self._keys.first(self._state.keys, remembered)

    def _follow_keys(
        self,
        connection: psycopg.Connection[Any],
        heads: list[_Head],
        ring: tuple[RegionKey, ...],
    ) -> tuple[RegionKey, ...]:
        """The region's keys after what the operator's log says of them, as far as it is signed."""
        for head in heads:
            if head.log.tenant_id != _OPERATOR or head.log.kind != "admin":
                continue
            origin = head.log.origin
            covered = self._state.signed.get(origin)
            if covered is None or self._read.get(origin) == (covered.size, covered.root):
                continue
            if not _extends(connection, head, covered):
                continue  # refused below, or restored: then it is signed anew first
            # What covers an event was given out before the event counts, also where a crash came between.
            self._publish(connection, only=origin)
            sizes = {
                each.log.origin: self._state.signed[each.log.origin].size
                for each in heads
                if each.log.origin in self._state.signed
            }
            for event in proved_events(connection, head.log, covered):
                if isinstance(event, AuditvaultError):
                    self._alarm(origin, event)
                    continue
                try:
                    ring = follow(ring, event, at_hand=self._keys, sizes=sizes)
                except KeyEventRefusedError as error:
                    self._alarm(origin, error)
            self._read[origin] = (covered.size, covered.root)
        return ring

    def _sign_if_due(
        self,
        connection: psycopg.Connection[Any],
        head: _Head,
        keys: list[SigningKey],
        now: datetime,
        *,
        again: bool,
    ) -> Signed | None:
        origin = head.log.origin
        last = self._state.signed.get(origin)
        if last and last.size == head.size and last.root == head.root.hex():
            due = again or datetime.fromisoformat(last.signed_at) + HEARTBEAT <= now
            return _sign(head, keys, now) if due else None
        try:
            self._check_extends(connection, head, last)
        except AuditvaultError as error:
            self._alarm(origin, error)
            self._refused.add(origin)
            return None
        self._alarmed = {each for each in self._alarmed if each[0] != origin}
        self._refused.discard(origin)
        return _sign(head, keys, now)

    def _check_extends(
        self, connection: psycopg.Connection[Any], head: _Head, last: Signed | None
    ) -> None:
        """Prove that the head extends the last checkpoint, or what an acknowledged restore went back to."""
        if last is None:
            return _check_extends(connection, head, 0, EMPTY_ROOT)
        try:
            return _check_extends(connection, head, last.size, bytes.fromhex(last.root))
        except (LogInconsistentError, ProofError, MissingTileError):
            restored = self._state.restored_from(head.log.origin)
            if restored is None:
                raise
        _check_extends(connection, head, *restored)
        log.critical("%s was restored and goes on from %d entries", head.log.origin, restored[0])
        return None

    def _alarm(self, what: str, error: AuditvaultError) -> None:
        """Say it once, loudly; what cannot be signed stays unsigned until it can be again."""
        if (what, error.code) not in self._alarmed:
            log.critical("refused to sign %s: %s (%s)", what, error.message, error.code)
            self._alarmed.add((what, error.code))

    def _publish(self, connection: psycopg.Connection[Any], *, only: str | None = None) -> int:
        """Insert what the state holds and the table lacks: this pass's checkpoints, and a crashed pass's.

        A log that is refused gets none: the checkpoint is not of what is there.
        """
        published = 0
        for tenant_id, log_id, origin in _origins(connection):
            signed = self._state.signed.get(origin)
            if signed is None or origin in self._refused or only not in {None, origin}:
                continue
            result = connection.execute(
                "INSERT INTO ledger_checkpoint (tenant_id, log_id, size, root, note, signed_at)"
                " VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
                (
                    tenant_id,
                    log_id,
                    signed.size,
                    bytes.fromhex(signed.root),
                    signed.note,
                    datetime.fromisoformat(signed.signed_at),
                ),
            )
            published += result.rowcount
        return published


def _of_region(region: str) -> str:
    return f"the region {region}"


def _sign(head: _Head, keys: Iterable[SigningKey], now: datetime) -> Signed:
    origin = head.log.origin
    checkpoint = Checkpoint(origin=origin, size=head.size, root=head.root)
    note = sign_note(checkpoint.body(), [key.signer(origin, now) for key in keys])
    return Signed(size=head.size, root=head.root.hex(), note=note, signed_at=now.isoformat())


def _origins(connection: psycopg.Connection[Any]) -> Iterable[tuple[Any, int, str]]:
    return connection.execute("SELECT tenant_id, log_id, origin FROM ledger_log").fetchall()


def _heads(connection: psycopg.Connection[Any]) -> list[_Head]:
    rows = connection.execute(
        "SELECT l.tenant_id, l.log_id, l.origin, l.kind, h.size, h.range"
        " FROM ledger_log AS l JOIN ledger_head AS h USING (tenant_id, log_id) ORDER BY l.log_id"
    ).fetchall()
    return [
        _Head(
            log=LogRef(log_id=row[1], tenant_id=row[0], origin=row[2], kind=row[3]),
            size=row[4],
            root=_root(row[4], bytes(row[5])),
        )
        for row in rows
    ]


def _root(size: int, nodes: bytes) -> bytes:
    """The head's root; no hash where the head is malformed, which then extends nothing and is refused."""
    try:
        return CompactRange.from_bytes(size, nodes).root() if size else EMPTY_ROOT
    except TreeError:
        return b""


def _extends(connection: psycopg.Connection[Any], head: _Head, last: Signed) -> bool:
    try:
        _check_extends(connection, head, last.size, bytes.fromhex(last.root))
    except (LogInconsistentError, ProofError, MissingTileError):
        return False
    return True


def _check_extends(
    connection: psycopg.Connection[Any], head: _Head, old_size: int, old_root: bytes
) -> None:
    """Prove that the head extends a tree, from the tiles; raises where it does not."""
    fetch = partial(fetch_tiles, connection, head.log)
    if old_size == 0:
        if tlog_tiles.root_at(head.size, fetch) != head.root:
            raise LogInconsistentError("The head's root is not that of its entries.")
        return
    if head.size < old_size:
        raise LogInconsistentError(f"The log has {head.size} entries; {old_size} were signed.")
    if head.size == old_size:
        if head.root != old_root:
            raise LogInconsistentError(
                f"At {head.size} entries the root is not the one that was signed."
            )
        return
    verify_consistency(
        old_size=old_size,
        new_size=head.size,
        old_root=old_root,
        new_root=head.root,
        proof=tlog_tiles.consistency_proof(old_size, head.size, fetch),
    )
