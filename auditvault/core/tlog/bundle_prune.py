"""What a log gave up, as a bundle proves it: each prune record with its entry, and what leads to the checkpoint.

Rules kept: docs/spec/bundle.md and docs/spec/prune.md. Reading checks the shape; `check` proves it all against one
signed checkpoint, and nothing of it is believed before.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from auditvault.core.tlog.bundle_manifest import BundleError, BundleMismatchError, Scope
from auditvault.core.tlog.canonical import CanonicalFormError, canonical_bytes, parse_canonical
from auditvault.core.tlog.checkpoint import Checkpoint
from auditvault.core.tlog.commitment import (
    CommitmentMismatchError,
    verify_header_commitment,
)
from auditvault.core.tlog.entry import leaf_hash, read_fields
from auditvault.core.tlog.merkle import verify_consistency, verify_inclusion
from auditvault.core.tlog.note import NoteError, decode_base64
from auditvault.core.tlog.prune import PruneRecord, PruneStart

PRUNES = "bundle/prune/"
MAX_PRUNES = 256
"""Of one bundle."""
MAX_PRUNE_SIZE = 256 * 1024
"""Bytes of one member."""

_NAME = re.compile(r"bundle/prune/([0-9]{19})")
_KEYS = frozenset({"entry", "header", "opening", "inclusion", "last_inclusion", "consistency"})
_HEX_32 = re.compile(r"[0-9a-f]{64}")
_MAX_HASHES = 126


@dataclass(frozen=True, kw_only=True, slots=True)
class PruneEvidence:
    """One prune of the log: its entry, and the proofs at the size of the bundle's checkpoint."""

    entry: bytes
    header: bytes
    """The prune record."""
    opening: bytes
    inclusion: tuple[bytes, ...]
    """Of the prune entry."""
    last_inclusion: tuple[bytes, ...]
    """Of the last entry that was given up."""
    consistency: tuple[bytes, ...]
    """From the minimum; empty where that is the checkpoint's size."""

    def to_bytes(self) -> bytes:
        """Return the member's content."""
        return canonical_bytes(
            {
                "entry": base64.b64encode(self.entry).decode(),
                "header": base64.b64encode(self.header).decode(),
                "opening": self.opening.hex(),
                "inclusion": [value.hex() for value in self.inclusion],
                "last_inclusion": [value.hex() for value in self.last_inclusion],
                "consistency": [value.hex() for value in self.consistency],
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> PruneEvidence:
        """Read exactly what `to_bytes` writes; raises BundleError on anything else."""
        try:
            members = parse_canonical(data)
            if not isinstance(members, dict) or members.keys() != _KEYS:
                raise BundleError("a prune has an entry, a header, an opening and three proofs")
            opening = _text(members["opening"])
            if not _HEX_32.fullmatch(opening):
                raise BundleError("an opening is 32 bytes in hex")
            return cls(
                entry=decode_base64(_text(members["entry"])),
                header=decode_base64(_text(members["header"])),
                opening=bytes.fromhex(opening),
                inclusion=_hashes(members["inclusion"]),
                last_inclusion=_hashes(members["last_inclusion"]),
                consistency=_hashes(members["consistency"]),
            )
        except (CanonicalFormError, NoteError) as error:
            raise BundleError(f"a prune is none: {error.message}") from error

    def check(self, index: int, checkpoint: Checkpoint) -> ProvedPrune:
        """Prove that the log said this at `index`, and that its first entries were what it says.

        `checkpoint` is one whose signature was checked. Raises BundleMismatchError, EntryError, PruneRecordError or a
        ProofError.
        """
        fields = read_fields(self.entry)
        if (fields.log, fields.index) != (checkpoint.origin, index):
            raise BundleMismatchError("a prune entry is of another log, or at another place")
        _prove(self.entry, index, self.inclusion, checkpoint)
        try:
            verify_header_commitment(
                fields.commitment,
                opening=self.opening,
                entry_type=fields.type,
                header_bytes=self.header,
            )
        except CommitmentMismatchError as error:
            raise BundleMismatchError(f"prune {index}: {error.message}") from error
        record = PruneRecord.from_bytes(self.header)
        record.check_place(fields)
        start = record.start()
        _prove(record.last_entry, record.minimum - 1, self.last_inclusion, checkpoint)
        verify_consistency(
            old_size=record.minimum,
            new_size=checkpoint.size,
            old_root=record.root,
            new_root=checkpoint.root,
            proof=self.consistency,
        )
        return ProvedPrune(record=record, start=start)


@dataclass(frozen=True, kw_only=True, slots=True)
class ProvedPrune:
    """A prune that the log is proved to have recorded."""

    record: PruneRecord
    start: PruneStart


def check_prunes(
    evidence: Iterable[tuple[int, PruneEvidence]], checkpoint: Checkpoint
) -> list[ProvedPrune]:
    """Prove each prune, given with its entry's index in order; each has to begin where the one before ended.

    Raises as `PruneEvidence.check`.
    """
    proved: list[ProvedPrune] = []
    for index, item in evidence:
        found = item.check(index, checkpoint)
        if proved and found.record.previous != proved[-1].record.minimum:
            raise BundleMismatchError("a prune does not begin where the one before ended")
        proved.append(found)
    return proved


def prune_name(index: int) -> str:
    """Return the name of the member about the prune entry at `index`."""
    return f"{PRUNES}{index:019d}"


def prune_indices(members: Iterable[str], scope: Scope) -> list[int]:
    """Return the indices of the prune entries that there are members about, ascending; BundleError."""
    listed = [name for name in members if name.startswith(PRUNES)]
    found = [_NAME.fullmatch(name) for name in listed]
    indices = sorted(int(match[1]) for match in found if match)
    if len(indices) != len(listed) or len(indices) > MAX_PRUNES:
        raise BundleError("a prune is named by its entry's index, and there are few")
    if indices and indices[-1] >= scope.size:
        raise BundleError("a prune entry lies beyond the checkpoint")
    return indices


def _prove(entry: bytes, index: int, proof: Sequence[bytes], checkpoint: Checkpoint) -> None:
    verify_inclusion(
        leaf_hash=leaf_hash(entry),
        index=index,
        size=checkpoint.size,
        proof=proof,
        root=checkpoint.root,
    )


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise BundleError("a member of a prune is a string")
    return value


def _hashes(value: Any) -> tuple[bytes, ...]:
    if not isinstance(value, list) or len(value) > _MAX_HASHES:
        raise BundleError("a proof is a list of at most 126 hashes")
    texts = [_text(item) for item in value]
    if not all(_HEX_32.fullmatch(item) for item in texts):
        raise BundleError("a hash is 32 bytes in hex")
    return tuple(bytes.fromhex(item) for item in texts)
