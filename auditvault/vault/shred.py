"""The one way in which what belongs to subjects is destroyed, for whatever reason (design rule 5).

Order, and what a crash leaves behind; each step is one transaction, or a batch of such:

1. Keyring: a hold refuses; else no further key is made.      Crash: a note. Nothing is hidden; asked again, it goes on.
2. Region: writers of the tenant are waited for; a hold       Crash: nobody reads anything of them; the next run, of
   refuses; subjects are `erasing`, the names that lead       whatever erasure, goes on.
   to them are gone.
3. The record is in the erasure ledger, durable.              Crash: the same. The heads do not have the record, and the
                                                              region knows whose it is.
4. Keyring: every version of their keys is gone.              Crash: ciphertext that nobody opens.
5. Region: objects, tags, aliases, links to records are       Crash: less ciphertext.
   gone, in batches.
6. Region: subjects are `erased`, the head is the record.     Crash: it is done.

Where a hold refuses in step 2, the note of step 1 is taken back. Crash before that: no further key is made for subjects
whose erasure is refused, until it is asked for again.

Each step may be taken again. The id of an erasure follows from its request and its subjects, so whoever asks again
goes on with it, and one that was done is found. One erasure at a time in a region, and what was left unfinished comes
first: so the records of the ledger are carried out in their order, and a head says that all before it were.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID, uuid5

import psycopg
from django.conf import settings

from auditvault.core.errors import AuditvaultError
from auditvault.core.tlog.erasure_ledger import (
    MAX_KEYS,
    MAX_SUBJECTS,
    DestroyedKey,
    ErasureRecord,
    VerifiersFor,
    ledger_name,
    open_record,
    record_hash,
)
from auditvault.core.tlog.note import NoteSigner
from auditvault.ledger.scope import region_alias, retention_connection
from auditvault.ledger.services import format_instant
from auditvault.vault.erasures.keys import ErasureKeyError, signing_key, trusted_keys
from auditvault.vault.erasures.pending import Head, RestorePendingError, restore_pending_reason
from auditvault.vault.erasures.store import LedgerFiles, ledger_files
from auditvault.vault.keyring.services import opened_keyring

BATCH = 10_000
"""Objects in one transaction."""
HELD = "AVH01"
"""What the region's database refuses with where a hold is in the way; the message's detail names the holds."""


class ErasureRefusedError(AuditvaultError):
    """These subjects cannot be erased so; nothing was changed."""

    code = "erasure_refused"


class KeysHeldError(AuditvaultError):
    """A hold covers keys of these subjects; nothing was changed."""

    code = "keys_held"

    def __init__(self, references: Iterable[UUID]) -> None:
        """`references` are those of the holds."""
        self.references = frozenset(references)
        named = ", ".join(sorted(map(str, self.references)))
        super().__init__(f"Holds are in the way: {named}. Release them first.")


class ErasureOvertakenError(AuditvaultError):
    """Another process wrote to the erasure ledger meanwhile; asking again goes on."""

    code = "erasure_overtaken"


class Erasure(NamedTuple):
    """Whose content goes, and on whose order."""

    tenant_id: UUID
    erasure_id: UUID
    reference: UUID
    subject_ids: list[UUID]


@dataclass(slots=True, kw_only=True)
class Counts:
    """What was there and is gone."""

    subjects: int = 0
    keys: int = 0
    identifiers: int = 0
    objects: int = 0
    aliases: int = 0
    records: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Destroyed:
    """An erasure that is done."""

    erasure_id: UUID
    index: int
    """Of its record in the erasure ledger."""
    counts: Counts
    """What this call destroyed: zeros where an earlier one had done it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hands:
    """What the steps work with, while nobody else erases in the region."""

    region: str
    vault: psycopg.Connection[Any]
    keys: psycopg.Connection[Any]
    files: LedgerFiles
    verifiers_for: VerifiersFor


def destroy(
    *, region: str, tenant_id: UUID, subjects: Collection[UUID], reference: UUID, at: datetime
) -> Destroyed:
    """Destroy what belongs to these subjects of the tenant in the region, for good; returns once nothing is left.

    `reference` is the id of the request that orders it, `at` the time that its record says. Whoever is one person goes
    together: their subjects are the caller's to find. Asking again goes on, or finds it done.

    Raises:
        KeysHeldError: a hold is in the way.
        ErasureRefusedError: no subject or more than 1000, an unknown one, or the tenant's own.
        RestorePendingError: the region waits for an earlier restore.
        ErasureKeyError, ErasureTrustError, ErasureLedgerUnavailableError: the ledger cannot be written.
        ErasureOvertakenError: ask again.
    """
    wanted = _erasure(region, tenant_id, subjects, reference)
    sign = _signer(region)
    with hands_on(region) as hands:
        reason = restore_pending_reason(region)
        if reason is not None:
            raise RestorePendingError(f"The region waits after a restore ({reason}).")
        _refuse_unknown(hands, wanted)
        left = [item for item in _unfinished(hands) if item != wanted]
        for item in left:
            _carry_out(hands, item, sign, at)
        return _carry_out(hands, wanted, sign, at)


