"""The checkpoint: how many entries a log has, and the root over them, as the text of a signed note.

Rules kept: docs/spec/checkpoint.md section 1 and c2sp.org/tlog-checkpoint, without extension
lines. Whether a checkpoint is consistent with an earlier one is left to
`merkle.verify_consistency` and the signer. The note functions stand in `note`; they are exported
here too, because nobody handles a checkpoint without them.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from auditvault.core.errors import AuditvaultError
from auditvault.core.tlog.merkle import EMPTY_ROOT, HASH_SIZE, MAX_SIZE
from auditvault.core.tlog.note import (
    LogVerifier,
    NoteError,
    NoteSignatureError,
    NoteSigner,
    NoteUntrustedError,
    NoteVerifier,
    decode_base64,
    open_note,
    sign_note,
)
from auditvault.core.tlog.origin import OriginError, check_origin

__all__ = [
    "Checkpoint",
    "CheckpointError",
    "LogVerifier",
    "NoteError",
    "NoteSignatureError",
    "NoteSigner",
    "NoteUntrustedError",
    "NoteVerifier",
    "open_checkpoint",
    "open_note",
    "sign_note",
]

_LINES = 3
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")


class CheckpointError(AuditvaultError):
    """A text or some values are not a checkpoint."""

    code: ClassVar[str] = "checkpoint_malformed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    """A tree head; making one with a value outside its rule raises CheckpointError."""

    origin: str
    """The log."""
    size: int
    """Number of entries, 0 to 2^63 - 1."""
    root: bytes
    """Root over them, 32 bytes; the empty root for size 0."""

    def __post_init__(self) -> None:
        try:
            check_origin(self.origin)
        except OriginError as error:
            raise CheckpointError(error.message) from error
        if type(self.size) is not int or not 0 <= self.size <= MAX_SIZE:
            raise CheckpointError("a size is an integer from 0 to 2^63 - 1")
        if len(self.root) != HASH_SIZE:
            raise CheckpointError("a root is 32 bytes")
        if self.size == 0 and self.root != EMPTY_ROOT:
            raise CheckpointError("a tree without leaves has the empty root")

    def body(self) -> str:
        """Return the note text: origin, size and root in base64, a newline after each."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"

    @classmethod
    def parse(cls, body: str) -> Checkpoint:
        """Read exactly what `body` writes; raises CheckpointError on anything else."""
        lines = body.split("\n")
        if len(lines) != _LINES + 1 or lines[_LINES]:
            raise CheckpointError("a checkpoint is three lines, each ended by a newline")
        origin, size, root = lines[:_LINES]
        if not _SIZE.fullmatch(size):
            raise CheckpointError("a size is a decimal without leading zeros")
        try:
            decoded = decode_base64(root)
        except NoteError as error:
            raise CheckpointError("a root is base64") from error
        return cls(origin=origin, size=int(size), root=decoded)


def open_checkpoint(note: str, *, origin: str, verifiers: Iterable[LogVerifier]) -> Checkpoint:
    """Return the checkpoint of log `origin` that `note` carries.

    Only verifiers whose name is `origin` count: a key trusted for one log says nothing about
    another. Raises NoteError and its subclasses as `open_note` does, CheckpointError when the
    text is not a checkpoint of `origin`.
    """
    named = [verifier for verifier in verifiers if verifier.name == origin]
    checkpoint = Checkpoint.parse(open_note(note, named))
    if checkpoint.origin != origin:
        raise CheckpointError("the checkpoint is of another log")
    return checkpoint
