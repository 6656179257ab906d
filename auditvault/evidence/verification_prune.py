"""Where a log begins: at its first entry, or where a prune record that holds says that it was pruned to.

A prune record is believed when its entry is in the log and commits to it, when it agrees with itself, when a signed
checkpoint covers its entry, and when the tiles that stayed lead to its range. Whether its range leads to what was
signed is found by the walk, which begins there. Entries missing without such a record are missing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg

from auditvault.core.errors import AuditvaultError
from auditvault.core.tlog.commitment import verify_header_commitment
from auditvault.core.tlog.entry import ZERO_HASH, EntryError, leaf_hash, read_fields
from auditvault.core.tlog.merkle import CompactRange, perfect_root, split_hashes
from auditvault.core.tlog.prune import PruneRecord, PruneStart
from auditvault.core.tlog.tiles import FULL_TILE_SIZE, TILE_WIDTH
from auditvault.evidence.verification_report import Report
from auditvault.evidence.verification_tiles import bad_tiles
from auditvault.ledger.logs import LogRef
from auditvault.ledger.pruning import (
    StoredPruneRecord,
    minimum_index,
    projection,
    prune_records,
)

_BLOCK = TILE_WIDTH**2  # entries under one tile of level 1

_Signed = Mapping[int, set[bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """What the first entry that is read has to follow."""

    tree: CompactRange = field(default_factory=CompactRange)
    leaf: bytes = ZERO_HASH
    time: str = ""
    whole: tuple[bytes, ...] = ()
    """Roots of the tiles over what was pruned, as they are stored."""

    @property
    def first(self) -> int:
        """Index of the first entry that has to be there."""
        return self.tree.size


def find_beginning(
    connection: psycopg.Connection[Any], log: LogRef, signed: _Signed, report: Report
) -> Beginning:
    """Check every prune record, pending ones too, and what was signed of the entries that have gone."""
    there = _first_entry(connection, log)
    start, expected = None, 0
    for stored in prune_records(connection, log):
        found = _check_record(connection, log, stored, signed, report)
        is_next, expected = stored.previous == expected, stored.minimum
        if not is_next:
            report.bad("prune_record", stored.index)
        elif (
            found is not None and stored.minimum <= there and max(signed, default=0) > stored.index
        ):
            start = found
    beginning = Beginning() if start is None else _begin(connection, log, start, signed, report)
    claimed = minimum_index(connection, log)
    if claimed != beginning.first:
        report.bad("prune_row", min(claimed, beginning.first))
    report.pruned = report.entries = beginning.first
    return beginning


def _first_entry(connection: psycopg.Connection[Any], log: LogRef) -> int:
    row = connection.execute(
        "SELECT idx FROM ledger_entry WHERE tenant_id = %s AND log_id = %s ORDER BY idx LIMIT 1",
        (log.tenant_id, log.log_id),
    ).fetchone()
    return int(row[0]) if row is not None else 0


def _check_record(
    connection: psycopg.Connection[Any],
    log: LogRef,
    stored: StoredPruneRecord,
    signed: _Signed,
    report: Report,
) -> PruneStart | None:
    """Where the log begins by this record; None, and a finding, where it is not the log's."""
    try:
        entry = read_fields(stored.entry)
        verify_header_commitment(
            entry.commitment,
            opening=stored.opening,
            entry_type=entry.type,
            header_bytes=stored.header,
        )
        record = PruneRecord.from_bytes(stored.header)
        record.check_place(entry)
        start = record.start()
    except AuditvaultError:
        report.bad("prune_record", stored.index)
        return None
    columns = (stored.previous, stored.minimum, stored.last_at, stored.cutoff)
    is_ours = (record.log, entry.index) == (log.origin, stored.index)
    # The path alone does not bind the size that it was made for.
    is_signed = record.signed_root in signed.get(record.signed_size, {record.signed_root})
    if (
        not is_ours
        or not is_signed
        or projection(record) != columns
        or not _is_entry(connection, log, stored)
    ):
        report.bad("prune_record", stored.index)
        return None
    return start


