"""What a region's operator's log says of the keys that sign, proved against what was signed.

Rules kept: docs/spec/checkpoint.md section 3.1. An entry counts once it lies under the last checkpoint that the signer
remembers of that log: the inclusion proof leads to the remembered root, and the header opens the entry's commitment.
Rows that do not are reported and otherwise passed over: the database is not believed.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import psycopg

from auditvault.core.errors import AuditvaultError
from auditvault.core.tlog import tiles as tlog_tiles
from auditvault.core.tlog.commitment import verify_header_commitment
from auditvault.core.tlog.entry import Entry, leaf_hash
from auditvault.core.tlog.key_events import ENTRY_TYPE_RETIRED, KEY_ENTRY_TYPES, key_in
from auditvault.core.tlog.merkle import verify_inclusion
from auditvault.ledger.logs import LogRef
from auditvault.ledger.signer_keys import KeyEvent
from auditvault.ledger.signer_state import Signed
from auditvault.ledger.sqlfiles import load_sql
from auditvault.ledger.tiling import fetch_tiles

_READ = load_sql("auditvault.ledger", "signer_key_events")


def stored_events(
    connection: psycopg.Connection[Any], log: LogRef, *, size: int
) -> list[tuple[int, bytes, bytes, bytes]]:
    """Index, entry, opening and header of each row about a key below `size`, in order; nothing is proved."""
    rows = connection.execute(
        _READ,
        {
            "log_id": log.log_id,
            "tenant_id": log.tenant_id,
            "size": size,
            "actions": list(KEY_ENTRY_TYPES),
        },
    ).fetchall()
    return [(row[0], bytes(row[1]), bytes(row[2]), bytes(row[3])) for row in rows]


def proved_events(
    connection: psycopg.Connection[Any], log: LogRef, covered: Signed
) -> Iterator[KeyEvent | AuditvaultError]:
    """Each event of a key in the operator's log `log`, in order, or why a row is none."""
    for index, entry, opening, header in stored_events(connection, log, size=covered.size):
        try:
            yield _proved(connection, log, covered, index, (entry, opening, header))
        except AuditvaultError as error:
            yield error


def _proved(
    connection: psycopg.Connection[Any],
    log: LogRef,
    covered: Signed,
    index: int,
    row: tuple[bytes, bytes, bytes],
) -> KeyEvent:
    data, opening, header = row
    verify_inclusion(
        leaf_hash=leaf_hash(data),
        index=index,
        size=covered.size,
        proof=tlog_tiles.inclusion_proof(
            index, covered.size, partial(fetch_tiles, connection, log)
        ),
        root=bytes.fromhex(covered.root),
    )
    entry = Entry.from_bytes(data)
    verify_header_commitment(
        entry.commitment, opening=opening, entry_type=entry.type, header_bytes=header
    )
    return KeyEvent(index=index, retires=entry.type == ENTRY_TYPE_RETIRED, key=key_in(header))
