"""What says what time it is, inside a scope of the tenant.

Recorded here: the last entry of the tenant's logs, and when the signer last signed one. Said by somebody with a clock
of their own: the newest time stamp of the region, the newest cosignature of the tenant's logs. Their rows are believed;
whoever may write them may write anything that this service does.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import psycopg

from auditvault.core.policy.retention_run import Clocks


def read_clocks(connection: psycopg.Connection[Any], *, host_at: datetime) -> Clocks:
    """Everything that says a time; `host_at` is what this process's clock says."""
    row = connection.execute("SELECT * FROM retention_times()").fetchone()
    if row is None:
        raise RuntimeError("a function that returns one row returns one row")
    database_at, entry, signer, witness, stamp = row
    return Clocks(
        host_at=host_at,
        database_at=database_at,
        recorded=_known(entry=entry, signer=signer),
        witnessed=_known(witness=witness, time_stamp=stamp),
    )


def _known(**times: datetime | None) -> dict[str, datetime]:
    return {name: at for name, at in times.items() if at is not None}
