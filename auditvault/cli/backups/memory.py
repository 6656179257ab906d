"""A backup's logs beside what the signer remembers: how much of what was signed the backup does not have.

The signer's state is outside every backup's reach. An old backup under a new name is a whole, signed backup; only what
was signed and erased since says that it is old.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from django.conf import settings

from auditvault.cli.backups.opening import Backup
from auditvault.evidence.verification import read_memory
from auditvault.ledger.signer_state import Signed


@dataclass(frozen=True, slots=True, kw_only=True)
class Behind:
    """A log of which more was signed than the backup has."""

    origin: str
    size: int
    """Entries in the backup; 0 where it does not know the log."""
    remembered: int
    """Entries that the signer has signed."""

    def as_json(self) -> dict[str, Any]:
        """For reports."""
        return asdict(self)


def behind_memory(backup: Backup) -> list[Behind]:
    """The logs that the signer remembers longer than the backup's ledger; none where there is no ledger or memory."""
    ledger = backup.get("ledger")
    if ledger is None:
        return []
    memory: Mapping[str, Signed] = read_memory(settings.SIGNER_STATE_FILE)
    sizes = {head.log: head.size for head in ledger.manifest.heads}
    return [
        Behind(origin=origin, size=sizes.get(origin, 0), remembered=signed.size)
        for origin, signed in sorted(memory.items())
        if origin.split("/")[1] == ledger.manifest.region and signed.size > sizes.get(origin, 0)
    ]
