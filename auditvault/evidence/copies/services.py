"""Copying: what is signed goes into the store, once, and only if the log extends what is there.

Order and crash outcomes: docs/spec/copies.md section 3. The first run, every other and the one after a crash are the
same function.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from hashlib import sha256

from auditvault.core.errors import AuditvaultError
from auditvault.core.tlog.checkpoint import (
    Checkpoint,
    CheckpointError,
    open_checkpoint,
)
from auditvault.core.tlog.copy_names import CopiedName
from auditvault.core.tlog.log_key import LogKey, log_verifiers
from auditvault.core.tlog.note import NoteError
from auditvault.core.tlog.tiles import TILE_WIDTH
from auditvault.evidence.copies.progress import (
    CopyOvertakenError,
    Progress,
    move_progress,
    read_progress,
)
from auditvault.evidence.copies.reading import (
    CopyContradictsError,
    checkpoints_folder,
    copied_names,
    log_folder,
    read_copied,
    require_extended,
)
from auditvault.evidence.copies.source import CopySourceError, Named, Source
from auditvault.evidence.copies.store import (
    ObjectMissingError,
    Store,
    StoreDeniedError,
    StoreUnavailableError,
    put_once,
)
from auditvault.ledger.cosignatures import published_checkpoint
from auditvault.ledger.logs import LogRef, region_logs
from auditvault.ledger.publishing import PublishedLog
from auditvault.ledger.scope import region_alias, tenant_scope
from auditvault.ledger.selectors import SignedCheckpoint

_ROUND_TILES = 16
_THREADS = 8
_LONGEST_SECONDS = 600.0
_LEDGER_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")


@dataclass(slots=True)
class Round:
    """What one run over a region's logs came to."""

    logs: int = 0
    # Objects that were not there before.
    objects: int = 0
    # Origins of logs that the next run goes on with.
    unfinished: list[str] = field(default_factory=list)
    # Origin -> the error's code, and the first bad index where one is known.
    bad: dict[str, str] = field(default_factory=dict)
    indices: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A region's store, and whose signatures count."""

    region: str
    store: Store
    digest: bytes
    """Of the place: the key of progress."""
    keys: Sequence[LogKey]
    """The signer's."""


def copy_region(target: Target, *, clock: Callable[[], float] = time.monotonic) -> Round:
    """Copy every log of the region; `clock` gives seconds, by which a long run ends and is gone on with by the next.

    Raises:
        StoreUnavailableError, StoreDeniedError: the store is of no use at the moment; the rest was not tried.
    """
    found = Round()
    until = clock() + _LONGEST_SECONDS
    for log in region_logs(target.region):
        try:
            copy_log(target, log, found, is_late=lambda: clock() >= until)
        except (StoreUnavailableError, StoreDeniedError):
            raise
        except CopyOvertakenError:
            found.unfinished.append(log.origin)
        except CopyContradictsError as error:
            found.bad[log.origin] = error.code
            found.indices[log.origin] = error.index
        except AuditvaultError as error:
            found.bad[log.origin] = error.code
    return found


def copy_log(
    target: Target, log: LogRef, found: Round, *, is_late: Callable[[], bool] = lambda: False
) -> None:
    """Copy one log up to the checkpoint that is given out, noted in `found`.

    Raises:
        CopyContradictsError: the log does not extend what was copied.
        CopyDiffersError: an object is there with other content.
        CopySourceError: what the database holds was not signed.
        ObjectMissingError: the store has lost what it was known to have; the next run copies the log anew.
        CopyOvertakenError: another worker copies this log.
        CopyStoreError: the store failed.
    """
    with tenant_scope(region_alias(target.region), log.tenant_id) as connection:
        newest = published_checkpoint(connection, log)
        before = read_progress(connection, log, target.digest)
    if newest is None or not newest.size:
        return
    found.logs += 1
    checkpoint = _verify(log, newest, target.keys)
    in_store = _newest_in_store(target, log, before)
    progress = before
    if in_store is None and before.checkpoint is not None:
        _move(target, log, before, Progress())
        raise ObjectMissingError(
            "The store has lost a checkpoint; the next run copies the log anew."
        )
    if in_store is None or in_store.size < newest.size:
        source = Source(PublishedLog(region=target.region, log=log), checkpoint)
        whole = newest.size - newest.size % TILE_WIDTH
        copied = _copy_tiles(target, log, source, whole, progress, found, is_late)
        if copied is None:
            found.unfinished.append(log.origin)
            return
        progress = copied
        in_store = _put_checkpoint(target, log, newest, found)
    seen_at = before.signed_at if in_store.size > newest.size else newest.signed_at
    _move(
        target,
        log,
        progress,
        replace(progress, checkpoint=str(in_store), signed_at=seen_at or newest.signed_at),
    )


