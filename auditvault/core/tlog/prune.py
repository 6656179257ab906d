"""The prune record: what a log says about the entries that it gives up, before it gives them up.

Rules kept: docs/spec/prune.md section 2. A record is the header of an entry `log.pruned` of the same log; whether that
entry is in the log, opens to the record and was signed is left to the callers, who have entry, opening and checkpoints.
Whether a prune is allowed is left to `core.policy.pruning`.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from auditvault.core.errors import AuditvaultError
from auditvault.core.tlog.canonical import (
    MAX_INTEGER,
    CanonicalFormError,
    JsonValue,
    canonical_bytes,
    parse_canonical,
)
from auditvault.core.tlog.entry import EntryError, EntryFields, leaf_hash, read_fields
from auditvault.core.tlog.merkle import CompactRange, TreeError, verify_inclusion
from auditvault.core.tlog.note import NoteError, decode_base64
from auditvault.core.tlog.strict_json import StrictJsonError, check_keys
from auditvault.core.tlog.tiles import TILE_WIDTH

ENTRY_TYPE = "log.pruned"
PRUNE_VERSION = "auditvault/prune/1"

_KEYS = frozenset(
    {"v", "id", "log", "recorded_at", "policy", "previous", "minimum", "root", "range", "last"}
    | {"cutoff", "holds"}
)
_HEX_32 = re.compile(r"[0-9a-f]{64}")
_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_INSTANT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_MAX_HASHES = 64


class PruneRecordError(AuditvaultError):
    """Bytes are no prune record, or one that contradicts itself."""

    code: ClassVar[str] = "prune_record_malformed"


@dataclass(frozen=True, kw_only=True, slots=True)
class PruneRecord:
    """A prune record as read or to be written: of the right shape, nothing proved before `start`."""

    record_id: str
    """The record's UUID, as text."""
    log: str
    """Origin of the log."""
    recorded_at: str
    """Database time, as an entry's `t`."""
    policy_id: str
    """1 to 64 characters of `A-Z a-z 0-9 . _ -`."""
    policy_sha256: str
    """Of the policy file's bytes, in hex."""
    previous: int
    """The minimum index before; 0 where nothing was pruned."""
    minimum: int
    """The first entry that stays: previous < minimum <= 2^53 - 1, a multiple of 256."""
    root: bytes
    """Root of the tree of the first `minimum` entries, 32 bytes."""
    nodes: tuple[bytes, ...]
    """Its compact range, biggest subtree first."""
    last_entry: bytes
    """The entry `minimum` - 1."""
    signed_size: int
    """Size of the signed tree that `proof` leads to: at least `minimum`."""
    signed_root: bytes
    """Its root."""
    proof: tuple[bytes, ...]
    """Inclusion proof of the last entry in that tree."""
    cutoff: str
    """No entry that goes is younger, by its own `t`."""
    hold_sources: tuple[str, ...]
    """Where holds were looked for; empty where there is nothing yet that could hold."""
    holds_blocking: int
    """Always 0: with a hold in the way there is no record."""

    def to_bytes(self) -> bytes:
        """Return the header's bytes; raises PruneRecordError for a value outside its rule."""
        data = canonical_bytes(self._members())
        PruneRecord.from_bytes(data)
        return data

    def _members(self) -> dict[str, JsonValue]:
        return {
            "v": PRUNE_VERSION,
            "id": self.record_id,
            "log": self.log,
            "recorded_at": self.recorded_at,
            "policy": {"id": self.policy_id, "sha256": self.policy_sha256},
            "previous": self.previous,
            "minimum": self.minimum,
            "root": self.root.hex(),
            "range": [node.hex() for node in self.nodes],
            "last": {
                "entry": base64.b64encode(self.last_entry).decode(),
                "size": self.signed_size,
                "root": self.signed_root.hex(),
                "proof": [sibling.hex() for sibling in self.proof],
            },
            "cutoff": self.cutoff,
            "holds": {"sources": list(self.hold_sources), "blocking": self.holds_blocking},
        }

    @classmethod
    def from_bytes(cls, data: bytes) -> PruneRecord:
        """Read exactly what `to_bytes` writes; raises PruneRecordError on anything else."""
        try:
            return cls._read(_object(parse_canonical(data)))
        except (CanonicalFormError, StrictJsonError, NoteError) as error:
            raise PruneRecordError(f"no prune record: {error.message}") from error

    @classmethod
    def _read(cls, members: Mapping[str, Any]) -> PruneRecord:
        _require(members, _KEYS)
        if members["v"] != PRUNE_VERSION:
            raise PruneRecordError("not a prune record of version 1")
        policy, last, holds = (_object(members[key]) for key in ("policy", "last", "holds"))
        _require(policy, {"id", "sha256"})
        _require(last, {"entry", "size", "root", "proof"})
        _require(holds, {"sources", "blocking"})
        record = cls(
            record_id=_text(members["id"], _ID),
            log=_text(members["log"]),
            recorded_at=_text(members["recorded_at"], _INSTANT),
            policy_id=_text(policy["id"], _NAME),
            policy_sha256=_text(policy["sha256"], _HEX_32),
            previous=_number(members["previous"]),
            minimum=_number(members["minimum"]),
            root=_hash(members["root"]),
            nodes=_hashes(members["range"]),
            last_entry=decode_base64(_text(last["entry"])),
            signed_size=_number(last["size"]),
            signed_root=_hash(last["root"]),
            proof=_hashes(last["proof"]),
            cutoff=_text(members["cutoff"], _INSTANT),
            hold_sources=tuple(_text(item, _NAME) for item in _list(holds["sources"])),
            holds_blocking=_number(holds["blocking"]),
        )
        record._check_numbers()
        return record

    def _check_numbers(self) -> None:
        if not self.previous < self.minimum <= self.signed_size:
            raise PruneRecordError("a prune is 0 <= previous < minimum <= signed size")
        if self.previous % TILE_WIDTH or self.minimum % TILE_WIDTH:
            raise PruneRecordError("a minimum is a multiple of 256")
        if self.holds_blocking:
            raise PruneRecordError("a hold was in the way")

    def start(self) -> PruneStart:
        """Return where reading the log begins after the prune, once the record agrees with itself.

        The caller has to compare `tree` with what was signed: it must lead there. Raises PruneRecordError, or a
        ProofError where the last entry is not proved.
        """
        try:
            tree = CompactRange(self.minimum, self.nodes)
            last = read_fields(self.last_entry)
        except (TreeError, EntryError) as error:
            raise PruneRecordError(error.message) from error
        if tree.root() != self.root:
            raise PruneRecordError("the range folds to another root")
        if (last.log, last.index) != (self.log, self.minimum - 1):
            raise PruneRecordError("the last entry is another one than the minimum says")
        if last.recorded_at > self.cutoff or self.cutoff > self.recorded_at:
            raise PruneRecordError("entries younger than the cutoff, or a cutoff to come")
        leaf = leaf_hash(self.last_entry)
        verify_inclusion(
            leaf_hash=leaf,
            index=self.minimum - 1,
            size=self.signed_size,
            proof=self.proof,
            root=self.signed_root,
        )
        return PruneStart(tree=tree, leaf=leaf, time=last.recorded_at)

    def check_place(self, entry: EntryFields) -> None:
        """Raise PruneRecordError unless that entry of the log can be the one that carries this record."""
        if entry.type != ENTRY_TYPE or entry.log != self.log:
            raise PruneRecordError("the entry is no prune entry of this log")
        if entry.index < self.signed_size or entry.recorded_at < self.recorded_at:
            raise PruneRecordError("the entry was there before what the record says")


@dataclass(frozen=True, kw_only=True, slots=True)
class PruneStart:
    """Where a pruned log begins: the tree of what is gone, its last leaf and that entry's time."""

    tree: CompactRange
    leaf: bytes
    time: str


def _require(members: Mapping[str, Any], keys: frozenset[str] | set[str]) -> None:
    check_keys(dict(members), required=keys)


def _object(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise PruneRecordError("a prune record and its parts are objects")
    return value


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list) or len(value) > _MAX_HASHES:
        raise PruneRecordError("a list of at most 64 is meant")
    return value


def _text(value: Any, form: re.Pattern[str] | None = None) -> str:
    if not isinstance(value, str) or (form is not None and not form.fullmatch(value)):
        raise PruneRecordError("a member is not of its form")
    return value


def _number(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= MAX_INTEGER:
        raise PruneRecordError("an index or size is an integer from 0 to 2^53 - 1")
    return value


def _hash(value: Any) -> bytes:
    return bytes.fromhex(_text(value, _HEX_32))


def _hashes(value: Any) -> tuple[bytes, ...]:
    return tuple(_hash(item) for item in _list(value))
