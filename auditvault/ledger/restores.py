"""Restores that somebody has answered for, as the signer is told of them.

After an older backup was restored, a log does not reach what was signed of it, and the signer refuses. Who keeps the
signer's state says in a file beside it that this was meant, and which signed checkpoint the log goes on from. Whoever
owns the database cannot write there, so nobody explains a rollback away from inside.

Rules kept: docs/spec/restore.md. Finding out what was restored, and recording it, is left to `evidence.restores`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from auditvault.core.errors import AuditvaultError
from auditvault.ledger.durable import replace_file

_VERSION = "auditvault/signer-restores/1"


class RestoresError(AuditvaultError):
    """The file of restores cannot be read or written, or is none."""

    code = "restores_unreadable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Restore:
    """One log that goes on from an earlier checkpoint than the last that was signed."""

    origin: str
    epoch: int
    """2 after a log's first restore, then 3, and so on."""
    lost_size: int
    """Of the last checkpoint that was signed: what the restored log does not extend."""
    lost_root: str
    lost_note: str
    """That checkpoint whole: the evidence of what was lost."""
    lost_signed_at: str
    """When; so that the same checkpoint, signed again, is not lost by the same word."""
    kept_size: int
    """Of the checkpoint that it goes on from; 0 where nothing signed was left."""
    kept_root: str
    case: str
    record: str
    """Id of the record in the operator's log."""


def restores_file(state_file: Path) -> Path:
    """Where it is, beside the signer's state."""
    return state_file.with_name(f"{state_file.name}.restores")


def read_restores(state_file: Path) -> tuple[Restore, ...]:
    """Every restore that was answered for, oldest first; raises RestoresError."""
    try:
        body = json.loads(restores_file(state_file).read_text())
        if body["v"] != _VERSION:
            raise RestoresError("The file of restores is of another version.")
        return tuple(Restore(**restore) for restore in body["restores"])
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RestoresError("The file of restores cannot be read.") from error


def add_restores(state_file: Path, new: Sequence[Restore]) -> None:
    """Add some, durably; raises RestoresError."""
    body = {
        "v": _VERSION,
        "restores": [asdict(restore) for restore in (*read_restores(state_file), *new)],
    }
    try:
        replace_file(restores_file(state_file), json.dumps(body))
    except OSError as error:
        raise RestoresError("The file of restores cannot be written.") from error


def restore_of(
    restores: Sequence[Restore], *, origin: str, note: str, signed_at: str
) -> Restore | None:
    """The restore that explains why this checkpoint, the last signed of its log, is not reached."""
    for restore in restores:
        lost = (restore.origin, restore.lost_note, restore.lost_signed_at)
        if lost == (origin, note, signed_at):
            return restore
    return None
