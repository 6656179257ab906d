"""Looking for legal holds over entries that would go.

A hold says which records it covers in ways that only their headers tell, and headers go with a prune: so any hold in
force of a log's tenant is taken to be in the way. Whatever else keeps holds adds its source here; `core.policy.pruning`
decides on what is found, and a hold beats a policy.
"""

from __future__ import annotations

from auditvault.core.policy.pruning import HoldFindings
from auditvault.ledger.logs import LogRef
from auditvault.ledger.scope import retention_connection

LEGAL_HOLDS = "legal_hold"


def look_for_holds(*, region: str, log: LogRef, first: int, end: int) -> HoldFindings:  # noqa: ARG001  # what a source is asked
    """Where holds were looked for, and how many may cover something of the entries `first` to `end` - 1."""
    row = (
        retention_connection(region)
        .execute("SELECT legal_holds_in_force(%s)", (log.tenant_id,))
        .fetchone()
    )
    return HoldFindings(sources=(LEGAL_HOLDS,), blocking=row[0] if row else 0)
