"""Going through the erasure ledger again after a restore, and taking the mark of a region away.

Order, and what a crash leaves behind: docs/spec/erasure-ledger.md section 5. The steps are those of an erasure
(`vault.shred`), but for the record, which is there. Running it again goes through everything again, and finds less.
"""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

import psycopg

from auditvault.core.errors import AuditvaultError
from auditvault.core.tlog.erasure_ledger import NO_HASH, ErasureRecord
from auditvault.ledger.admin.services import record_operation
from auditvault.vault.erasures.pending import Head, mark_restore_pending
from auditvault.vault.erasures.reading import proved_records
from auditvault.vault.shred import (
    Counts,
    Erasure,
    Hands,
    bar_keys,
    destroy_keys,
    erase_rows,
    finish,
    forget_keys,
    hands_on,
    hide,
)

log = logging.getLogger("auditvault.vault")
ENTRY_TYPE = "restore.completed"


class ErasureLedgerContradictsError(AuditvaultError):
    """The erasure ledger has not what a database knows of it: it was cut, edited or forked, or is another one."""

    code = "erasure_ledger_contradicts"


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What going through the ledger came to."""

    head: Head
    """Its last record."""
    counts: Counts
    """What had come back, and is gone again."""
    record_id: UUID
    """Of the record in the operator's log."""


def replay_erasures(*, region: str) -> Replayed:
    """Verify the region's erasure ledger, destroy what came back, and let the region be read again.

    Raises, with the region left as it is:
        ErasureLedgerContradictsError: the ledger has not the record that a database was left at.
        ErasureChainError, ErasureRecordError, NoteError, ErasureLedgerDamagedError: it is not whole.
        ErasureLedgerUnavailableError, ErasureTrustError: it cannot be verified.
        KeysHeldError: a hold came back with the keyring; the region stays marked.
    """
    with hands_on(region) as hands:
        try:
            last = _verify(hands)
        except AuditvaultError as error:
            log.critical("the erasure ledger of %s does not hold: %s", region, error.message)
            raise
        mark_restore_pending(region, reason="replaying")
        counts = Counts()
        for record, head, _ in proved_records(region):
            _carry_out_again(hands, record, head, counts)
        details: dict[str, Any] = {
            "records": last.idx + 1,
            "head": last.hash.hex(),
            "came_back": asdict(counts),
        }
        record_id = record_operation(region=region, action=ENTRY_TYPE, details=details)
        _clear(hands, last)
    return Replayed(head=last, counts=counts, record_id=record_id)


def _verify(hands: Hands) -> Head:
    """The ledger's last record, once it is proved to hold what both databases know of it."""
    wanted = {
        "region": _head(hands.vault, "erasure_state"),
        "keyring": _head(hands.keys, "keyring_erasure_state"),
    }
    last = Head(-1, NO_HASH)
    missing = {name for name, head in wanted.items() if head != last}
    for _, last, _ in proved_records(hands.region):
        missing -= {name for name, head in wanted.items() if head == last}
    if missing:
        raise ErasureLedgerContradictsError(
            f"The erasure ledger has not the last record that the {' and the '.join(sorted(missing))} of"
            f" {hands.region} know. Keep both, and find out which was changed."
        )
    return last


def _head(connection: psycopg.Connection[Any], table: str) -> Head:
    row = connection.execute(f"SELECT idx, hash FROM {table}".encode()).fetchone()  # noqa: S608
    if row is None:
        raise ErasureLedgerContradictsError("A database does not say which erasures it knows.")
    return Head(row[0], bytes(row[1]))


def _carry_out_again(hands: Hands, record: ErasureRecord, head: Head, counts: Counts) -> None:
    erasure = Erasure(
        tenant_id=UUID(record.tenant_id),
        erasure_id=UUID(record.erasure_id),
        reference=UUID(record.reference),
        subject_ids=[UUID(subject) for subject in record.subject_ids],
    )
    keys = bar_keys(hands, erasure)
    hide(hands, erasure, counts)
    destroy_keys(hands, erasure, head, counts)
    erase_rows(hands, erasure, counts)
    finish(hands, erasure, head)
    forget_keys(hands.region, erasure.tenant_id, keys)


def _clear(hands: Hands, last: Head) -> None:
    if _head(hands.keys, "keyring_erasure_state") != last:
        raise ErasureLedgerContradictsError(
            "The keyring does not stand at the ledger's last record."
        )
    cleared = hands.vault.execute("SELECT vault_clear_restore_pending(%s, %s)", last).fetchone()
    if cleared != (True,):
        raise ErasureLedgerContradictsError(
            "The region does not stand at the ledger's last record."
        )
