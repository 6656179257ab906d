"""The entries of one log in order: their form, place, time and chain, and the tree over them.

Leaves what was signed to `verification_checkpoints`, and headers to `verification_headers`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from auditvault.core.tlog.entry import EntryError, EntryFields, leaf_hash, read_fields
from auditvault.core.tlog.tiles import TILE_WIDTH
from auditvault.evidence.verification_prune import Beginning
from auditvault.evidence.verification_readings import Reading, Readings
from auditvault.evidence.verification_report import Report
from auditvault.ledger.logs import LogRef

# Over a longer gap no tree is built: somebody may have moved one entry to the end of the numbers.
_LONGEST_GAP = 65_536

Row = tuple[int, UUID, bytes, bytes]
"""An entry's index, its record, its stored leaf hash and its bytes."""

Taken = tuple[int, UUID, EntryFields]
"""An entry's index, its record, and what it says of it."""

TileLeaf = Callable[[int], bytes | None]
"""The leaf hash of an index as its full tile has it; None where there is no such tile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadRow:
    """Where the log ends, as its head says; the root is empty where the head is malformed: it fits no tree."""

    size: int
    root: bytes
    last_leaf: bytes


class Walk:
    """Goes over the entries in order, and rebuilds chain and tree.

    A leaf is settled one entry later, when the next entry's `prev` has said what it should be.
    """

    def __init__(
        self,
        log: LogRef,
        report: Report,
        signed: Mapping[int, set[bytes]],
        tile_leaf: TileLeaf,
        begin: Beginning,
    ) -> None:
        self._log = log
        self._report = report
        self._signed = signed
        self._tile_leaf = tile_leaf
        self._begin = begin
        self._readings = Readings(signed, begin)
        self._has_held = False
        self._leaf: bytes | None = None
        self._stored: bytes | None = None
        self._chain_broken_at: int | None = None
        # The newest time so far, and the one before the held entry's: a held entry that is disputed sets no time.
        self._time = self._time_before = begin.time

    def take(self, rows: Sequence[Row]) -> list[Taken]:
        """Check some entries, in order; returns those that could be read."""
        taken = []
        report = self._report
        for index, record_id, stored, data in rows:
            if index < report.entries:
                report.bad("entry_place", index)  # two of one number, where the primary key is gone
                continue
            if index != report.entries:
                self._pass_gap(index)
            fields = self._read(index, data)
            if self._has_held:
                self._settle(index - 1, self._leaf if fields is None else fields.prev)
            elif fields is not None and index == self._begin.first:
                self._check_first(index, fields)
            if fields is not None:
                self._check_time(index, fields.recorded_at)
                taken.append((index, record_id, fields))
            self._leaf, self._stored, self._has_held = leaf_hash(data), stored, True
            report.entries = index + 1
        return taken

    def finish(self, head: HeadRow | None) -> Reading:
        """Compare with the head, and with checkpoints beyond the end; returns the reading that was signed."""
        report, found = self._report, self._report.entries
        fitting = head if head is not None and head.size == found else None
        if self._has_held:
            last = self._leaf if fitting is None else fitting.last_leaf
            self._settle(found - 1, last, is_chained=False)
        self._readings.reached(found)
        reading = self._readings.chosen(None if fitting is None else fitting.root)
        self._report_reading(reading)
        if fitting is not None:
            self._compare_head(reading, fitting)
        elif head is not None:
            report.bad("head_size", min(found, head.size))
        newest = max(self._signed, default=0)
        if newest > found:
            report.unaccounted += newest - found
            if fitting is None:
                report.bad("entry_missing", found)
            else:
                # Entries and head lie behind what was signed, in good order: the log was put back.
                report.bad("rollback", found)
        return reading

    def _read(self, index: int, data: bytes) -> EntryFields | None:
        try:
            fields = read_fields(data)
        except EntryError:
            self._report.bad("entry_form", index)
            return None
        if fields.index != index or fields.log != self._log.origin:
            self._report.bad("entry_place", index)
        return fields

    def _check_first(self, index: int, fields: EntryFields) -> None:
        """The entry before it is not there: a prune record says what its leaf was."""
        if fields.prev != self._begin.leaf:
            self._chain_broken_at = index

    def _check_time(self, index: int, recorded_at: str) -> None:
        if recorded_at < self._time:
            self._report.bad("time", index)
        self._time_before, self._time = self._time, max(self._time, recorded_at)

    def _settle(self, index: int, claimed: bytes | None, *, is_chained: bool = True) -> None:
        """The held entry, now that the next one, or the head, has claimed what its leaf is."""
        leaf = self._leaf
        if leaf is not None and leaf == claimed and leaf == self._stored:
            self._readings.add(leaf)
        else:
            self._dispute(index, claimed, is_chained=is_chained)
        size = index + 1
        if size % TILE_WIDTH == 0 or size in self._signed:
            self._readings.reached(size)

    def _dispute(self, index: int, claimed: bytes | None, *, is_chained: bool) -> None:
        if self._leaf is not None:
            if self._leaf != self._stored:
                self._report.bad("leaf_hash", index)
            if self._leaf != claimed and is_chained:
                self._time = self._time_before
                if self._chain_broken_at is None:
                    self._chain_broken_at = index + 1
        self._readings.dispute(
            index,
            entry=self._leaf,
            stored=self._stored,
            claimed=claimed,
            tile=self._tile_leaf(index),
        )

    def _pass_gap(self, index: int) -> None:
        """Entries are missing before `index`; their leaves may still be known from the next entry or a tile."""
        report = self._report
        first = report.entries
        report.bad("entry_missing", first)
        report.unaccounted += index - first
        report.entries = index
        if self._has_held:
            self._settle(first - 1, self._leaf)
        self._leaf = self._stored = None
        self._has_held = index - first <= _LONGEST_GAP
        if not self._has_held:
            self._readings.lose(first)
            return
        for missing in range(first, index - 1):
            self._settle(missing, None)

    def _report_reading(self, reading: Reading) -> None:
        report = self._report
        if reading.differs is not None:
            report.bad("entry_changed", reading.differs)
        elif self._chain_broken_at is not None and self._readings.is_of_entries(reading):
            report.bad("chain", self._chain_broken_at)
        if reading.contradicted is not None:
            report.bad("checkpoint_root", reading.contradicted - 1)
        if reading.lost:
            report.notes.append(
                "With entries missing, the tree, its tiles and the head's root could not be compared."
            )

    def _compare_head(self, reading: Reading, head: HeadRow) -> None:
        if reading.lost:
            return
        last = max(self._report.entries - 1, 0)
        if reading.root() != head.root:
            self._report.bad("head_root", last)
        # The next entry will name it as the one before.
        if reading.last != head.last_leaf:
            self._report.bad("head_leaf", last)
