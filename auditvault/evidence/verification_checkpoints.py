"""What was signed of a log: the checkpoints beside it, the signer's memory, and what somebody kept elsewhere.

Only the last two convict whoever owns the database and has stolen the signing key.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from auditvault.core.errors import AuditvaultError
from auditvault.core.tlog.checkpoint import Checkpoint, CheckpointError, open_checkpoint
from auditvault.core.tlog.log_key import LogKey, LogKeyError, log_verifiers
from auditvault.core.tlog.note import LogVerifier, NoteError, known_lines, parse_note
from auditvault.core.tlog.proof import Receipt, ReceiptError
from auditvault.evidence.verification_report import Report
from auditvault.ledger.logs import LogRef
from auditvault.ledger.restores import Restore, read_restores
from auditvault.ledger.signer_state import RegionKey, Signed, SignerState


class VerificationUnavailableError(AuditvaultError):
    """Something that verification needs could not be read: nothing is said about the log."""

    code = "verification_unavailable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """What verification believes, none of it from the database."""

    keys: Sequence[LogKey]
    """The signer's, retired ones included."""
    remembered: Mapping[str, Signed] = field(default_factory=dict)
    """The signer's own memory, by origin; empty where it cannot be had."""
    retired: Sequence[RegionKey] = ()
    """The region's keys that sign no more, from the same memory."""
    kept: Sequence[Checkpoint] = ()
    """Checkpoints that somebody kept outside, their signatures verified."""
    restores: Sequence[Restore] = ()
    """Restores that were answered for, from beside the signer's memory."""

    def origins(self) -> dict[str, int]:
        """Each origin of which something is known, with the greatest size known."""
        sizes = {origin: signed.size for origin, signed in self.remembered.items()}
        for checkpoint in self.kept:
            sizes[checkpoint.origin] = max(checkpoint.size, sizes.get(checkpoint.origin, 0))
        return sizes

    def restores_of(self, origin: str) -> list[Restore]:
        """The log's restores, oldest first."""
        return [restore for restore in self.restores if restore.origin == origin]


def read_log_keys(path: Path) -> list[LogKey]:
    """The signer's public keys from its vkeys file: any name, since each log's origin names the key anew."""
    try:
        lines = path.read_text().splitlines()
        return [LogKey.from_vkey(line)[1] for line in lines if line.strip()]
    except (OSError, NoteError, LogKeyError) as error:
        raise VerificationUnavailableError("The signer's public keys cannot be read.") from error


def read_memory(path: str) -> Mapping[str, Signed]:
    """What the signer remembers, from its state file; nothing where `path` is empty."""
    if not path:
        return {}
    try:
        return SignerState(Path(path)).signed
    except (AuditvaultError, OSError) as error:
        raise VerificationUnavailableError("The signer's memory cannot be read.") from error


def read_retired(path: str, region: str) -> list[RegionKey]:
    """The keys that sign no more in the region, from the signer's state file; none where `path` is empty."""
    if not path:
        return []
    try:
        ring = SignerState(Path(path)).keys.get(region, ())
    except (AuditvaultError, OSError) as error:
        raise VerificationUnavailableError("The signer's memory cannot be read.") from error
    return [item for item in ring if item.retired is not None]


def read_acknowledged(path: str) -> tuple[Restore, ...]:
    """The restores that were answered for, from beside the signer's state file; none where `path` is empty."""
    if not path:
        return ()
    try:
        return read_restores(Path(path))
    except AuditvaultError as error:
        raise VerificationUnavailableError("The file of restores cannot be read.") from error


def read_kept(paths: Iterable[Path], keys: Sequence[LogKey]) -> list[Checkpoint]:
    """Checkpoints that were kept in files, each a signed note or a receipt; raises VerificationUnavailableError."""
    kept = []
    for path in paths:
        try:
            text = path.read_text()
            note = Receipt.from_json(text).checkpoint if text.startswith("{") else text
            origin = (note or "").partition("\n")[0]
            verifiers = log_verifiers(origin, keys)
            kept.append(open_checkpoint(note or "", origin=origin, verifiers=verifiers))
        except (OSError, ValueError, ReceiptError, NoteError, CheckpointError) as error:
            raise VerificationUnavailableError(
                f"{path} holds no checkpoint that a known key has signed."
            ) from error
    return kept


def signed_roots(
    connection: psycopg.Connection[Any], log: LogRef, trust: Trust, report: Report
) -> dict[int, set[bytes]]:
    """The roots that were signed, by size; a checkpoint that does not verify is a finding."""
    verifiers = log_verifiers(log.origin, trust.keys)
    limits = _limits(log, trust)
    rows = connection.execute(
        "SELECT size, root, note FROM ledger_checkpoint WHERE tenant_id = %s AND log_id = %s"
        " ORDER BY size, signed_at",
        (log.tenant_id, log.log_id),
    ).fetchall()
    roots: dict[int, set[bytes]] = {}
    for size, root, note in rows:
        try:
            signed = open_checkpoint(note, origin=log.origin, verifiers=verifiers)
        except (NoteError, CheckpointError):
            report.bad("checkpoint_signature", max(size - 1, 0))
            continue
        if signed.size != size or signed.root != bytes(root):
            report.bad("checkpoint_row", max(size - 1, 0))
        if any(signed.size > limit and _bears(note, verifier) for verifier, limit in limits):
            report.bad("checkpoint_key", max(size - 1, 0))
        roots.setdefault(signed.size, set()).add(signed.root)
        report.checkpoints += 1
    _add_outside(roots, log, trust, report)
    roots.pop(0, None)
    return roots


def _limits(log: LogRef, trust: Trust) -> list[tuple[LogVerifier, int]]:
    """Each retired key under the log's name, and the last size that it signed; -1 where the log came later."""
    found = []
    for item in trust.retired:
        verifier = item.key.verifier(log.origin)
        if verifier is not None and item.retired is not None:
            found.append((verifier, item.retired.sizes.get(log.origin, -1)))
    return found


def _bears(note: str, verifier: LogVerifier) -> bool:
    """Whether the key has a line under a note whose known lines were verified."""
    return bool(known_lines(parse_note(note)[1], [verifier]))


def _add_outside(roots: dict[int, set[bytes]], log: LogRef, trust: Trust, report: Report) -> None:
    remembered = trust.remembered.get(log.origin)
    if remembered is not None:
        roots.setdefault(remembered.size, set()).add(bytes.fromhex(remembered.root))
    else:
        report.notes.append(
            "The signer's own memory was not at hand; a rollback together with its checkpoints would not show."
        )
    for checkpoint in trust.kept:
        if checkpoint.origin == log.origin:
            roots.setdefault(checkpoint.size, set()).add(checkpoint.root)
