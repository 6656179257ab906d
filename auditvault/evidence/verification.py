"""Verification from inside: everything of every log is derived again from the database.

For each log: every entry's form, place, chain and leaf hash; the tree, its tiles and the head; every checkpoint's
signature and root; what the signer remembers; every header against its entry's commitment and its search columns.
Nothing stops at the first finding: the first bad index of each kind is named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import psycopg

from auditvault.access.events.services import projection as event_projection
from auditvault.core.errors import AuditvaultError
from auditvault.core.ids import instant_of
from auditvault.core.tlog.checkpoint import CheckpointError, open_checkpoint
from auditvault.core.tlog.commitment import CommitmentError, verify_header_commitment
from auditvault.core.tlog.entry import ZERO_HASH, EntryError, EntryFields, leaf_hash, read_fields
from auditvault.core.tlog.merkle import EMPTY_ROOT, CompactRange, TreeError
from auditvault.core.tlog.note import NoteError, NoteVerifier
from auditvault.core.tlog.tiles import TILE_WIDTH
from auditvault.ledger.logs import LogRef, tenant_logs
from auditvault.ledger.scope import region_alias, tenant_scope
from auditvault.ledger.signer import Signed
from auditvault.traces.services import projection as header_projection

BATCH = 2000
_EVENT_COLUMNS = (
    "record_id, recorded_at, action, outcome, actor, actor_role, purpose_code, case_ref"
)
_HEADER_COLUMNS = (
    "tenant_id, record_id, trace_id, span_id, parent_span_id, revision, started_at, duration_ns,"
    " operation, status, name, provider, model, input_tokens, output_tokens, service, environment,"
    " feature, error_type"
)

_HEADER_TABLES = {"interactions": "traces_header", "access": "access_event"}

Progress = Callable[[str, int, int], None]


class VerificationUnavailableError(AuditvaultError):
    """Something that verification needs could not be read: nothing is said about the log."""

    code = "verification_unavailable"


@dataclass(slots=True)
class Report:
    """What verifying one log found; `first_bad` maps a kind of finding to the first bad index."""

    region: str
    origin: str
    kind: str
    entries: int = 0
    checkpoints: int = 0
    headers: int = 0
    first_bad: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Whether nothing was found."""
        return not self.first_bad

    def bad(self, kind: str, index: int) -> None:
        """Note a finding; the smallest index of a kind stands."""
        self.first_bad[kind] = min(index, self.first_bad.get(kind, index))


def verify_region(
    *,
    region: str,
    public_keys: Sequence[bytes],
    remembered: dict[str, Signed],
    progress: Progress | None = None,
) -> list[Report]:
    """Verify every log of a region.

    `public_keys` are the signer's, from a place that the database's owner does not control; `remembered` is what the
    signer's own state says, empty where it cannot be had.
    """
    reports = []
    seen = set()
    for tenant_id in _tenants(region):
        for log in tenant_logs(region=region, tenant_id=tenant_id):
            seen.add(log.origin)
            reports.append(
                _verify_log(region, log, public_keys, remembered.get(log.origin), progress)
            )
    for origin, signed in remembered.items():
        if origin.split("/")[1] == region and origin not in seen and signed.size:
            lost = Report(region=region, origin=origin, kind="unknown")
            lost.bad("log_missing", 0)
            reports.append(lost)
    return reports


def _tenants(region: str) -> list[UUID]:
    with tenant_scope(region_alias(region), UUID(int=0)) as connection:
        rows = connection.execute("SELECT DISTINCT tenant_id FROM ledger_all_logs()").fetchall()
    return sorted(row[0] for row in rows)


def _verify_log(
    region: str,
    log: LogRef,
    public_keys: Sequence[bytes],
    remembered: Signed | None,
    progress: Progress | None,
) -> Report:
    report = Report(region=region, origin=log.origin, kind=log.kind)
    with tenant_scope(region_alias(region), log.tenant_id, snapshot=True) as connection:
        # All reads here go by an index. Without statistics, after a crash say, the planner would read whole tables.
        connection.execute("SET LOCAL enable_seqscan = off")
        size, root, last_leaf = _head(connection, log, report)
        expected = _expected_roots(connection, log, public_keys, remembered, report)
        walk = _Walk(log, report, expected)
        for rows in _batches(connection, log):
            _check_headers(connection, log, walk.take(rows), report)
            if progress:
                progress(log.origin, walk.size, size)
        walk.finish(size, root, last_leaf)
        _check_tiles(connection, log, walk, report)
        _check_unrecorded(connection, log, report)
    return report


