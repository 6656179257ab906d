"""What verifying one log found. The command, the scheduled job and the tests read it; the checks write it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from auditvault.ledger.restores import Restore

Progress = Callable[[str, int, int], None]
"""Takes a log's origin, how many entries were checked, and how many it has."""


@dataclass(slots=True)
class Report:
    """What verifying one log found; `first_bad` maps a kind of finding to the first bad index."""

    region: str
    origin: str
    kind: str
    entries: int = 0
    # Entries that were pruned, and are said to have been by a record that holds: reading began behind them.
    pruned: int = 0
    checkpoints: int = 0
    headers: int = 0
    # Contents that were opened and are the recorded ones; None where none was to be opened.
    payloads: int | None = None
    # Contents that a header names and that are no longer there: erased or expired.
    payloads_gone: int = 0
    first_bad: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    # Restores that were answered for: each began a new epoch of the log.
    restores: list[Restore] = field(default_factory=list)
    # Entries that are missing, or whose header was not found: so many headers are left over for a known reason.
    unaccounted: int = 0

    @property
    def holds(self) -> bool:
        """Whether nothing was found."""
        return not self.first_bad

    def bad(self, kind: str, index: int) -> None:
        """Note a finding; the smallest index of a kind stands."""
        self.first_bad[kind] = min(index, self.first_bad.get(kind, index))

    def add(self, part: Report) -> None:
        """Take over what was found in a part of the log."""
        self.headers += part.headers
        if part.payloads is not None:
            self.payloads = (self.payloads or 0) + part.payloads
        self.payloads_gone += part.payloads_gone
        self.unaccounted += part.unaccounted
        for kind, index in part.first_bad.items():
            self.first_bad[kind] = min(index, self.first_bad.get(kind, index))
        self.notes.extend(part.notes)
