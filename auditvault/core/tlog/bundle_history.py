"""How a region's signing keys came and went, as a bundle brings it: checkpoints of the operator's log with entries.

Rules kept: docs/spec/bundle.md section 10. Reading checks the shape; `KeyRecord.check` proves one entry under one
checkpoint. Which keys follow from it is left to `key_history`.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from auditvault.core.tlog.bundle_manifest import BundleError, BundleMismatchError
from auditvault.core.tlog.canonical import CanonicalFormError, canonical_bytes, parse_canonical
from auditvault.core.tlog.checkpoint import Checkpoint
from auditvault.core.tlog.commitment import CommitmentMismatchError, verify_header_commitment
from auditvault.core.tlog.entry import leaf_hash, read_fields
from auditvault.core.tlog.key_events import (
    ENTRY_TYPE_RETIRED,
    KEY_ENTRY_TYPES,
    KeyEventMalformedError,
    key_in,
)
from auditvault.core.tlog.log_key import LogKey
from auditvault.core.tlog.merkle import verify_inclusion
from auditvault.core.tlog.note import NoteError, decode_base64

HISTORY = "bundle/history/"
MAX_STEPS = 1024
"""Of one bundle."""
MAX_STEP_SIZE = 2 * 2**20
"""Bytes of one member."""

_NAME = re.compile(r"bundle/history/([0-9]{19})")
_HEX_32 = re.compile(r"[0-9a-f]{64}")
_MAX_HASHES = 126
_MAX_RECORDS = 256


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyEvent:
    """What an entry is proved to say of a key."""

    index: int
    retires: bool
    """False: it announces the key."""
    key: LogKey


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyRecord:
    """An entry that says of a key that it comes or goes, its header, and its inclusion proof."""

    entry: bytes
    header: bytes
    opening: bytes
    inclusion: tuple[bytes, ...]
    """At the size of the checkpoint that it stands with."""

    def check(self, checkpoint: Checkpoint) -> KeyEvent:
        """Prove that the log of `checkpoint` has the entry, and return what it says.

        Raises EntryError, BundleMismatchError, KeyEventMalformedError, CanonicalFormError or a ProofError.
        """
        fields = read_fields(self.entry)
        if fields.log != checkpoint.origin or fields.type not in KEY_ENTRY_TYPES:
            raise BundleMismatchError("a key's entry is of another log, or says nothing of a key")
        verify_inclusion(
            leaf_hash=leaf_hash(self.entry),
            index=fields.index,
            size=checkpoint.size,
            proof=self.inclusion,
            root=checkpoint.root,
        )
        try:
            verify_header_commitment(
                fields.commitment,
                opening=self.opening,
                entry_type=fields.type,
                header_bytes=self.header,
            )
            key = key_in(self.header)
        except (CommitmentMismatchError, KeyEventMalformedError) as error:
            raise BundleMismatchError(f"key entry {fields.index}: {error.message}") from error
        return KeyEvent(index=fields.index, retires=fields.type == ENTRY_TYPE_RETIRED, key=key)


@dataclass(frozen=True, kw_only=True, slots=True)
class HistoryStep:
    """One checkpoint of the operator's log, and the keys' entries that no step before it covers."""

    checkpoint: str
    """Signed note."""
    consistency: tuple[bytes, ...] = ()
    """From the step before; empty in the first."""
    records: tuple[KeyRecord, ...] = ()
    """In ascending order of indices."""

    def to_bytes(self) -> bytes:
        """Return the member's content."""
        return canonical_bytes(
            {
                "checkpoint": self.checkpoint,
                "consistency": [value.hex() for value in self.consistency],
                "records": [
                    {
                        "entry": base64.b64encode(record.entry).decode(),
                        "header": base64.b64encode(record.header).decode(),
                        "opening": record.opening.hex(),
                        "inclusion": [value.hex() for value in record.inclusion],
                    }
                    for record in self.records
                ],
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> HistoryStep:
        """Read exactly what `to_bytes` writes; raises BundleError on anything else."""
        try:
            match parse_canonical(data):
                case {
                    "checkpoint": str(checkpoint),
                    "consistency": list(consistency),
                    "records": list(records),
                    **rest,
                } if not rest and len(records) <= _MAX_RECORDS:
                    return cls(
                        checkpoint=checkpoint,
                        consistency=_hashes(consistency),
                        records=tuple(_record(record) for record in records),
                    )
        except (CanonicalFormError, NoteError) as error:
            raise BundleError(f"a step of the keys' history is none: {error.message}") from error
        raise BundleError("a step of the keys' history is a checkpoint, a proof and records")


def step_name(size: int) -> str:
    """Return the name of the member about the operator's log at `size` entries."""
    return f"{HISTORY}{size:019d}"


def step_sizes(members: Iterable[str]) -> list[int]:
    """Return the sizes of the operator's log that there are members about, ascending; BundleError."""
    listed = [name for name in members if name.startswith(HISTORY)]
    sizes = sorted(int(found[1]) for found in map(_NAME.fullmatch, listed) if found)
    if len(sizes) != len(listed) or len(sizes) > MAX_STEPS:
        raise BundleError("a step of the keys' history is named by its size, and there are few")
    return sizes


def _record(value: Any) -> KeyRecord:
    match value:
        case {
            "entry": str(entry),
            "header": str(header),
            "opening": str(opening),
            "inclusion": list(inclusion),
            **rest,
        } if not rest and _HEX_32.fullmatch(opening):
            return KeyRecord(
                entry=decode_base64(entry),
                header=decode_base64(header),
                opening=bytes.fromhex(opening),
                inclusion=_hashes(inclusion),
            )
    raise BundleError("a key's record is an entry, a header, an opening and a proof")


def _hashes(values: list[Any]) -> tuple[bytes, ...]:
    if len(values) > _MAX_HASHES:
        raise BundleError("a proof is a list of at most 126 hashes")
    if not all(isinstance(item, str) and _HEX_32.fullmatch(item) for item in values):
        raise BundleError("a hash is 32 bytes in hex")
    return tuple(bytes.fromhex(item) for item in values)
