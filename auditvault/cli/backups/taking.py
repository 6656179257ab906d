"""Taking a backup: one region, the parts that are asked for, each sealed as it streams.

Order, and what an end in between leaves behind:

1. A lock in the region's database is taken; the snapshots are.      End: nothing, locks and snapshots end with us.
2. Directories `<part>.unfinished`; every dump is sealed into them.  End by an error: they are removed. Killed: they
                                                                     stay, are no backup, and the next run says so.
3. Each part's manifest is signed, then the directory gets its name. End: the parts that have theirs are whole and of
                                                                     the same instant as those that have not.

The keyring's snapshot is taken after the region's, at once: a key is written before what it seals, so the keyring has
every key that the region's snapshot needs, unless a key was destroyed in the moment between.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar
from uuid import UUID, uuid4

import psycopg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import auditvault
from auditvault.cli.backups.files import FILE_BYTES, PartWriter, Progress
from auditvault.cli.backups.programs import ClientPrograms
from auditvault.cli.backups.reading import (
    VAULT_TABLES,
    Snapshot,
    count_rows,
    read_epoch,
    read_erasures,
    read_heads,
    snapshot,
)
from auditvault.cli.backups.servers import Database
from auditvault.core.backup import PARTS, BackupKey, Dump, Head, Manifest, Part, SealedFile
from auditvault.core.errors import AuditvaultError

KEYRING_LIFETIME = timedelta(days=7)
"""How long a backup of the keyring may be kept: what bounds an erasure (docs/spec/keys.md section 2)."""

_STAMP = "%Y%m%dT%H%M%SZ"
# Chosen once; the region's database has no other advisory lock of two numbers.
_LOCK = (0x61766275, 1)
_LOCK_WAIT = "--lock-wait-timeout=60s"


class BackupRunningError(AuditvaultError):
    """Another backup of the region is being taken."""

    code: ClassVar[str] = "backup_running"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to be backed up, from where to where."""

    region: str
    parts: tuple[Part, ...]
    region_database: Database
    keys_database: Database
    to: Path
    """Directory of the region's backups."""
    keyring_to: Path
    """The keyring's, which are kept for a shorter time."""
    key: BackupKey
    signing_key: Ed25519PrivateKey
    programs: ClientPrograms
    begun_at: datetime
    file_bytes: int = FILE_BYTES
    backup: UUID = field(default_factory=uuid4)

    @property
    def name(self) -> str:
        """Of the directory: when it was begun, and which it is."""
        return f"{self.begun_at:{_STAMP}}-{str(self.backup)[:8]}"

    def directory(self, part: Part) -> Path:
        """Where a part will be."""
        root = self.keyring_to if part == "keyring" else self.to
        return root / self.region / self.name / part


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A part that lies there whole."""

    directory: Path
    manifest: Manifest


def take_backup(order: Order, progress: Progress) -> list[Taken]:
    """Back up what is ordered; raises an AuditvaultError, and then a part that is there all the same is whole."""
    with ExitStack() as stack:
        held = _snapshots(order, stack)
        for taken in held.values():
            order.programs.require(taken.server_version)
        writers = [_begin(order, part, stack) for part in order.parts]
        done = [_take(order, writer, held, progress) for writer in writers]
        for writer, manifest in zip(writers, done, strict=True):
            writer.finish(manifest, order.signing_key)
    return [
        Taken(directory=writer.final, manifest=manifest)
        for writer, manifest in zip(writers, done, strict=True)
    ]


def unfinished_of(order: Order) -> list[Path]:
    """What interrupted runs have left of the region."""
    places = {order.to / order.region, order.keyring_to / order.region}
    return sorted(
        path for place in places for part in PARTS for path in place.glob(f"*/{part}.unfinished")
    )


def overdue_of(order: Order) -> list[Path]:
    """The keyring's backups that are older than they may get: they hold keys of what was erased since."""
    limit = order.begun_at - KEYRING_LIFETIME
    return sorted(
        path
        for path in (order.keyring_to / order.region).glob("*/keyring")
        if path.parent.name.partition("-")[0] < f"{limit:{_STAMP}}"
    )


def _snapshots(order: Order, stack: ExitStack) -> dict[str, Snapshot]:
    """The region's first, then the keyring's; see the head of this module."""
    held: dict[str, Snapshot] = {}
    stack.enter_context(_only_one(order.region_database))
    if order.parts != ("keyring",):
        held["region"] = stack.enter_context(snapshot(order.region_database))
    if "keyring" in order.parts:
        held["keys"] = stack.enter_context(snapshot(order.keys_database))
    return held


@contextmanager
def _only_one(database: Database) -> Iterator[None]:
    """The server forgets the lock with the session: nothing is left of a run that was killed."""
    with database.session() as connection:
        row = connection.execute("SELECT pg_try_advisory_lock(%s, %s)", _LOCK).fetchone()
        if row is None or not row[0]:
            raise BackupRunningError("Another backup of this region is running. Wait for its end.")
        yield


def _begin(order: Order, part: Part, stack: ExitStack) -> PartWriter:
    writer = PartWriter(
        final=order.directory(part),
        backup=order.backup,
        region=order.region,
        part=part,
        key=order.key,
        file_bytes=order.file_bytes,
    )
    writer.begin()
    stack.callback(writer.discard)
    return writer


def _take(
    order: Order, writer: PartWriter, held: Mapping[str, Snapshot], progress: Progress
) -> Manifest:
    part = writer.part
    of = held["keys" if part == "keyring" else "region"]
    dumps = {
        dump: writer.write(dump, order.programs.dump(of.database, options), progress)
        for dump, options in _dumps(part, of.name).items()
    }
    return Manifest(
        backup=order.backup,
        part=part,
        region=order.region,
        begun_at=order.begun_at,
        as_of=of.as_of,
        finished_at=_clock(of.connection),
        auditvault=auditvault.__version__,
        postgresql=of.server,
        pg_dump=order.programs.version,
        key=order.key.key_id.hex(),
        dumps=_plain(dumps),
        rows=count_rows(of.connection, part),
        heads=_heads(of, part),
        epoch=read_epoch(of.connection) if part == "keyring" else None,
        erasures=read_erasures(of.connection, part),
    )


def _plain(dumps: Mapping[Dump, list[SealedFile]]) -> dict[str, Sequence[SealedFile]]:
    return {str(name): tuple(files) for name, files in dumps.items()}


def _heads(of: Snapshot, part: Part) -> Sequence[Head]:
    return tuple(read_heads(of.connection)) if part == "ledger" else ()


def _dumps(part: Part, name: str) -> dict[Dump, list[str]]:
    """pg_dump's options for each dump of a part. Sealed contents and keys are random: nothing to compress."""
    common = ["--format=custom", f"--snapshot={name}", _LOCK_WAIT]
    if part == "keyring":
        return {"data": [*common, "--compress=0"]}
    if part == "vault":
        return {"data": [*common, "--compress=0", "--data-only", f"--table=public.{VAULT_TABLES}"]}
    ledger = ["--compress=1", "--data-only", f"--exclude-table=public.{VAULT_TABLES}"]
    return {
        "schema": [*common, "--compress=1", "--schema-only"],
        "data": [*common, *ledger],
    }


def _clock(connection: psycopg.Connection[Any]) -> datetime:
    row = connection.execute("SELECT clock_timestamp()").fetchone()
    if row is None or not isinstance(row[0], datetime):
        raise TypeError("clock_timestamp() gives a time")
    return row[0].astimezone(UTC)
