"""The signer: signs a checkpoint only of a log that extends what it signed before.

It runs as a process of its own, with its own key, its own database role and its own memory: a state file outside
the database. Whoever owns the database can rewrite a log, but not make the signer sign the result.

Order of one pass, and what a crash leaves behind:

1. Read heads; prove each against the last checkpoint signed.     Crash: nothing.
2. Sign in memory.                                                Crash: nothing was released.
3. Write the state file, fsync it and its directory.              Crash after: the note is in the state; step 4 of the
                                                                  next pass publishes it.
4. Insert the checkpoints.                                        Crash before: see 3. Twice: the key refuses.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

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
from auditvault.core.tlog.note import NoteSigner, sign_note
from auditvault.ledger.logs import LogRef
from auditvault.ledger.tiling import MissingTileError, fetch_tiles

log = logging.getLogger("auditvault.signer")
HEARTBEAT = timedelta(minutes=10)
_STATE_VERSION = "auditvault/signer-state/1"


class SignerStateError(AuditvaultError):
    """The state file cannot be read, or is not one. Signing without memory would sign anything."""

    code = "signer_state_unreadable"


class LogInconsistentError(AuditvaultError):
    """A log does not extend what was signed: it was cut, changed or rolled back."""

    code = "log_inconsistent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """The last checkpoint signed for an origin."""

    size: int
    root: str
    note: str
    signed_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Head:
    log: LogRef
    size: int
    root: bytes


class SignerState:
    """What the signer remembers, in a file that is replaced whole and fsynced."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.signed: dict[str, Signed] = {}
        if path.exists():
            self.signed = _read_state(path)

    def save(self) -> None:
        """Make the memory durable; returns only when it is."""
        body = {
            "v": _STATE_VERSION,
            "logs": {origin: asdict(signed) for origin, signed in sorted(self.signed.items())},
        }
        part = self._path.with_suffix(".part")
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(body, file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(self._path)
        directory = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def _read_state(path: Path) -> dict[str, Signed]:
    try:
        body = json.loads(path.read_text())
        if body["v"] != _STATE_VERSION:
            raise SignerStateError("The signer's state is of another version.")
        return {origin: Signed(**signed) for origin, signed in body["logs"].items()}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SignerStateError(
            "The signer's state cannot be read. Restore it; a signer without memory signs anything."
        ) from error


def load_private_key(path: Path) -> Ed25519PrivateKey:
    """The signer's Ed25519 key from a PEM file."""
    key = load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise SignerStateError("The signer's key is not an Ed25519 key.")
    return key


class Signer:
    """Signs the heads of every log of the regions it is given connections to."""

    def __init__(self, *, key: Ed25519PrivateKey, state: SignerState) -> None:
        self._key = key
        self._state = state
        self._refused: set[str] = set()

    def run_once(self, connection: psycopg.Connection[Any], now: datetime) -> int:
        """One pass over the logs of one region; returns how many checkpoints it published."""
        fresh: dict[str, tuple[_Head, Signed]] = {}
        for head in _heads(connection):
            signed = self._sign_if_due(connection, head, now)
            if signed is not None:
                fresh[head.log.origin] = (head, signed)
        if fresh:
            self._state.signed |= {origin: signed for origin, (_, signed) in fresh.items()}
            self._state.save()
        return self._publish(connection)

    def _sign_if_due(
        self, connection: psycopg.Connection[Any], head: _Head, now: datetime
    ) -> Signed | None:
        origin = head.log.origin
        last = self._state.signed.get(origin)
        if last and last.size == head.size and last.root == head.root.hex():
            due = datetime.fromisoformat(last.signed_at) + HEARTBEAT <= now
            return self._sign(head, now) if due else None
        try:
            _check_extends(connection, head, last)
        except (LogInconsistentError, ProofError, MissingTileError) as error:
            self._alarm(origin, error)
            return None
        self._refused.discard(origin)
        return self._sign(head, now)

    def _alarm(self, origin: str, error: AuditvaultError) -> None:
        """Say it once, loudly; the log stays unsigned until it is consistent again."""
        if origin not in self._refused:
            log.critical("refused to sign %s: %s (%s)", origin, error.message, error.code)
            self._refused.add(origin)

    def _sign(self, head: _Head, now: datetime) -> Signed:
        checkpoint = Checkpoint(origin=head.log.origin, size=head.size, root=head.root)
        note = sign_note(checkpoint.body(), [NoteSigner(head.log.origin, self._key)])
        return Signed(size=head.size, root=head.root.hex(), note=note, signed_at=now.isoformat())

    def _publish(self, connection: psycopg.Connection[Any]) -> int:
        """Insert what the state holds and the table lacks: this pass's checkpoints, and a crashed pass's."""
        published = 0
        for tenant_id, log_id, origin in _origins(connection):
            signed = self._state.signed.get(origin)
            if signed is None:
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


def _check_extends(connection: psycopg.Connection[Any], head: _Head, last: Signed | None) -> None:
    """Prove that the head extends the last checkpoint, from the tiles; raises where it does not."""
    fetch = partial(fetch_tiles, connection, head.log)
    if last is None or last.size == 0:
        if tlog_tiles.root_at(head.size, fetch) != head.root:
            raise LogInconsistentError("The head's root is not that of its entries.")
        return
    if head.size < last.size:
        raise LogInconsistentError(f"The log has {head.size} entries; {last.size} were signed.")
    if head.size == last.size:
        raise LogInconsistentError(
            f"At {head.size} entries the root is not the one that was signed."
        )
    verify_consistency(
        old_size=last.size,
        new_size=head.size,
        old_root=bytes.fromhex(last.root),
        new_root=head.root,
        proof=tlog_tiles.consistency_proof(last.size, head.size, fetch),
    )
