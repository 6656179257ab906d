"""Reads an evidence bundle and verifies it, step by step, under keys that the caller trusts.

Rules kept: docs/spec/bundle.md section 6. Opening a bundle checks that the file is one; each step
of the verification is a method that returns what it found or raises, so that a report can go on
after one has failed. Nothing in the bundle is trusted, its `bundle/keys` included. A part is read
at a time: memory does not grow with the bundle.
"""

from __future__ import annotations

import hmac
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import BinaryIO, ClassVar

from auditvault.core.errors import AuditvaultError
from auditvault.core.tlog import bundle_manifest as names
from auditvault.core.tlog.archive import Archive
from auditvault.core.tlog.bundle_headers import Opened, parse_headers
from auditvault.core.tlog.bundle_history import (
    HISTORY,
    MAX_STEP_SIZE,
    HistoryStep,
    step_name,
    step_sizes,
)
from auditvault.core.tlog.bundle_manifest import BundleError, BundleMismatchError, Manifest, Scope
from auditvault.core.tlog.bundle_prune import (
    MAX_PRUNE_SIZE,
    PRUNES,
    ProvedPrune,
    PruneEvidence,
    check_prunes,
    prune_indices,
    prune_name,
)
from auditvault.core.tlog.canonical import parse_canonical
from auditvault.core.tlog.checkpoint import Checkpoint, open_checkpoint
from auditvault.core.tlog.commitment import verify_header_commitment
from auditvault.core.tlog.entry import read_fields
from auditvault.core.tlog.entry_bundle import parse_entries
from auditvault.core.tlog.entry_chain import EntryChain
from auditvault.core.tlog.key_events import KEY_ENTRY_TYPES
from auditvault.core.tlog.key_history import KeyHistory, Signers, read_history
from auditvault.core.tlog.merkle import (
    EMPTY_ROOT,
    HASH_SIZE,
    ProofHashError,
    ProofRootError,
    split_hashes,
    verify_consistency,
)
from auditvault.core.tlog.note import MAX_NOTE_SIZE, LogVerifier, parse_note
from auditvault.core.tlog.range_proof import RangeProof
from auditvault.core.tlog.super_root import MAX_TIMESTAMP_SIZE, TimestampProof
from auditvault.core.tlog.trust import TrustStore

Progress = Callable[[int], None]
"""Called with the number of entries done."""

_MAX_KEYS_SIZE = 64 * 1024
_MAX_PROOF_SIZE = 126 * HASH_SIZE
_KEYS = re.compile(r"(?:[!-~]{1,512}\n){1,100}")


class BundleUncomparableError(AuditvaultError):
    """A checkpoint is neither confirmed nor contradicted by what the bundle holds."""

    code: ClassVar[str] = "bundle_uncomparable"


@dataclass(frozen=True, kw_only=True, slots=True)
class HeaderCount:
    """What became of the headers."""

    opened: int
    absent: Mapping[str, int]
    """Reason -> how many."""


