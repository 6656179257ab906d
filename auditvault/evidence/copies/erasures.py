"""Copying the erasure ledger: each record once, and only if the ledger has everything that was copied before.

An object is named by its record's hash, so what is in the store says which records there were. Safe to run again: what
is there already is compared and never replaced.
"""

from __future__ import annotations

from auditvault.core.errors import AuditvaultError
from auditvault.evidence.copies.services import Target, put_ledger_record
from auditvault.vault.erasures.reading import proved_records

LEDGER = "erasures"


class ErasureCopyContradictsError(AuditvaultError):
    """The store has a record that the erasure ledger has not: it was cut, edited or forked."""

    code = "erasure_copy_contradicts"


def copy_erasures(target: Target) -> int:
    """Copy what the store has not; returns how many records. Nothing is put that is not proved.

    Raises ErasureCopyContradictsError, what `proved_records` raises, CopyStoreError.
    """
    copied = set(target.store.names(f"ledger/{target.region}/{LEDGER}"))
    missing = copied - {proved.head.hash.hex() for proved in proved_records(target.region)}
    if missing:
        raise ErasureCopyContradictsError(
            f"{len(missing)} copied records are not in the erasure ledger of {target.region}."
        )
    new = [
        proved for proved in proved_records(target.region) if proved.head.hash.hex() not in copied
    ]
    for proved in new:
        put_ledger_record(target, ledger=LEDGER, record=proved.data)
    return len(new)
