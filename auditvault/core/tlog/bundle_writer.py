"""Writes an evidence bundle, part by part: equal content gives equal bytes.

Rules kept: docs/spec/bundle.md sections 1 to 5. It checks form and counts, so that a file that it
finished can be read; whether the content holds is the reader's to find out. Where entries come
from, who may have headers, and that the making is recorded is left to the caller.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import BinaryIO

from auditvault.core.tlog import bundle_manifest as names
from auditvault.core.tlog.archive import ArchiveWriter
from auditvault.core.tlog.bundle_headers import Absent, Opened, render_headers
from auditvault.core.tlog.bundle_history import HistoryStep, step_name
from auditvault.core.tlog.bundle_manifest import BundleError, Listed, Manifest, Scope
from auditvault.core.tlog.bundle_prune import PruneEvidence, prune_name
from auditvault.core.tlog.entry_bundle import render_entries
from auditvault.core.tlog.super_root import TimestampProof


@dataclass(frozen=True, kw_only=True, slots=True)
class Previous:
    """An earlier checkpoint and the proof that the bundle's extends it."""

    note: str
    proof: Sequence[bytes]


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """The entries of one part, and their headers where the scope says that they are included."""

    entries: Sequence[bytes]
    headers: Sequence[Opened | Absent] | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Timestamp:
    """That the log's first `size` entries were stamped, and the proof that the checkpoint extends them."""

    size: int
    proof: TimestampProof
    consistency: Sequence[bytes]
    """Empty when `size` is the checkpoint's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Proofs:
    """What a bundle proves its entries with."""

    checkpoint: str
    """Signed note, cosignatures included."""
    hashes: Sequence[bytes]
    """Range proof."""
    previous: Previous | None = None
    keys: Sequence[str] = ()
    """Vkeys, for information."""
    timestamps: Sequence[Timestamp] = ()
    """In ascending order of sizes."""
    prunes: Sequence[tuple[int, PruneEvidence]] = ()
    """Index of each prune entry, ascending, and the evidence."""
    history: Sequence[tuple[int, HistoryStep]] = ()
    """Size of the operator's log, ascending, and what is proved there of keys."""


def write_bundle(file: BinaryIO, *, scope: Scope, proofs: Proofs, parts: Iterable[Part]) -> None:
    """Write a bundle; `parts` come in the order and with the lengths of `scope.parts()`.

    Raises BundleError, ArchiveError or EntryBundleError when something breaks the rules; what was
    written until then is no bundle. The file stays open.
    """
    writer = _Writer(file)
    previous = proofs.previous
    writer.add(names.CHECKPOINT, proofs.checkpoint.encode())
    if previous:
        writer.add(names.CONSISTENCY, b"".join(previous.proof))
    for size, step in proofs.history:
        writer.add(step_name(size), step.to_bytes())
    if proofs.keys:
        writer.add(names.KEYS, "".join(f"{key}\n" for key in proofs.keys).encode())
    if previous:
        writer.add(names.PREVIOUS, previous.note.encode())
    writer.add(names.PROOF, b"".join(proofs.hashes))
    for index, evidence in proofs.prunes:
        writer.add(prune_name(index), evidence.to_bytes())
    _write_parts(writer, scope, parts)
    _write_timestamps(writer, scope, proofs.timestamps)
    writer.finish(scope)


def _write_parts(writer: _Writer, scope: Scope, parts: Iterable[Part]) -> None:
    given = iter(parts)
    for indices in scope.parts():
        part = next(given, None)
        if part is None or len(part.entries) != len(indices):
            raise BundleError("there are not the entries of the range")
        writer.add(names.entries_name(indices.start), render_entries(part.entries))
        if (part.headers is not None) != (scope.headers == "included"):
            raise BundleError("headers are in each part, or in none")
        if part.headers is not None:
            if len(part.headers) != len(indices):
                raise BundleError("a part has one header, or a reason, for each entry")
            writer.add(names.headers_name(indices.start), render_headers(part.headers))
    if next(given, None) is not None:
        raise BundleError("there are more entries than the range has")


def _write_timestamps(writer: _Writer, scope: Scope, timestamps: Sequence[Timestamp]) -> None:
    for stamped in timestamps:
        if (not stamped.consistency) != (stamped.size == scope.size):
            raise BundleError("a consistency proof leads from a stamp's size to the checkpoint's")
        if stamped.consistency:
            name = names.timestamp_consistency_name(stamped.size)
            writer.add(name, b"".join(stamped.consistency))
        writer.add(names.timestamp_name(stamped.size), stamped.proof.to_json())


class _Writer:
    """An archive that remembers what its manifest will say."""

    def __init__(self, file: BinaryIO) -> None:
        self._archive = ArchiveWriter(file)
        self._listed: dict[str, Listed] = {}

    def add(self, name: str, content: bytes) -> None:
        """Write one member, and list it."""
        self._archive.add(name, content)
        self._listed[name] = Listed(sha256=sha256(content).hexdigest(), size=len(content))

    def finish(self, scope: Scope) -> None:
        """Write the manifest and the end."""
        names.timestamp_sizes(self._listed, scope)
        self._archive.add(names.MANIFEST, Manifest(scope=scope, members=self._listed).to_bytes())
        self._archive.close()
