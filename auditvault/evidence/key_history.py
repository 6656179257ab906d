"""How the keys that sign a region came and went, out of the operator's log, as bundles bring it (bundle.md section 10).

For each announcement and each retirement: the first checkpoint that covers it, which earlier keys have signed, and what
proves the entry under it. The records name public keys and nothing else, so every bundle may have them.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import psycopg

from auditvault.core.errors import AuditvaultError
from auditvault.core.tlog.bundle_history import MAX_STEPS, HistoryStep, KeyRecord
from auditvault.core.tlog.canonical import CanonicalFormError
from auditvault.core.tlog.commitment import CommitmentMismatchError, verify_header_commitment
from auditvault.core.tlog.entry import EntryError, leaf_hash, read_fields
from auditvault.core.tlog.key_events import KeyEventMalformedError, key_in
from auditvault.core.tlog.merkle import ProofError, verify_inclusion
from auditvault.ledger.admin.services import OPERATOR
from auditvault.ledger.key_events import stored_events
from auditvault.ledger.logs import LogRef, tenant_logs
from auditvault.ledger.scope import region_alias, tenant_scope
from auditvault.ledger.selectors import (
    SignedCheckpoint,
    consistency,
    first_checkpoint,
    inclusion,
    latest_checkpoint,
)

Step = tuple[int, HistoryStep]
"""Size of the operator's log, and what is proved at it."""


class KeyHistoryDamagedError(AuditvaultError):
    """What the database has of a key's coming or going is not what was signed, or it is too much for a bundle."""

    code = "key_history_damaged"


def read_key_history(region: str, *, until: SignedCheckpoint | None = None) -> list[Step]:
    """Every step up to the checkpoint `until` of the operator's log, or to its newest; none where no key came or went.

    Raises KeyHistoryDamagedError.
    """
    logs = [log for log in tenant_logs(region=region, tenant_id=OPERATOR) if log.kind == "admin"]
    for log in logs:
        with tenant_scope(region_alias(region), OPERATOR, snapshot=True) as connection:
            last = until or latest_checkpoint(connection, log)
            if last is not None:
                return _steps(connection, log, last)
    return []


def _steps(connection: psycopg.Connection[Any], log: LogRef, last: SignedCheckpoint) -> list[Step]:
    covering: dict[int, tuple[SignedCheckpoint, list[KeyRecord]]] = {}
    for index, *row in stored_events(connection, log, size=last.size):
        checkpoint = first_checkpoint(connection, log, size=index + 1) or last
        record = _record(connection, log, index, row, checkpoint)
        if record is not None:
            covering.setdefault(checkpoint.size, (checkpoint, []))[1].append(record)
    if not covering:
        return []
    covering.setdefault(last.size, (last, []))
    if len(covering) > MAX_STEPS:
        raise KeyHistoryDamagedError("The operator's log has more records of keys than fit.")
    sizes = sorted(covering)
    growth = {
        new: tuple(consistency(connection, log, old_size=old, new_size=new))
        for old, new in pairwise(sizes)
    }
    return [
        (
            size,
            HistoryStep(
                checkpoint=covering[size][0].note,
                consistency=growth.get(size, ()),
                records=tuple(covering[size][1]),
            ),
        )
        for size in sizes
    ]


def _record(
    connection: psycopg.Connection[Any],
    log: LogRef,
    index: int,
    row: Sequence[bytes],
    checkpoint: SignedCheckpoint,
) -> KeyRecord | None:
    """The record once it is proved; None for one that names no key, which the signer passes over too."""
    entry, opening, header = row
    proof = inclusion(connection, log, index=index, size=checkpoint.size)
    try:
        verify_inclusion(
            leaf_hash=leaf_hash(entry),
            index=index,
            size=checkpoint.size,
            proof=proof,
            root=checkpoint.root,
        )
        fields = read_fields(entry)
        verify_header_commitment(
            fields.commitment, opening=opening, entry_type=fields.type, header_bytes=header
        )
    except (ProofError, EntryError, CommitmentMismatchError) as error:
        raise KeyHistoryDamagedError(
            f"Record {index} of a key is not the one that was signed. Verify the operator's log."
        ) from error
    try:
        key_in(header)
    except (KeyEventMalformedError, CanonicalFormError):
        return None
    return KeyRecord(entry=entry, header=header, opening=opening, inclusion=tuple(proof))
