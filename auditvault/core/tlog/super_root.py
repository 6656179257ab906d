"""The super-root: one tree over the newest checkpoint of every log, whose root a time-stamping authority stamps.

Rules kept: docs/spec/timestamp.md. One stamp covers every log of a region, and each log can be
proved to have been under it without showing another log. Asking the authority and checking its
signature (RFC 3161) are left to others: this module says which bytes are stamped, and proves that
a checkpoint is under them.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from typing import Any, ClassVar

from auditvault.core.errors import AuditvaultError
from auditvault.core.tlog.checkpoint import Checkpoint, CheckpointError, open_checkpoint
from auditvault.core.tlog.entry import leaf_hash
from auditvault.core.tlog.merkle import HASH_SIZE, MAX_SIZE, root_of, verify_inclusion
from auditvault.core.tlog.note import LogVerifier, NoteError, decode_base64
from auditvault.core.tlog.strict_json import StrictJsonError, check_keys, parse_object

SUPER_ROOT_NAME = "auditvault/super-root/1"
"""First line of the stamped text: format and version."""
PROOF_VERSION = "auditvault/timestamp/1"
MAX_PROOF_HASHES = 64
MAX_TIMESTAMP_SIZE = 128 * 1024
"""Bytes of a proof's JSON; an authority's answer has at most 64 KiB."""

_REQUIRED = frozenset({"v", "checkpoint", "index", "inclusion_proof", "super_root", "response"})
_HEX_32 = re.compile(r"[0-9a-f]{64}")


class SuperRootError(AuditvaultError):
    """Checkpoints, a text or leaves do not make a super-root."""

    code: ClassVar[str] = "super_root_malformed"


class TimestampProofError(AuditvaultError):
    """Bytes are no proof that a checkpoint was under a stamp."""

    code: ClassVar[str] = "timestamp_proof_malformed"


@dataclass(frozen=True, kw_only=True, slots=True)
class SuperRoot:
    """What is stamped; making one with a value outside its rule raises SuperRootError."""

    size: int
    """Number of logs, 1 to 2^63 - 1."""
    root: bytes
    """Root over their checkpoints, 32 bytes."""

    def __post_init__(self) -> None:
        if type(self.size) is not int or not 1 <= self.size <= MAX_SIZE:
            raise SuperRootError("a super-root is over one log or more")
        if not isinstance(self.root, bytes) or len(self.root) != HASH_SIZE:
            raise SuperRootError("a root is 32 bytes")

    def text(self) -> str:
        """Return the stamped text: name, size and root in base64, a newline after each.

        The size stands beside the root because an inclusion path alone does not bind it.
        """
        return f"{SUPER_ROOT_NAME}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"

    def imprint(self) -> bytes:
        """Return the message imprint that the authority is asked to stamp: SHA-256 of the text."""
        return sha256(self.text().encode()).digest()

    @classmethod
    def parse(cls, text: str) -> SuperRoot:
        """Read exactly what `text` writes; raises SuperRootError on anything else."""
        try:
            # The same three lines as a checkpoint's, under a name that no log has.
            read = Checkpoint.parse(text)
        except CheckpointError as error:
            raise SuperRootError("not the text of a super-root") from error
        if read.origin != SUPER_ROOT_NAME:
            raise SuperRootError("not the text of a super-root of version 1")
        return cls(size=read.size, root=read.root)


def checkpoint_leaf(checkpoint: Checkpoint) -> bytes:
    """Return the leaf hash of a log's checkpoint: SHA-256(0x00 || its text), without signatures."""
    return leaf_hash(checkpoint.body().encode())


@dataclass(frozen=True, slots=True)
class SuperRootTree:
    """The tree over some leaf hashes, in their order; at least one, 32 bytes each, or SuperRootError."""

    leaves: tuple[bytes, ...]
    """Leaf hashes, in the order of their logs' origins."""

    def __post_init__(self) -> None:
        if not self.leaves or any(len(leaf) != HASH_SIZE for leaf in self.leaves):
            raise SuperRootError("a super-root is over one 32-byte leaf hash or more")

    @classmethod
    def over(cls, checkpoints: Iterable[Checkpoint]) -> SuperRootTree:
        """Build the tree over one checkpoint of each log, given in ascending order of origins.

        Raises SuperRootError for none, for another order, or for two of one log.
        """
        listed = list(checkpoints)
        origins = [checkpoint.origin for checkpoint in listed]
        if any(left >= right for left, right in pairwise(origins)):
            raise SuperRootError("checkpoints stand in ascending order of origins, one a log")
        return cls(tuple(checkpoint_leaf(checkpoint) for checkpoint in listed))

    def super_root(self) -> SuperRoot:
        """Return size and root."""
        return SuperRoot(size=len(self.leaves), root=root_of(self.leaves))

    def inclusion_proof(self, index: int) -> tuple[bytes, ...]:
        """Return the siblings from leaf `index` up (RFC 9162 section 2.1.3.1); SuperRootError."""
        if type(index) is not int or not 0 <= index < len(self.leaves):
            raise SuperRootError("the index is not one of a leaf")
        return tuple(_path(index, self.leaves))