class Bundle:
    """A bundle in a seekable file: well-formed, nothing verified.

    Raises ArchiveError or BundleError unless the file has the form of one.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._archive = Archive(file)
        if names.MANIFEST not in self._archive.members:
            raise BundleError("there is no manifest in it")
        self.manifest = Manifest.from_bytes(self._archive.read(names.MANIFEST))
        self._check_names()
        self.checkpoint = self._note(names.CHECKPOINT)
        self.previous = self._note(names.PREVIOUS) if self._has(names.PREVIOUS) else None
        self.keys = self._keys()
        self.timestamp_sizes = names.timestamp_sizes(self.manifest.members, self.scope)
        self.prune_indices = prune_indices(self.manifest.members, self.scope)
        self.history_sizes = step_sizes(self.manifest.members)

    @property
    def scope(self) -> Scope:
        """Which entries it says it has."""
        return self.manifest.scope

    def reserved(self) -> Mapping[str, int]:
        """Return folder -> number of members, for folders that this version does not check."""
        found = Counter(name.split("/")[1] for name in self.manifest.members if _reserved(name))
        return dict(sorted(found.items()))

    def check_members(self) -> int:
        """Return how many members have the hash that the manifest gives; BundleMismatchError."""
        for name, listed in self.manifest.members.items():
            digest = sha256()
            for block in self._archive.blocks(name):
                digest.update(block)
            if not hmac.compare_digest(digest.hexdigest(), listed.sha256):
                raise BundleMismatchError("a member is not the one that the manifest lists")
        return len(self.manifest.members)

    def check_history(self, trust: TrustStore) -> KeyHistory:
        """Return what is proved of the keys that sign the region's logs; raises as `read_history`.

        In a bundle of the operator's log itself it ends with the bundle's own checkpoint, and leaves no entry out.
        """
        steps = (
            (size, HistoryStep.from_bytes(self._small(step_name(size), MAX_STEP_SIZE)))
            for size in self.history_sizes
        )
        history = read_history(steps, log=self.scope.log, trust=trust)
        if history.log == self.scope.log:
            if history.last != Checkpoint.parse(parse_note(self.checkpoint)[0]):
                raise BundleMismatchError("the keys' history ends with another checkpoint")
            if not history.indices.issuperset(self._key_indices()):
                raise BundleMismatchError("the keys' history leaves out an entry of the bundle")
        return history

    def check_checkpoint(self, signers: Signers) -> Checkpoint:
        """Return the checkpoint after its signature; NoteError, CheckpointError, LogKeyRetiredError."""
        checkpoint = open_checkpoint(self.checkpoint, origin=self.scope.log, verifiers=signers.all)
        if checkpoint.size != self.scope.size:
            raise BundleMismatchError("the checkpoint is of another size than the manifest says")
        signers.check_current(self.checkpoint)
        return checkpoint

    def check_entries(
        self, sizes: Collection[int] = (), progress: Progress | None = None
    ) -> EntryChain:
        """Return the chain after every entry was checked, with the tree that it leads to.

        The chain keeps the roots at those of `sizes` that lie in the range. They are the log's
        only once `check_range` has held. Raises EntryError, ChainError, EntryBundleError or, for a
        proof that does not fit the range, a ProofError.
        """
        chain = EntryChain(self.scope.log, self._range_proof().tree(), sizes=sizes)
        for part in self.scope.parts():
            chain.extend(self.entries(part))
            if progress:
                progress(part.stop - self.scope.first)
        return chain

    def check_range(self, chain: EntryChain, checkpoint: Checkpoint) -> None:
        """Check that entries and proof lead to the checkpoint's root; ProofError."""
        self._range_proof().check(chain.tree, checkpoint.root)

    def outside(self) -> dict[tuple[int, int], bytes]:
        """Return the subtrees that the range leaves out, unchecked; ProofError."""
        return self._range_proof().outside()

    def check_headers(self, progress: Progress | None = None) -> HeaderCount:
        """Check every header against the entry that commits to it.

        Raises BundleMismatchError with the index of the first that does not fit, BundleError or
        CanonicalFormError for one that is malformed.
        """
        opened, absent = 0, Counter[str]()
        for part in self.scope.parts():
            items = parse_headers(self._archive.read(names.headers_name(part.start)), len(part))
            for index, entry, item in zip(part, self.entries(part), items, strict=True):
                if isinstance(item, Opened):
                    _check_header(index, entry, item)
                    opened += 1
                else:
                    absent[item.reason] += 1
            if progress:
                progress(part.stop - self.scope.first)
        return HeaderCount(opened=opened, absent=dict(sorted(absent.items())))

    def check_previous(self, checkpoint: Checkpoint, verifiers: Iterable[LogVerifier]) -> int:
        """Return the size of the bundle's own previous checkpoint, which `checkpoint` extends.

        Raises NoteError, CheckpointError or ProofError.
        """
        if self.previous is None:
            raise BundleUncomparableError("the bundle has no previous checkpoint")
        earlier = open_checkpoint(self.previous, origin=self.scope.log, verifiers=verifiers)
        self._check_consistency(earlier, checkpoint)
        return earlier.size

    def check_kept(self, kept: Checkpoint, checkpoint: Checkpoint, chain: EntryChain) -> None:
        """Check that the log still has the tree of `kept`, a checkpoint whose signature was checked.

        `chain` is one that `check_range` has held for, with the root at `kept.size` if it is in
        the range. Raises ProofError when the two contradict each other, BundleUncomparableError
        when the bundle has nothing to compare with.
        """
        if kept.size == checkpoint.size:
            _compare(kept.root, checkpoint.root)
        elif kept.size == 0:
            _compare(kept.root, EMPTY_ROOT)
        elif kept.size in chain.roots:
            _compare(kept.root, chain.roots[kept.size])
        elif kept.size < checkpoint.size and self._previous_size() == kept.size:
            self._check_consistency(kept, checkpoint)
        else:
            raise BundleUncomparableError(
                f"the bundle has no proof from the {kept.size} entries of the checkpoint you kept"
            )

    def check_timestamp(
        self, size: int, checkpoint: Checkpoint, verifiers: Iterable[LogVerifier]
    ) -> TimestampProof:
        """Return the proof that a checkpoint of `size` entries, which `checkpoint` extends, was stamped.

        `size` is one of `timestamp_sizes`. The stamp itself is not looked at: `verify_timestamp`.
        Raises TimestampProofError, NoteError, CheckpointError, BundleMismatchError or ProofError.
        """
        proof = TimestampProof.from_json(
            self._small(names.timestamp_name(size), MAX_TIMESTAMP_SIZE)
        )
        stamped = proof.check_checkpoint(origin=self.scope.log, verifiers=verifiers)
        if stamped.size != size:
            raise BundleMismatchError("a stamped checkpoint is of another size than its name says")
        proof.check_inclusion(stamped)
        if size == checkpoint.size:
            _compare(stamped.root, checkpoint.root)
        else:
            self._check_consistency(stamped, checkpoint, names.timestamp_consistency_name(size))
        return proof

    def check_prunes(self, checkpoint: Checkpoint) -> list[ProvedPrune]:
        """Return what the log gave up, each proved by `checkpoint`, whose signature was checked.

        Raises BundleError, EntryError, PruneRecordError or ProofError.
        """
        evidence = (
            (index, PruneEvidence.from_bytes(self._small(prune_name(index), MAX_PRUNE_SIZE)))
            for index in self.prune_indices
        )
        return check_prunes(evidence, checkpoint)

    def _key_indices(self) -> set[int]:
        """The entries of the range that say of a key that it comes or goes, by their type."""
        marks = [f'"type":"{name}"'.encode() for name in KEY_ENTRY_TYPES]
        return {
            index
            for part in self.scope.parts()
            for index, entry in zip(part, self.entries(part), strict=True)
            if any(mark in entry for mark in marks)
        }

    def _previous_size(self) -> int | None:
        """The size that the bundle's consistency proof begins at; nothing is trusted for it."""
        if self.previous is None:
            return None
        return Checkpoint.parse(parse_note(self.previous)[0]).size

    def _check_consistency(
        self, earlier: Checkpoint, checkpoint: Checkpoint, name: str = names.CONSISTENCY
    ) -> None:
        verify_consistency(
            old_size=earlier.size,
            new_size=checkpoint.size,
            old_root=earlier.root,
            new_root=checkpoint.root,
            proof=self._hashes(name),
        )

    def _range_proof(self) -> RangeProof:
        scope = self.scope
        hashes = self._hashes(names.PROOF)
        return RangeProof(begin=scope.first, end=scope.end, size=scope.size, hashes=hashes)

    def _hashes(self, name: str) -> list[bytes]:
        data = self._small(name, _MAX_PROOF_SIZE)
        if len(data) % HASH_SIZE:
            raise ProofHashError("a proof is hashes of 32 bytes")
        return split_hashes(data)

    def entries(self, part: range) -> list[bytes]:
        """Return the entries of one of `scope.parts()`, unchecked; EntryBundleError."""
        return parse_entries(self._archive.read(names.entries_name(part.start)), len(part))

    def _note(self, name: str) -> str:
        try:
            return self._small(name, MAX_NOTE_SIZE).decode()
        except UnicodeDecodeError:
            raise BundleError("a signed note is UTF-8") from None

    def _keys(self) -> tuple[str, ...]:
        if not self._has(names.KEYS):
            return ()
        text = self._small(names.KEYS, _MAX_KEYS_SIZE).decode("ascii", errors="replace")
        if not _KEYS.fullmatch(text):
            raise BundleError("keys are 1 to 100 lines of ASCII")
        return tuple(text.splitlines())

    def _small(self, name: str, limit: int) -> bytes:
        if self._archive.members[name].size > limit:
            raise BundleError("a member is longer than its kind can be")
        return self._archive.read(name)

    def _has(self, name: str) -> bool:
        return name in self.manifest.members

    def _check_names(self) -> None:
        """The archive has what the manifest lists, and the manifest lists what a bundle has."""
        there = {name: member.size for name, member in self._archive.members.items()}
        del there[names.MANIFEST]
        if there != {name: listed.size for name, listed in self.manifest.members.items()}:
            raise BundleError("the members are not the ones that the manifest lists")
        required = {names.CHECKPOINT, names.PROOF}
        for part in self.scope.parts():
            required.add(names.entries_name(part.start))
            if self.scope.headers == "included":
                required.add(names.headers_name(part.start))
        if (names.PREVIOUS in there) != (names.CONSISTENCY in there):
            raise BundleError("a previous checkpoint and a consistency proof come together")
        optional = {names.PREVIOUS, names.CONSISTENCY, names.KEYS}
        known = {name for name in there if not _apart(name)} - optional
        if required - known:
            raise BundleError("a member that a bundle must have is missing")
        if known - required:
            # Its name is not repeated: it is text from outside.
            raise BundleError("it has a member that this version does not know")


def _check_header(index: int, entry: bytes, item: Opened) -> None:
    fields = read_fields(entry)
    try:
        verify_header_commitment(
            fields.commitment,
            opening=item.opening,
            entry_type=fields.type,
            header_bytes=item.header,
        )
        header = parse_canonical(item.header)
    except AuditvaultError as error:
        raise BundleMismatchError(f"header {index}: {error.message}") from error
    if not isinstance(header, dict):
        raise BundleMismatchError(f"header {index}: not a JSON object")


def _compare(kept: bytes, found: bytes) -> None:
    if not hmac.compare_digest(kept, found):
        raise ProofRootError("two roots for one size")


def _apart(name: str) -> bool:
    """Whether a member is in a folder whose names have rules of their own."""
    return _reserved(name) or name.startswith((names.TIMESTAMPS, PRUNES, HISTORY))


def _reserved(name: str) -> bool:
    return name.startswith(names.RESERVED)
