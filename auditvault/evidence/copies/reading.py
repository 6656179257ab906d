"""Reading a copy back, and comparing a copied checkpoint with the log that it is said to be of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import ClassVar

from auditvault.core.errors import AuditvaultError
from auditvault.core.tlog.checkpoint import (
    Checkpoint,
    CheckpointError,
    open_checkpoint,
)
from auditvault.core.tlog.copy_names import CHECKPOINTS, CopiedName, CopyNameError
from auditvault.core.tlog.difference import first_difference
from auditvault.core.tlog.log_key import LogKey, log_verifiers
from auditvault.core.tlog.note import MAX_NOTE_SIZE, NoteError
from auditvault.core.tlog.tiles import (
    FULL_TILE_SIZE,
    TILE_WIDTH,
    TileError,
    TileKey,
    root_at,
    tile_path,
)
from auditvault.evidence.copies.store import ObjectMissingError, Store
from auditvault.ledger.logs import LogRef
from auditvault.ledger.scope import region_alias, tenant_scope
from auditvault.ledger.selectors import head
from auditvault.ledger.tiling import MissingTileError, fetch_tiles

LOGS = "logs"


class CopyContradictsError(AuditvaultError):
    """The log does not extend a checkpoint that was copied: it was cut, put back or rewritten."""

    code: ClassVar[str] = "copy_contradicts"

    def __init__(self, message: str, index: int) -> None:
        super().__init__(message)
        self.index = index
        """The first index at which the log is known to differ."""


def log_folder(origin: str) -> str:
    """Where a log's objects are."""
    return f"{LOGS}/{origin}"


def checkpoints_folder(origin: str) -> str:
    """Where its checkpoints are."""
    return f"{log_folder(origin)}/{CHECKPOINTS}"


def copied_names(
    store: Store, origin: str, after: CopiedName | None = None
) -> Iterator[CopiedName]:
    """Yield the names of a log's copied checkpoints behind `after`, in order; what is no such name is passed over."""
    for name in store.names(checkpoints_folder(origin), str(after) if after else ""):
        try:
            yield CopiedName.parse(name)
        except CopyNameError:
            continue


def read_copied(store: Store, origin: str, name: CopiedName, keys: Sequence[LogKey]) -> Checkpoint:
    """The copied checkpoint, its signature verified; raises CopyNameError where it is damaged, CopyStoreError."""
    note = store.read(f"{checkpoints_folder(origin)}/{name}", MAX_NOTE_SIZE)
    name.check(note)
    try:
        verifiers = log_verifiers(origin, keys)
        checkpoint = open_checkpoint(note.decode(), origin=origin, verifiers=verifiers)
    except (NoteError, CheckpointError, UnicodeDecodeError) as error:
        raise CopyNameError(f"the copied checkpoint of {name.size} is not signed") from error
    if checkpoint.size != name.size:
        raise CopyNameError(f"the copied checkpoint of {name.size} is of another size")
    return checkpoint


def require_extended(*, region: str, log: LogRef, store: Store, copied: Checkpoint) -> None:
    """Raise CopyContradictsError unless the log of the database extends the copied checkpoint."""
    alias = region_alias(region)
    with tenant_scope(alias, log.tenant_id) as connection:
        size = head(connection, log).size
        try:
            root = (
                root_at(copied.size, partial(fetch_tiles, connection, log))
                if copied.size <= size
                else b""
            )
        except MissingTileError:
            root = b""
    if root == copied.root:
        return
    if copied.size > size:
        raise CopyContradictsError(f"It ends at {size}, and {copied.size} were copied.", size)
    index = _first_difference(region, log, store, copied.size)
    raise CopyContradictsError(f"It differs from its copy from index {index} on.", index)


def _first_difference(region: str, log: LogRef, store: Store, size: int) -> int:
    """The first index at which tiles of the log and of its copy differ; the last entry's where they do not say."""

    def of_log(keys: Sequence[TileKey]) -> Mapping[TileKey, bytes]:
        with tenant_scope(region_alias(region), log.tenant_id) as connection:
            return fetch_tiles(connection, log, keys)

    def of_copy(keys: Sequence[TileKey]) -> Mapping[TileKey, bytes]:
        return {key: _copied_tile(store, log.origin, key) for key in keys}

    try:
        found = first_difference(size, of_copy, of_log)
    except (TileError, MissingTileError, ObjectMissingError):
        found = None
    return size - 1 if found is None else found


def _copied_tile(store: Store, origin: str, key: TileKey) -> bytes:
    """A copied tile; where only the full one that has grown from it is there, its left part."""
    folder = log_folder(origin)
    try:
        return store.read(f"{folder}/{tile_path(key.level, key.n, key.width)}", FULL_TILE_SIZE)
    except ObjectMissingError:
        if key.width == TILE_WIDTH:
            raise
    full = store.read(f"{folder}/{tile_path(key.level, key.n)}", FULL_TILE_SIZE)
    return full[: key.width * len(full) // TILE_WIDTH]
