"""Names of checkpoints in a write-once copy: size first, so that they sort; then the note's own hash.

Rules kept: docs/spec/copies.md section 1. Where objects are kept is left to who reads and writes them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256
from typing import ClassVar

from auditvault.core.errors import AuditvaultError
from auditvault.core.tlog.merkle import MAX_SIZE

CHECKPOINTS = "checkpoints"
"""The folder beside `tile`."""

_NAME = re.compile(r"([0-9]{19})-([0-9a-f]{64})")


class CopyNameError(AuditvaultError):
    """A name is not that of a copied checkpoint, or content is not that of its name."""

    code: ClassVar[str] = "copy_damaged"


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class CopiedName:
    """What a name says; ordered as names are."""

    size: int
    """Of the checkpoint, 1 to 2^63 - 1."""
    digest: str
    """SHA-256 of the note, lower-case hex."""

    @classmethod
    def of(cls, size: int, note: bytes) -> CopiedName:
        """The name that a checkpoint of this size gets."""
        return cls(size=size, digest=sha256(note).hexdigest())

    @classmethod
    def parse(cls, name: str) -> CopiedName:
        """Read what `str` writes; raises CopyNameError on anything else."""
        match = _NAME.fullmatch(name)
        if match is None or not 0 < int(match[1]) <= MAX_SIZE:
            raise CopyNameError("not the name of a copied checkpoint")
        return cls(size=int(match[1]), digest=match[2])

    def check(self, note: bytes) -> None:
        """Raise CopyNameError unless `note` is what the name says."""
        if sha256(note).hexdigest() != self.digest:
            raise CopyNameError(f"the copied checkpoint of {self.size} is not what its name says")

    def __str__(self) -> str:
        return f"{self.size:019d}-{self.digest}"
