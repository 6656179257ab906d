"""What a drill found, and its verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from auditvault.cli.backups.memory import Behind
from auditvault.cli.backups.opening import Backup
from auditvault.cli.backups.restoring import Restored
from auditvault.core.errors import AuditvaultError

Verdict = Literal["holds", "does_not_hold", "not_checked"]

# The backup is wanting, not what should have looked at it.
_WANTING = frozenset(
    {
        "backup_damaged",
        "backup_incomplete",
        "backup_manifest_malformed",
        "backup_mismatch",
        "backup_not_signed",
        "backup_version_unknown",
        "restore_mismatch",
    }
)


@dataclass(slots=True, kw_only=True)
class Drill:
    """What a drill found; filled while it goes on."""

    region: str
    drilled_at: datetime
    backup: Backup = field(default_factory=dict)
    restored: Sequence[Restored] = ()
    behind: Sequence[Behind] = ()
    steps: dict[str, float] = field(default_factory=dict)
    """Seconds, by what was done."""
    checks: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What each check said; `holds` in each."""
    not_checked: list[str] = field(default_factory=list)
    error: AuditvaultError | None = None

    @property
    def verdict(self) -> Verdict:
        """Of everything."""
        if self.error is not None:
            return "does_not_hold" if self.error.code in _WANTING else "not_checked"
        return "holds" if all(check["holds"] for check in self.checks.values()) else "does_not_hold"

    @property
    def holds(self) -> bool:
        """Whether the backup could be restored, and nothing was found wanting."""
        return self.verdict == "holds"
