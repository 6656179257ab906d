"""A forger who owns the database: rewrites a log and mends everything behind the change but the signatures."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from auditvault.core.tlog.entry import ZERO_HASH, Entry, leaf_hash
from auditvault.core.tlog.merkle import CompactRange, perfect_root
from auditvault.core.tlog.tiles import TILE_WIDTH

Change = Callable[[Entry], Entry | None]
SIZE = 300
"""Entries of the interactions log that there is to rewrite, signed at SIZE - 100 and at SIZE."""


def rewrite(connection: Any, log: Any, change: Change) -> None:
    """Apply `change` to every entry (None takes it out), then mend chain, leaf hashes, tiles and head."""
    rows = connection.execute(
        "SELECT record_id, entry FROM ledger_entry WHERE log_id = %s ORDER BY idx", (log.log_id,)
    ).fetchall()
    changed = [(record_id, change(Entry.from_bytes(bytes(data)))) for record_id, data in rows]
    kept = [(record_id, entry) for record_id, entry in changed if entry is not None]
    connection.execute("DELETE FROM ledger_entry WHERE log_id = %s", (log.log_id,))
    leaves, prev = [], ZERO_HASH
    for index, (record_id, entry) in enumerate(kept):
        data = dataclasses.replace(entry, index=index, prev=prev).to_bytes()
        prev = leaf_hash(data)
        leaves.append(prev)
        connection.execute(
            "INSERT INTO ledger_entry VALUES (%s, %s, %s, %s, %s, %s)",
            (log.tenant_id, log.log_id, index, record_id, prev, data),
        )
    mend(connection, log, leaves)


def mend(connection: Any, log: Any, leaves: list[bytes]) -> None:
    """Make tiles and head fit these leaves."""
    connection.execute("DELETE FROM ledger_tile WHERE log_id = %s", (log.log_id,))
    for n in range(len(leaves) // TILE_WIDTH):
        tile = leaves[n * TILE_WIDTH : (n + 1) * TILE_WIDTH]
        connection.execute(
            "INSERT INTO ledger_tile (tenant_id, log_id, level, n, hashes, root)"
            " VALUES (%s, %s, 0, %s, %s, %s)",
            (log.tenant_id, log.log_id, n, b"".join(tile), perfect_root(tile)),
        )
    tree = CompactRange()
    tree.extend(leaves)
    connection.execute(
        "UPDATE ledger_head SET size = %s, range = %s, last_leaf = %s WHERE log_id = %s",
        (len(leaves), tree.to_bytes(), leaves[-1], log.log_id),
    )


def cut(connection: Any, log: Any, size: int) -> None:
    """Take everything from `size` on away, and mend the rest."""
    connection.execute(
        "DELETE FROM traces_header AS h USING ledger_entry AS e WHERE e.log_id = %s AND e.idx >= %s"
        " AND h.tenant_id = e.tenant_id AND h.record_id = e.record_id",
        (log.log_id, size),
    )
    connection.execute(
        "DELETE FROM ledger_entry WHERE log_id = %s AND idx >= %s", (log.log_id, size)
    )
    rows = connection.execute(
        "SELECT leaf_hash FROM ledger_entry WHERE log_id = %s ORDER BY idx", (log.log_id,)
    ).fetchall()
    mend(connection, log, [bytes(row[0]) for row in rows])


def drop_checkpoints(connection: Any, log: Any, above: int) -> None:
    """Take the checkpoints of more than `above` entries away."""
    connection.execute(
        "DELETE FROM ledger_checkpoint WHERE log_id = %s AND size > %s", (log.log_id, above)
    )


def resign(connection: Any, log: Any, key: Any) -> None:
    """Sign anew, with the signer's own key, at the sizes that were signed: the log as it stands now."""
    from auditvault.core.tlog.checkpoint import Checkpoint
    from auditvault.core.tlog.note import NoteSigner, sign_note

    sizes = connection.execute(
        "SELECT size FROM ledger_checkpoint WHERE log_id = %s", (log.log_id,)
    ).fetchall()
    rows = connection.execute(
        "SELECT leaf_hash FROM ledger_entry WHERE log_id = %s ORDER BY idx", (log.log_id,)
    ).fetchall()
    for (size,) in sizes:
        tree = CompactRange()
        tree.extend([bytes(row[0]) for row in rows[:size]])
        body = Checkpoint(origin=log.origin, size=size, root=tree.root()).body()
        connection.execute(
            "UPDATE ledger_checkpoint SET root = %s, note = %s WHERE log_id = %s AND size = %s",
            (tree.root(), sign_note(body, [NoteSigner(log.origin, key)]), log.log_id, size),
        )


def record_at(connection: Any, log: Any, index: int) -> Any:
    """The record id of an entry."""
    return connection.execute(
        "SELECT record_id FROM ledger_entry WHERE log_id = %s AND idx = %s", (log.log_id, index)
    ).fetchone()[0]