def put_ledger_record(target: Target, *, ledger: str, record: bytes) -> str:
    """Keep a record of another ledger (erasures, say) under its own hash; returns the object's name.

    `ledger` is a lower-case letter, then up to 30 letters, digits or `-`. The record must hold nothing of a person: it
    outlives everything. Raises CopyStoreError.
    """
    if not _LEDGER_NAME.fullmatch(ledger):
        raise ValueError("no such name of a ledger")
    name = f"ledger/{target.region}/{ledger}/{sha256(record).hexdigest()}"
    put_once(target.store, name, record)
    return name


def _verify(log: LogRef, newest: SignedCheckpoint, keys: Sequence[LogKey]) -> Checkpoint:
    verifiers = log_verifiers(log.origin, keys)
    try:
        checkpoint = open_checkpoint(newest.note, origin=log.origin, verifiers=verifiers)
    except (NoteError, CheckpointError) as error:
        raise CopySourceError("The newest checkpoint does not verify.") from error
    if (checkpoint.size, checkpoint.root) != (newest.size, newest.root):
        raise CopySourceError("The newest checkpoint does not say what its row says.")
    return checkpoint


def _newest_in_store(target: Target, log: LogRef, progress: Progress) -> CopiedName | None:
    """The newest copied checkpoint, which the log extends; None where there is none, or the known one is gone.

    Names are listed from the known one on, so that this costs one page, and sees what a run put that then died.
    """
    known = CopiedName.parse(progress.checkpoint) if progress.checkpoint else None
    newest = known
    for newest in copied_names(target.store, log.origin, known):  # noqa: B007  # the last one is wanted
        pass
    if newest is None:
        return None
    try:
        if known is not None and newest != known:
            read_copied(target.store, log.origin, known, target.keys)
        copied = read_copied(target.store, log.origin, newest, target.keys)
    except ObjectMissingError:
        return None
    require_extended(region=target.region, log=log, store=target.store, copied=copied)
    return newest


def _copy_tiles(
    target: Target,
    log: LogRef,
    source: Source,
    whole: int,
    progress: Progress,
    found: Round,
    is_late: Callable[[], bool],
) -> Progress | None:
    """Copy full tiles and bundles up to `whole` entries, then those of the edge; None where the time is up before."""
    while progress.size < whole:
        if is_late():
            return None
        size = min(progress.size + _ROUND_TILES * TILE_WIDTH, whole)
        _put_all(target, log, source.full_objects(progress.size, size), found)
        progress = _move(target, log, progress, replace(progress, size=size))
    _put_all(target, log, source.edge_objects(), found)
    return progress


def _put_all(target: Target, log: LogRef, objects: Iterable[Named], found: Round) -> None:
    """Put some objects, several at a time; all have been read and checked, and no transaction is open."""
    folder = log_folder(log.origin)
    named = list(objects)
    with ThreadPoolExecutor(max_workers=_THREADS) as pool:
        made = pool.map(lambda each: put_once(target.store, f"{folder}/{each[0]}", each[1]), named)
        found.objects += sum(made)


def _put_checkpoint(
    target: Target, log: LogRef, newest: SignedCheckpoint, found: Round
) -> CopiedName:
    note = newest.note.encode()
    name = CopiedName.of(newest.size, note)
    found.objects += put_once(target.store, f"{checkpoints_folder(log.origin)}/{name}", note)
    return name


def _move(target: Target, log: LogRef, old: Progress, new: Progress) -> Progress:
    return move_progress(region=target.region, log=log, store=target.digest, old=old, new=new)