def _head(
    connection: psycopg.Connection[Any], log: LogRef, report: Report
) -> tuple[int, bytes, bytes]:
    """Size, root and last leaf as the head says; no root where it is malformed: that fits no tree."""
    row = connection.execute(
        "SELECT size, range, last_leaf FROM ledger_head WHERE tenant_id = %s AND log_id = %s",
        (log.tenant_id, log.log_id),
    ).fetchone()
    if row is None:
        report.bad("head_missing", 0)
        return 0, EMPTY_ROOT, ZERO_HASH
    size, nodes, last_leaf = row
    try:
        root = CompactRange.from_bytes(size, bytes(nodes)).root() if size else EMPTY_ROOT
    except TreeError:
        root = b""
    return size, root, bytes(last_leaf)


Row = tuple[int, UUID, bytes, bytes]
# An entry's index, its record, and what it says of it.
Taken = tuple[int, UUID, EntryFields]


def _batches(connection: psycopg.Connection[Any], log: LogRef) -> Iterator[list[Row]]:
    after = -1
    while True:
        rows = connection.execute(
            "SELECT idx, record_id, leaf_hash, entry FROM ledger_entry"
            " WHERE tenant_id = %s AND log_id = %s AND idx > %s ORDER BY idx LIMIT %s",
            (log.tenant_id, log.log_id, after, BATCH),
        ).fetchall()
        if not rows:
            return
        yield [(row[0], row[1], bytes(row[2]), bytes(row[3])) for row in rows]
        after = rows[-1][0]


class _Walk:
    """Goes over the entries in order, and rebuilds chain and tree."""

    def __init__(self, log: LogRef, report: Report, expected: dict[int, set[bytes]]) -> None:
        self._log = log
        self._report = report
        self._expected = expected
        self._sizes = sorted(expected)
        self._prev = ZERO_HASH
        self._last_at = ""
        self._tree = CompactRange()
        self._pending: list[bytes] = []
        self.tile_roots: dict[int, list[bytes]] = {}
        self.tile_hashes: list[bytes] = []
        self._tile: list[bytes] = []

    @property
    def size(self) -> int:
        """Entries seen."""
        return self._report.entries

    def take(self, rows: Sequence[Row]) -> list[Taken]:
        """Check some entries, in order; returns those that could be read."""
        taken = []
        for index, record_id, stored_leaf, data in rows:
            if index != self._report.entries:
                self._report.bad("entry_missing", self._report.entries)
                self._report.entries = index
            leaf = leaf_hash(data)
            if leaf != stored_leaf:
                self._report.bad("leaf_hash", index)
            fields = self._check_entry(index, data)
            if fields is not None:
                taken.append((index, record_id, fields))
            self._prev = leaf
            self._pending.append(leaf)
            self._report.entries = index + 1
            self._note_size()
        return taken

    def _check_entry(self, index: int, data: bytes) -> EntryFields | None:
        try:
            entry = read_fields(data)
        except EntryError:
            self._report.bad("entry_form", index)
            return None
        if entry.log != self._log.origin or entry.index != index:
            self._report.bad("entry_place", index)
        if entry.prev != self._prev:
            self._report.bad("chain", index)
        if entry.recorded_at < self._last_at:
            self._report.bad("time", index)
        self._last_at = max(self._last_at, entry.recorded_at)
        return entry

    def _note_size(self) -> None:
        size = self._report.entries
        if size % TILE_WIDTH == 0 or size in self._expected:
            self._extend()
        for root in self._expected.get(size, ()):
            if self._tree.root() != root:
                self._report.bad("checkpoint_root", size - 1)

    def _extend(self) -> None:
        self._tree.extend(self._pending)
        self._tile += self._pending
        if len(self._tile) == TILE_WIDTH:
            self.tile_hashes.append(b"".join(self._tile))
            self._tile = []
        self._pending = []

    def finish(self, size: int, root: bytes, last_leaf: bytes) -> None:
        """Compare with the head, and with checkpoints beyond the end."""
        self._extend()
        found = self._report.entries
        if found != size:
            self._report.bad("head_size", min(found, size))
        else:
            if (self._tree.root() if found else EMPTY_ROOT) != root:
                self._report.bad("head_root", max(found - 1, 0))
            # The next entry will name it as the one before.
            if self._prev != last_leaf:
                self._report.bad("head_leaf", max(found - 1, 0))
        for signed_size in self._sizes:
            if signed_size > found:
                self._report.bad("entry_missing", found)


