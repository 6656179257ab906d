"""Looking for legal holds over entries that would go: the place where holds will be asked.

There are no holds in this version, so nothing is looked for, and a prune record says so: its list of sources is empty.
Whatever keeps holds adds its source here; `core.policy.pruning` decides on what is found, and a hold beats a policy.
"""

from __future__ import annotations

from auditvault.core.policy.pruning import HoldFindings
from auditvault.ledger.logs import LogRef


def look_for_holds(*, region: str, log: LogRef, first: int, end: int) -> HoldFindings:  # noqa: ARG001  # what a source is asked
    """Where holds were looked for, and how many cover something of the entries `first` to `end` - 1."""
    return HoldFindings(sources=(), blocking=0)