def finish_unfinished(*, region: str, at: datetime) -> int:
    """Go on with every erasure of the region that a crash left unfinished; returns how many there were.

    None where another process is erasing: it does so itself. Raises as `destroy`.
    """
    vault = retention_connection(region)
    if vault.execute("SELECT count(*) FROM vault_unfinished_erasures()").fetchone() == (0,):
        return 0
    sign = _signer(region)
    with hands_on(region) as hands:
        left = list(_unfinished(hands))
        for item in left:
            _carry_out(hands, item, sign, at)
    return len(left)


@contextmanager
def hands_on(region: str) -> Iterator[Hands]:
    """Wait until nobody erases in the region, and keep others waiting."""
    region_alias(region)  # refuses a region that this process does not serve
    hands = Hands(
        region=region,
        vault=retention_connection(region),
        keys=retention_connection(region, keys=True),
        files=ledger_files(region),
        verifiers_for=trusted_keys(),
    )
    hands.vault.execute("SELECT pg_advisory_lock(hashtext('auditvault_erasures'), 0)")
    try:
        yield hands
    finally:
        if not hands.vault.closed:  # a connection that is gone holds no lock
            hands.vault.execute("SELECT pg_advisory_unlock(hashtext('auditvault_erasures'), 0)")


def _erasure(region: str, tenant_id: UUID, subjects: Collection[UUID], reference: UUID) -> Erasure:
    ordered = sorted(set(subjects))
    if not 1 <= len(ordered) <= MAX_SUBJECTS:
        raise ErasureRefusedError(f"Name 1 to {MAX_SUBJECTS} subjects at once.")
    named = ",".join(map(str, ordered))
    return Erasure(tenant_id, uuid5(reference, f"{region}/{tenant_id}/{named}"), reference, ordered)


def _refuse_unknown(hands: Hands, erasure: Erasure) -> None:
    row = hands.vault.execute(
        "SELECT vault_check_erasure(%s, %s)", (erasure.tenant_id, erasure.subject_ids)
    ).fetchone()
    if row != ("",):
        raise ErasureRefusedError(
            "What belongs to the tenant itself is not erased for a person."
            if row == ("tenant",)
            else "The tenant has no such subject in this region."
        )


def _unfinished(hands: Hands) -> Iterator[Erasure]:
    rows = hands.vault.execute("SELECT * FROM vault_unfinished_erasures()").fetchall()
    yield from (Erasure(*row) for row in rows)


Sign = Callable[[ErasureRecord], bytes]


def _carry_out(hands: Hands, erasure: Erasure, sign: Sign, at: datetime) -> Destroyed:
    keys = bar_keys(hands, erasure)
    counts = Counts()
    done = hide(hands, erasure, counts)
    if done is not None:
        # What somebody put back by hand goes again; a restore is gone through by `replay`.
        erase_rows(hands, erasure, counts)
        return Destroyed(erasure_id=erasure.erasure_id, index=done, counts=counts)
    head = _write_record(hands, erasure, keys, sign, at)
    destroy_keys(hands, erasure, head, counts)
    erase_rows(hands, erasure, counts)
    finish(hands, erasure, head)
    forget_keys(hands.region, erasure.tenant_id, keys)
    return Destroyed(erasure_id=erasure.erasure_id, index=head.idx, counts=counts)


def bar_keys(hands: Hands, erasure: Erasure) -> list[DestroyedKey]:
    """Step 1: the keys that are there, and no further one from now on; raises KeysHeldError."""
    with hands.keys.transaction():
        rows = hands.keys.execute(
            "SELECT * FROM keyring_begin_destruction(%s, %s, %s)",
            (erasure.tenant_id, erasure.subject_ids, erasure.erasure_id),
        ).fetchall()
        holds = {row[0] for row in rows if row[0] is not None}
        if holds:
            raise KeysHeldError(holds)
        if len(rows) > MAX_KEYS:
            raise ErasureRefusedError(f"More than {MAX_KEYS} keys: name fewer subjects at once.")
    return [
        DestroyedKey(
            key_id=str(key_id), subject_id=str(subject_id), data_class=data_class, version=version
        )
        for _, subject_id, key_id, data_class, version in rows
    ]