def _expected_roots(
    connection: psycopg.Connection[Any],
    log: LogRef,
    public_keys: Sequence[bytes],
    remembered: Signed | None,
    report: Report,
) -> dict[int, set[bytes]]:
    """The roots that were signed, by size; a checkpoint that does not verify is a finding."""
    verifiers = [NoteVerifier(log.origin, key) for key in public_keys]
    rows = connection.execute(
        "SELECT size, root, note FROM ledger_checkpoint WHERE tenant_id = %s AND log_id = %s"
        " ORDER BY size, signed_at",
        (log.tenant_id, log.log_id),
    ).fetchall()
    expected: dict[int, set[bytes]] = {}
    for size, root, note in rows:
        try:
            signed = open_checkpoint(note, origin=log.origin, verifiers=verifiers)
        except (NoteError, CheckpointError):
            report.bad("checkpoint_signature", max(size - 1, 0))
            continue
        if signed.size != size or signed.root != bytes(root):
            report.bad("checkpoint_row", max(size - 1, 0))
        expected.setdefault(signed.size, set()).add(signed.root)
        report.checkpoints += 1
    if remembered is not None:
        expected.setdefault(remembered.size, set()).add(bytes.fromhex(remembered.root))
    else:
        report.notes.append(
            "The signer's own memory was not at hand; a rollback together with its checkpoints would not show."
        )
    expected.pop(0, None)
    return expected


def _check_tiles(
    connection: psycopg.Connection[Any], log: LogRef, walk: _Walk, report: Report
) -> None:
    """Every full tile there must be, and what it must hold; levels above 0 from the roots below."""
    level, tiles = 0, walk.tile_hashes
    while tiles:
        rows = connection.execute(
            "SELECT n, hashes, root FROM ledger_tile WHERE tenant_id = %s AND log_id = %s"
            " AND level = %s AND width = 256 ORDER BY n",
            (log.tenant_id, log.log_id, level),
        ).fetchall()
        stored = {row[0]: (bytes(row[1]), bytes(row[2])) for row in rows}
        roots = []
        for n, hashes in enumerate(tiles):
            tree = CompactRange()
            tree.extend([hashes[at : at + 32] for at in range(0, len(hashes), 32)])
            roots.append(tree.root())
            if stored.get(n) != (hashes, tree.root()):
                report.bad("tile", n * TILE_WIDTH ** (level + 1))
        level += 1
        tiles = [
            b"".join(roots[at : at + TILE_WIDTH])
            for at in range(0, len(roots) - len(roots) % TILE_WIDTH, TILE_WIDTH)
        ]


def _check_unrecorded(connection: psycopg.Connection[Any], log: LogRef, report: Report) -> None:
    """No header may stand there that no entry commits to; it has no place, so the log's end is named."""
    table = _HEADER_TABLES.get(log.kind)
    if table is None:
        return
    row = connection.execute(
        f"SELECT EXISTS (SELECT FROM {table} AS h WHERE NOT EXISTS (SELECT FROM ledger_entry AS e"  # noqa: S608
        " WHERE e.tenant_id = h.tenant_id AND e.log_id = %s AND e.record_id = h.record_id))",
        (log.log_id,),
    ).fetchone()
    if row is not None and row[0]:
        report.bad("header_unrecorded", report.entries)


def _check_headers(
    connection: psycopg.Connection[Any], log: LogRef, taken: Sequence[Taken], report: Report
) -> None:
    """Each entry's header: there, opening the commitment, and equal to its search columns."""
    table, columns = (
        ("traces_header", _HEADER_COLUMNS)
        if log.kind == "interactions"
        else ("access_event", _EVENT_COLUMNS)
    )
    found = connection.execute(
        f"SELECT opening, header, {columns} FROM {table} WHERE record_id = ANY(%s)",  # noqa: S608
        ([record_id for _, record_id, _ in taken],),
    ).fetchall()
    at = 3 if log.kind == "interactions" else 2
    stored = {row[at]: row for row in found}
    for index, record_id, entry in taken:
        row = stored.get(record_id)
        if row is None:
            report.bad("header_missing", index)
            continue
        report.headers += 1
        try:
            verify_header_commitment(
                commitment=entry.commitment,
                opening=bytes(row[0]),
                entry_type=entry.type,
                header_bytes=bytes(row[1]),
            )
            if not _projects(log, record_id, bytes(row[1]), row[2:]):
                report.bad("header_columns", index)
        except CommitmentError:
            report.bad("header_commitment", index)
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
            report.bad("header_form", index)


def _projects(log: LogRef, record_id: UUID, header: bytes, columns: tuple[Any, ...]) -> bool:
    members = orjson.loads(header)
    if log.kind == "interactions":
        projected = header_projection(
            members, tenant_id=log.tenant_id, record_id=record_id, recorded_at=instant_of(record_id)
        )
    else:
        projected = event_projection(members, record_id=record_id)
    stored = tuple(bytes(value) if isinstance(value, memoryview) else value for value in columns)
    return projected == stored


def read_public_keys(path: Path) -> list[bytes]:
    """The signer's public keys from its vkeys file: any name, since each log's origin names the key anew."""
    try:
        lines = path.read_text().splitlines()
        return [NoteVerifier.parse(line).public_key for line in lines if line.strip()]
    except (OSError, NoteError) as error:
        raise VerificationUnavailableError("The signer's public keys cannot be read.") from error
