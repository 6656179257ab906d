"""The receipt: what a caller keeps to prove, without the service, that a record is in the log.

Rules kept: docs/spec/receipt.md sections 1 and 3. Reading a receipt checks its shape only; each
step of the verification is a method of its own, so that a report can go on after one has failed,
and `verify` is all of them. Keys come from the caller (`trust`). Consistency with other
checkpoints is left to `merkle.verify_consistency`.
"""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from auditvault.core.errors import AuditvaultError
from auditvault.core.tlog.canonical import JsonValue, parse_canonical
from auditvault.core.tlog.checkpoint import Checkpoint, open_checkpoint
from auditvault.core.tlog.commitment import verify_header_commitment
from auditvault.core.tlog.entry import MAX_INDEX, Entry, leaf_hash
from auditvault.core.tlog.merkle import MAX_SIZE, verify_inclusion
from auditvault.core.tlog.note import LogVerifier, NoteError, decode_base64
from auditvault.core.tlog.origin import OriginError, check_origin
from auditvault.core.tlog.strict_json import StrictJsonError, check_keys, parse_object

RECEIPT_VERSION = "auditvault/receipt/1"
MAX_PROOF_HASHES = 64

_REQUIRED = frozenset(
    {"v", "interaction_id", "log", "index", "entry", "leaf_hash", "inclusion_proof", "checkpoint"}
)
_OPTIONAL = frozenset({"header", "opening"})
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_HEX_32 = re.compile(r"[0-9a-f]{64}")


class ReceiptError(AuditvaultError):
    """A receipt does not have the form of one."""

    code: ClassVar[str] = "receipt_malformed"


class ReceiptMismatchError(ReceiptError):
    """Two parts of a receipt say different things."""

    code: ClassVar[str] = "receipt_mismatch"


class ReceiptPendingError(ReceiptError):
    """No checkpoint covers the entry yet."""

    code: ClassVar[str] = "receipt_pending"


class ReceiptOpeningError(ReceiptError):
    """Header and opening are needed together."""

    code: ClassVar[str] = "receipt_opening_incomplete"


@dataclass(frozen=True, kw_only=True, slots=True)
class InclusionProof:
    """The path from the entry's leaf to the root of the tree of `size` entries."""

    size: int
    """Number of entries of the tree, 0 to 2^63 - 1."""
    hashes: tuple[bytes, ...]
    """Siblings of 32 bytes, leaf side first; at most MAX_PROOF_HASHES."""