def _is_entry(connection: psycopg.Connection[Any], log: LogRef, stored: StoredPruneRecord) -> bool:
    """Whether the log has that entry: the row says so, or the tile, the next entry or the head, where it was edited.

    Its own row can have been pruned since; then its leaf has stayed in a tile. The walk compares all of them with what
    was signed.
    """
    rows = connection.execute(
        "SELECT idx, record_id, entry FROM ledger_entry WHERE tenant_id = %s AND log_id = %s"
        " AND idx IN (%s, %s)",
        (log.tenant_id, log.log_id, stored.index, stored.index + 1),
    ).fetchall()
    found = {row[0]: (row[1], bytes(row[2])) for row in rows}
    if found.get(stored.index) == (stored.record_id, stored.entry):
        return True
    n, place = divmod(stored.index, TILE_WIDTH)
    (tile,) = _tiles(connection, log, n, n + 1)
    said = [tile[place * 32 : place * 32 + 32], _last_leaf(connection, log, stored.index + 1)]
    with contextlib.suppress(KeyError, EntryError):
        said.append(read_fields(found[stored.index + 1][1]).prev)
    return leaf_hash(stored.entry) in said


def _last_leaf(connection: psycopg.Connection[Any], log: LogRef, size: int) -> bytes:
    row = connection.execute(
        "SELECT last_leaf FROM ledger_head WHERE tenant_id = %s AND log_id = %s AND size = %s",
        (log.tenant_id, log.log_id, size),
    ).fetchone()
    return bytes(row[0]) if row is not None else b""


def _begin(
    connection: psycopg.Connection[Any],
    log: LogRef,
    start: PruneStart,
    signed: _Signed,
    report: Report,
) -> Beginning:
    """Go over the leaves that the tiles have kept, to every signed size and to the record's range."""
    tree, whole, blocks = CompactRange(), list[bytes](), list[bytes]()
    for leaves in kept_leaves(connection, log, start.tree.size):
        first = tree.size
        for size in sorted(size for size in signed if first < size < first + len(leaves)):
            tree.extend(leaves[tree.size - first : size - first])
            _compare(tree, signed, report)
        tree.extend(leaves[tree.size - first :])
        _compare(tree, signed, report)
        for index in bad_tiles(connection, log, leaves, first=first // TILE_WIDTH, levels=2):
            report.bad("tile", index)
        roots = [
            perfect_root(leaves[at : at + TILE_WIDTH]) for at in range(0, len(leaves), TILE_WIDTH)
        ]
        whole += roots
        if len(leaves) == _BLOCK:
            blocks.append(perfect_root(roots))
    for index in bad_tiles(connection, log, blocks, level=2):
        report.bad("tile", index)
    _compare_range(tree, start.tree, report)
    return Beginning(tree=start.tree, leaf=start.leaf, time=start.time, whole=tuple(whole))


def kept_leaves(
    connection: psycopg.Connection[Any], log: LogRef, size: int
) -> Iterator[list[bytes]]:
    """The leaf hashes of the first `size` entries, some at a time, from the tiles; zeros for one that is missing."""
    for begin in range(0, size, _BLOCK):
        end = min(begin + _BLOCK, size)
        tiles = _tiles(connection, log, begin // TILE_WIDTH, end // TILE_WIDTH)
        yield split_hashes(b"".join(tiles))


def _compare(tree: CompactRange, signed: _Signed, report: Report) -> None:
    if any(root != tree.root() for root in signed.get(tree.size, ())):
        report.bad("checkpoint_root", tree.size - 1)


def _compare_range(ours: CompactRange, recorded: CompactRange, report: Report) -> None:
    """Which subtree's tiles are not those that the record has."""
    begin = 0
    for node, expected, height in zip(ours.nodes, recorded.nodes, _heights(ours.size), strict=True):
        if node != expected:
            report.bad("tile", begin)
        begin += 1 << height


def _heights(size: int) -> Sequence[int]:
    return [height for height in range(size.bit_length() - 1, -1, -1) if size >> height & 1]


def _tiles(connection: psycopg.Connection[Any], log: LogRef, begin: int, end: int) -> list[bytes]:
    """The full tiles of level 0; zeros in the place of one that is missing or none."""
    rows = connection.execute(
        "SELECT n, hashes FROM ledger_tile WHERE tenant_id = %s AND log_id = %s AND level = 0"
        " AND n >= %s AND n < %s AND width = 256",
        (log.tenant_id, log.log_id, begin, end),
    ).fetchall()
    found = {row[0]: bytes(row[1]) for row in rows}
    return [found.get(n, bytes(FULL_TILE_SIZE)) for n in range(begin, end)]
