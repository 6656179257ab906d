"""Reading a region's erasure ledger from its beginning, each record proved before the next is looked at."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple
from uuid import UUID

import psycopg

from auditvault.core.tlog.erasure_ledger import (
    NO_HASH,
    ErasureChain,
    ErasureChainError,
    ErasureRecord,
    open_record,
    record_hash,
)
from auditvault.vault.erasures.keys import trusted_keys
from auditvault.vault.erasures.pending import Head
from auditvault.vault.erasures.store import ledger_files


class Proved(NamedTuple):
    """A record that a trusted key has signed and that follows the one before."""

    record: ErasureRecord
    head: Head
    """What a database says of it once it is carried out."""
    data: bytes


def proved_records(region: str) -> Iterator[Proved]:
    """Every record of the region's ledger, in order.

    Raises ErasureChainError, ErasureRecordError, NoteError, ErasureLedgerDamagedError where the ledger is not whole;
    ErasureLedgerUnavailableError, ErasureTrustError where it cannot be verified.
    """
    files, chain = ledger_files(region), ErasureChain(region, trusted_keys())
    for index in range(files.size()):
        data = files.read(index)
        if data is None:
            raise ErasureChainError(f"record {index} is gone")
        yield Proved(chain.add(data), Head(index, chain.head), data)


class Carried(NamedTuple):
    """An erasure that is done."""

    idx: int
    """Of its record in the ledger."""
    hash: bytes
    objects: int
    """That it found, counted when nobody added to them any more."""
    keys: int
    """That its record names."""


def erasures_for(
    connection: psycopg.Connection[Any], region: str, reference: UUID
) -> list[Carried]:
    """What was done on the order of one request, in the order of the ledger; inside a scope of its tenant.

    Raises ErasureRecordError, NoteError, ErasureLedgerUnavailableError, ErasureTrustError; ErasureChainError where the
    ledger has not the record that the database names.
    """
    rows = connection.execute(
        "SELECT idx, hash, coalesce(found, 0) FROM vault_erasure WHERE reference = %s AND done_at IS NOT NULL"
        " ORDER BY idx",
        (reference,),
    ).fetchall()
    files, verifiers_for = ledger_files(region), trusted_keys()
    done = []
    for index, digest, objects in rows:
        data = files.read(index) or b""
        if record_hash(data) != bytes(digest):
            raise ErasureChainError(f"record {index} is not the one that was carried out")
        record = open_record(data, verifiers_for)
        done.append(Carried(index, bytes(digest), objects, len(record.keys)))
    return done


def verify_ledger(region: str) -> Head:
    """Verify the region's whole ledger; returns its last record, -1 and zeros where it is empty. Raises as above."""
    head = Head(-1, NO_HASH)
    for _, head, _ in proved_records(region):  # noqa: B007  # the last one is wanted
        pass
    return head