@dataclass(frozen=True, kw_only=True, slots=True)
class VerifiedReceipt:
    """What a receipt proved."""

    entry: Entry
    """The entry, which is in the log."""
    checkpoint: Checkpoint
    """The signed tree head that covers it."""
    header: dict[str, JsonValue] | None
    """The header that the entry commits to; None when the receipt did not carry it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Receipt:
    """A receipt as read: well-formed, not yet verified."""

    interaction_id: str
    """The service's name of the record, a lower-case UUID; only a header's `id` binds it."""
    log: str
    """Origin of the log."""
    index: int
    """Position in the log, from 0."""
    entry: bytes
    """The entry's bytes."""
    leaf_hash: bytes
    """Their leaf hash, 32 bytes."""
    inclusion_proof: InclusionProof | None
    """None while no checkpoint covers the entry."""
    checkpoint: str | None
    """Signed note; None together with `inclusion_proof`."""
    header: bytes | None = None
    """The header's canonical bytes, where the receipt carries them."""
    opening: bytes | None = None
    """32 bytes that open the entry's commitment to the header."""

    @classmethod
    def from_json(cls, data: str | bytes) -> Receipt:
        """Read a receipt's JSON; raises ReceiptError unless it is one of version 1."""
        try:
            members = parse_object(data)
            if members.get("v") != RECEIPT_VERSION:
                raise ReceiptError("not a receipt of version 1")
            check_keys(members, required=_REQUIRED, optional=_OPTIONAL)
            check_origin(_text(members, "log"))
            return cls(
                interaction_id=_uuid(members, "interaction_id"),
                log=members["log"],
                index=_integer(members, "index", MAX_INDEX),
                entry=decode_base64(_text(members, "entry")),
                leaf_hash=_hash(members["leaf_hash"]),
                inclusion_proof=_inclusion_proof(members),
                checkpoint=None if members["checkpoint"] is None else _text(members, "checkpoint"),
                header=decode_base64(_text(members, "header")) if "header" in members else None,
                opening=_hash(members["opening"]) if "opening" in members else None,
            )
        except (StrictJsonError, NoteError, OriginError) as error:
            raise ReceiptError(error.message) from error

    def to_dict(self) -> dict[str, Any]:
        """Return the members of the receipt's JSON object, as `from_json` reads them."""
        proof = self.inclusion_proof
        members: dict[str, Any] = {
            "v": RECEIPT_VERSION,
            "interaction_id": self.interaction_id,
            "log": self.log,
            "index": self.index,
            "entry": _base64(self.entry),
            "leaf_hash": self.leaf_hash.hex(),
            "inclusion_proof": None
            if proof is None
            else {"size": proof.size, "hashes": [value.hex() for value in proof.hashes]},
            "checkpoint": self.checkpoint,
        }
        if self.header is not None:
            members["header"] = _base64(self.header)
        if self.opening is not None:
            members["opening"] = self.opening.hex()
        return members

    def verify(self, verifiers: Iterable[LogVerifier]) -> VerifiedReceipt:
        """Verify everything the receipt carries, under keys that the caller trusts.

        Raises the errors of the single steps, ReceiptPendingError while no checkpoint covers the
        entry, and ReceiptOpeningError for a header without an opening or the other way round.
        """
        entry = self.check_entry()
        self.check_leaf_hash()
        checkpoint = self.check_checkpoint(verifiers)
        self.check_inclusion(checkpoint)
        has_header = self.header is not None or self.opening is not None
        header = self.check_header(entry) if has_header else None
        return VerifiedReceipt(entry=entry, checkpoint=checkpoint, header=header)

    def check_entry(self) -> Entry:
        """Step 1: return the strictly read entry; EntryError, ReceiptMismatchError."""
        entry = Entry.from_bytes(self.entry)
        if entry.log != self.log:
            raise ReceiptMismatchError("the entry is of another log than the receipt says")
        if entry.index != self.index:
            raise ReceiptMismatchError("the entry has another index than the receipt says")
        return entry

    def check_leaf_hash(self) -> bytes:
        """Step 2: return the entry's leaf hash, computed; ReceiptMismatchError."""
        computed = leaf_hash(self.entry)
        if not hmac.compare_digest(computed, self.leaf_hash):
            raise ReceiptMismatchError("the leaf hash is not the one of the entry")
        return computed

    def check_checkpoint(self, verifiers: Iterable[LogVerifier]) -> Checkpoint:
        """Step 3: return the checkpoint after its signature; NoteError, CheckpointError."""
        if self.checkpoint is None:
            raise ReceiptPendingError("no checkpoint covers the entry yet")
        return open_checkpoint(self.checkpoint, origin=self.log, verifiers=verifiers)

    def check_inclusion(self, checkpoint: Checkpoint) -> None:
        """Step 4: check the proof against a checkpoint from step 3; ProofError."""
        if self.inclusion_proof is None:
            raise ReceiptPendingError("no checkpoint covers the entry yet")
        if self.inclusion_proof.size != checkpoint.size:
            raise ReceiptMismatchError("the proof is for another size than the checkpoint's")
        verify_inclusion(
            leaf_hash=leaf_hash(self.entry),
            index=self.index,
            size=checkpoint.size,
            proof=self.inclusion_proof.hashes,
            root=checkpoint.root,
        )

    def check_header(self, entry: Entry) -> dict[str, JsonValue]:
        """Step 5: return the header that `entry`, from step 1, commits to.

        Raises ReceiptOpeningError, CommitmentError, CanonicalFormError or ReceiptMismatchError.
        """
        if self.header is None or self.opening is None:
            raise ReceiptOpeningError("header and opening are needed together")
        verify_header_commitment(
            entry.commitment,
            opening=self.opening,
            entry_type=entry.type,
            header_bytes=self.header,
        )
        header = parse_canonical(self.header)
        if not isinstance(header, dict):
            raise ReceiptMismatchError("the header is not a JSON object")
        if header.get("id", self.interaction_id) != self.interaction_id:
            raise ReceiptMismatchError("the header is of another record than the receipt names")
        return header


def _inclusion_proof(members: dict[str, Any]) -> InclusionProof | None:
    proof = members["inclusion_proof"]
    if (proof is None) != (members["checkpoint"] is None):
        raise ReceiptError("inclusion_proof and checkpoint are null together")
    if proof is None:
        return None
    if not isinstance(proof, dict):
        raise ReceiptError("inclusion_proof is an object or null")
    check_keys(proof, required={"size", "hashes"})
    hashes = proof["hashes"]
    if not isinstance(hashes, list) or len(hashes) > MAX_PROOF_HASHES:
        raise ReceiptError("hashes is a list of at most 64")
    return InclusionProof(
        size=_integer(proof, "size", MAX_SIZE), hashes=tuple(_hash(value) for value in hashes)
    )


def _integer(members: dict[str, Any], key: str, maximum: int) -> int:
    value = members[key]
    if type(value) is not int or not 0 <= value <= maximum:
        raise ReceiptError(f"{key} is an integer from 0")
    return value


def _text(members: dict[str, Any], key: str) -> str:
    value = members[key]
    if not isinstance(value, str):
        raise ReceiptError(f"{key} is a string")
    return value


def _uuid(members: dict[str, Any], key: str) -> str:
    value = _text(members, key)
    if not _UUID.fullmatch(value):
        raise ReceiptError(f"{key} is a lower-case UUID")
    return value


def _hash(value: Any) -> bytes:
    if not isinstance(value, str) or not _HEX_32.fullmatch(value):
        raise ReceiptError("a hash and an opening are 64 lower-case hex digits")
    return bytes.fromhex(value)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
