"""A C2SP tlog-proof: one entry's inclusion under a signed checkpoint, as text that other tools read too.

Rules kept: c2sp.org/tlog-proof and docs/spec/proof.md section 6. The entry's bytes travel as the
proof's extra data, which nobody trusts: they are hashed, and the proof says whether that leaf is in
the log. Which keys to trust is left to the caller.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from auditvault.core.errors import AuditvaultError
from auditvault.core.tlog.checkpoint import Checkpoint, open_checkpoint
from auditvault.core.tlog.entry import MAX_ENTRY_SIZE, MAX_INDEX, leaf_hash
from auditvault.core.tlog.merkle import HASH_SIZE, verify_inclusion
from auditvault.core.tlog.note import MAX_NOTE_SIZE, LogVerifier, NoteError, decode_base64

TLOG_PROOF_NAME = "c2sp.org/tlog-proof@v1"
"""First line: format and version."""

MAX_PROOF_HASHES = 64
MAX_TLOG_PROOF_SIZE = MAX_NOTE_SIZE + 2 * MAX_ENTRY_SIZE
"""Bytes of UTF-8."""

_INDEX = re.compile(r"index (0|[1-9][0-9]{0,18})")


class TlogProofError(AuditvaultError):
    """A text is no tlog-proof of version 1."""

    code: ClassVar[str] = "tlog_proof_malformed"


@dataclass(frozen=True, kw_only=True, slots=True)
class TlogProof:
    """A proof as read: well-formed, not yet verified; TlogProofError for values outside their rules."""

    index: int
    """Position in the log, 0 to MAX_INDEX."""
    hashes: tuple[bytes, ...]
    """Siblings of 32 bytes, leaf side first; at most MAX_PROOF_HASHES."""
    checkpoint: str
    """The signed note, cosignatures included."""
    entry: bytes | None = None
    """The entry's bytes, 1 to MAX_ENTRY_SIZE; None when the proof came without."""

    def __post_init__(self) -> None:
        if type(self.index) is not int or not 0 <= self.index <= MAX_INDEX:
            raise TlogProofError("an index is an integer from 0")
        if len(self.hashes) > MAX_PROOF_HASHES or any(len(h) != HASH_SIZE for h in self.hashes):
            raise TlogProofError("a proof is at most 64 hashes of 32 bytes")
        if self.entry is not None and not 1 <= len(self.entry) <= MAX_ENTRY_SIZE:
            raise TlogProofError("an entry is 1 to 65,535 bytes")

    def to_text(self) -> str:
        """Return the proof's text."""
        extra = [] if self.entry is None else [f"extra {_base64(self.entry)}"]
        hashes = map(_base64, self.hashes)
        lines = [TLOG_PROOF_NAME, *extra, f"index {self.index}", *hashes, "", self.checkpoint]
        return "\n".join(lines)

    @classmethod
    def parse(cls, text: str) -> TlogProof:
        """Read exactly what `to_text` writes; raises TlogProofError on anything else."""
        head, separator, checkpoint = text.partition("\n\n")
        if len(text.encode()) > MAX_TLOG_PROOF_SIZE or not separator:
            raise TlogProofError("a proof is some lines, an empty one, and a checkpoint")
        name, *lines = head.split("\n")
        if name != TLOG_PROOF_NAME:
            raise TlogProofError("not a tlog-proof of version 1")
        try:
            entry = decode_base64(lines.pop(0)[6:]) if lines and _is_extra(lines[0]) else None
            found = _INDEX.fullmatch(lines.pop(0)) if lines else None
            if found is None:
                raise TlogProofError("a proof names its index, a decimal without leading zeros")
            hashes = tuple(decode_base64(line) for line in lines[: MAX_PROOF_HASHES + 1])
        except NoteError as error:
            raise TlogProofError("a hash and extra data are base64") from error
        return cls(index=int(found[1]), hashes=hashes, checkpoint=checkpoint, entry=entry)

    def check_checkpoint(self, *, origin: str, verifiers: Iterable[LogVerifier]) -> Checkpoint:
        """Return the checkpoint after its signature; NoteError, CheckpointError."""
        return open_checkpoint(self.checkpoint, origin=origin, verifiers=verifiers)

    def check_inclusion(self, entry: bytes, checkpoint: Checkpoint) -> None:
        """Raise a ProofError unless `entry` is in the log under a checkpoint that was checked."""
        verify_inclusion(
            leaf_hash=leaf_hash(entry),
            index=self.index,
            size=checkpoint.size,
            proof=self.hashes,
            root=checkpoint.root,
        )


def _is_extra(line: str) -> bool:
    return line.startswith("extra ")


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