def _path(index: int, leaves: Sequence[bytes]) -> list[bytes]:
    """PATH(m, D_n) of RFC 9162: down the halves, each time noting the root of the other one."""
    siblings: list[bytes] = []
    while len(leaves) > 1:
        split = 1 << ((len(leaves) - 1).bit_length() - 1)
        left, right = leaves[:split], leaves[split:]
        if index < split:
            siblings.append(root_of(right))
            leaves = left
        else:
            siblings.append(root_of(left))
            index, leaves = index - split, right
    return siblings[::-1]


@dataclass(frozen=True, kw_only=True, slots=True)
class TimestampProof:
    """That a log's checkpoint was under a stamp, as read: well-formed, not yet verified."""

    checkpoint: str
    """The log's signed note."""
    index: int
    """Place of its leaf in the super-root's tree, from 0."""
    inclusion_proof: tuple[bytes, ...]
    """Siblings of 32 bytes, leaf side first; at most MAX_PROOF_HASHES."""
    super_root: SuperRoot
    """What was stamped."""
    response: bytes
    """The authority's answer: a TimeStampResp in DER (RFC 3161 section 2.4.2)."""

    @classmethod
    def from_json(cls, data: str | bytes) -> TimestampProof:
        """Read a proof's JSON; raises TimestampProofError unless it is one of version 1."""
        try:
            members = parse_object(data)
            if members.get("v") != PROOF_VERSION:
                raise TimestampProofError("not a time stamp proof of version 1")
            check_keys(members, required=_REQUIRED)
            return cls(
                checkpoint=_text(members, "checkpoint"),
                index=_index(members),
                inclusion_proof=_hashes(members),
                super_root=SuperRoot.parse(_text(members, "super_root")),
                response=decode_base64(_text(members, "response")),
            )
        except (StrictJsonError, NoteError, SuperRootError) as error:
            raise TimestampProofError(error.message) from error

    def to_json(self) -> bytes:
        """Return one JSON object that `from_json` reads: equal proofs give equal bytes."""
        return json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":")).encode()

    def to_dict(self) -> dict[str, Any]:
        """Return the members of the JSON object, as `from_json` reads them."""
        return {
            "v": PROOF_VERSION,
            "checkpoint": self.checkpoint,
            "index": self.index,
            "inclusion_proof": [sibling.hex() for sibling in self.inclusion_proof],
            "super_root": self.super_root.text(),
            "response": base64.b64encode(self.response).decode(),
        }

    def check_checkpoint(self, *, origin: str, verifiers: Iterable[LogVerifier]) -> Checkpoint:
        """Step 1: return the log's checkpoint after its signature; NoteError, CheckpointError."""
        return open_checkpoint(self.checkpoint, origin=origin, verifiers=verifiers)

    def check_inclusion(self, checkpoint: Checkpoint) -> bytes:
        """Step 2: prove that a checkpoint from step 1 is under the super-root; ProofError.

        Returns the imprint that the authority's answer has to be over (step 3).
        """
        verify_inclusion(
            leaf_hash=checkpoint_leaf(checkpoint),
            index=self.index,
            size=self.super_root.size,
            proof=self.inclusion_proof,
            root=self.super_root.root,
        )
        return self.super_root.imprint()


def _text(members: dict[str, Any], key: str) -> str:
    value = members[key]
    if not isinstance(value, str):
        raise TimestampProofError(f"{key} is not a string")
    return value


def _index(members: dict[str, Any]) -> int:
    value = members["index"]
    if type(value) is not int or not 0 <= value < MAX_SIZE:
        raise TimestampProofError("index is not an integer in its range")
    return value


def _hashes(members: dict[str, Any]) -> tuple[bytes, ...]:
    value = members["inclusion_proof"]
    if not isinstance(value, list) or len(value) > MAX_PROOF_HASHES:
        raise TimestampProofError(f"inclusion_proof is not a list of at most {MAX_PROOF_HASHES}")
    if any(not isinstance(item, str) or not _HEX_32.fullmatch(item) for item in value):
        raise TimestampProofError("inclusion_proof has an item that is not 64 hex digits")
    return tuple(bytes.fromhex(item) for item in value)