def hide(hands: Hands, erasure: Erasure, counts: Counts) -> int | None:
    """Step 2: nobody reads anything of them; the index of the erasure's record where it was done before.

    Raises KeysHeldError where the region knows of a hold; then the note of step 1 is taken back.
    """
    try:
        row = hands.vault.execute(
            "SELECT * FROM vault_begin_erasure(%s, %s, %s, %s)", erasure
        ).fetchone()
    except psycopg.DatabaseError as error:
        if error.sqlstate != HELD:
            raise
        _abandon(hands, erasure)
        raise KeysHeldError(map(UUID, (error.diag.message_detail or "").split(","))) from None
    subjects, identifiers, done = row or (0, 0, None)
    counts.subjects += subjects
    counts.identifiers += identifiers
    index: int | None = done
    return index


def _abandon(hands: Hands, erasure: Erasure) -> None:
    hands.keys.execute(
        "SELECT keyring_abandon_destruction(%s, %s, %s)",
        (erasure.tenant_id, erasure.subject_ids, erasure.erasure_id),
    )


def _write_record(
    hands: Hands, erasure: Erasure, keys: list[DestroyedKey], sign: Sign, at: datetime
) -> Head:
    """Step 3: the record follows the region's head. One that is there already is taken where it is this erasure's."""
    row = hands.vault.execute("SELECT idx, hash FROM erasure_state").fetchone()
    if row is None:
        raise RestorePendingError("The region's database does not say which erasures it knows.")
    index = row[0] + 1
    if not hands.files.has(index):
        record = ErasureRecord(
            log=_ledger_log(hands.region, hands.files, hands.verifiers_for),
            index=index,
            previous=bytes(row[1]),
            recorded_at=format_instant(at),
            erasure_id=str(erasure.erasure_id),
            reference=str(erasure.reference),
            tenant_id=str(erasure.tenant_id),
            subject_ids=tuple(map(str, erasure.subject_ids)),
            keys=tuple(keys),
        )
        hands.files.append(index, sign(record))
    data = hands.files.read(index) or b""
    if open_record(data, hands.verifiers_for).erasure_id != str(erasure.erasure_id):
        raise ErasureOvertakenError("Another process erases in this region. Ask again.")
    return Head(index, record_hash(data))


def destroy_keys(hands: Hands, erasure: Erasure, head: Head, counts: Counts) -> None:
    """Step 4: every version of their keys is gone."""
    row = hands.keys.execute(
        "SELECT keyring_destroy(%s, %s, %s, %s)",
        (erasure.tenant_id, erasure.subject_ids, *head),
    ).fetchone()
    counts.keys += row[0] if row else 0


def erase_rows(hands: Hands, erasure: Erasure, counts: Counts) -> None:
    """Step 5: their objects are gone, with everything that leads to one; a batch in each transaction."""
    while True:
        row = hands.vault.execute(
            "SELECT * FROM vault_erase_rows(%s, %s, %s)",
            (erasure.tenant_id, erasure.subject_ids, BATCH),
        ).fetchone()
        objects, aliases, records = row or (0, 0, 0)
        counts.objects += objects
        counts.aliases += aliases
        counts.records += records
        if not objects and not records:
            return


def finish(hands: Hands, erasure: Erasure, head: Head) -> None:
    """Step 6: it is done, and other processes are told."""
    hands.vault.execute(
        "SELECT vault_finish_erasure(%s, %s, %s, %s)",
        (erasure.tenant_id, erasure.erasure_id, *head),
    )


def forget_keys(region: str, tenant_id: UUID, keys: Collection[DestroyedKey]) -> None:
    """Drop this process's own copies; those of others open nothing, and are dropped within a minute."""
    ring = opened_keyring(region)
    if ring is not None:
        for key in keys:
            ring.forget(tenant_id, UUID(key.subject_id), key.data_class, UUID(key.key_id))


def _ledger_log(region: str, files: LedgerFiles, verifiers_for: VerifiersFor) -> str:
    """The ledger keeps the name that it began with."""
    first = files.read(0)
    if first is None:
        return ledger_name(settings.LOG_HOST, region)
    return open_record(first, verifiers_for).log


def _signer(region: str) -> Sign:
    """What signs records of the region, asked for before anything is hidden; raises ErasureKeyError.

    A key that is not trusted would write a record that nobody believes, this service included.
    """
    private, verifiers_for = signing_key(), trusted_keys()
    public = private.public_key().public_bytes_raw()
    name = _ledger_log(region, ledger_files(region), verifiers_for)
    if not any(verifier.public_key == public for verifier in verifiers_for(name)):
        raise ErasureKeyError("AUDITVAULT_ERASURE_VKEYS_FILE does not hold the signing key's vkey.")
    return lambda record: record.sign(NoteSigner(record.log, private))
