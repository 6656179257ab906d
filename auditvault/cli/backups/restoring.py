"""Putting a backup back: into new databases, which take the place of empty ones once they are whole.

Order, and what an end in between leaves behind:

1. Manifests are judged, and every file is read to its end.   End: nothing has been touched.
2. `<database>_restoring` is made and filled, and compared    End: the databases in use are as they were. The new ones
   with the manifest.                                         are dropped; killed, the next run drops them.
3. The region is marked `restore_pending` in the new one.     End: as before.
4. The new databases take the names of the old ones, the      End after the first: the region is there and pending; its
   region's first.                                            keyring is the old one. The next run does both again.

An old database that held anything is renamed, never dropped: it may be the only copy of what the backup does not have.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

import psycopg

from auditvault.cli.backups.files import Progress
from auditvault.cli.backups.opening import Backup, check_files
from auditvault.cli.backups.programs import ClientPrograms
from auditvault.cli.backups.reading import count_rows, read_heads
from auditvault.cli.backups.servers import Database, DatabaseUnusableError, require_superuser
from auditvault.cli.backups.swapping import drop, is_empty, make_empty, put_in_place
from auditvault.cli.up.provision import Role
from auditvault.core.backup import Dump, Part
from auditvault.core.errors import AuditvaultError

NEW = "_restoring"
_CONNECTING: dict[str, tuple[Role, ...]] = {
    "region": ("app", "retention", "signer"),
    "keys": ("app", "retention"),
}

_REASON = "restored"


class NotEmptyError(AuditvaultError):
    """There is something where the backup is to go."""

    code: ClassVar[str] = "restore_not_empty"


class RestoreMismatchError(AuditvaultError):
    """What was restored is not what the manifest says."""

    code: ClassVar[str] = "restore_mismatch"


class RestoreInterruptedError(AuditvaultError):
    """The new databases are whole, and not all of them are in the old ones' place."""

    code: ClassVar[str] = "restore_interrupted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a backup goes."""

    region_database: Database
    keys_database: Database
    programs: ClientPrograms
    at: datetime
    """Names what is replaced."""
    replaces: bool = False
    """Whether databases that hold something may be put aside."""

    @property
    def databases(self) -> dict[str, Database]:
        """By kind."""
        return {"region": self.region_database, "keys": self.keys_database}


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What became of one database."""

    database: str
    kept_as: str | None
    """The name under which the old one still is; None where it was empty."""
    rows: int


def restore(
    backup: Backup, target: Target, progress: Progress, checked: Progress
) -> list[Restored]:
    """Restore what is in `backup`; `checked` is the progress of reading its files first.

    Raises RestoreInterruptedError where the new databases could not all take the old ones' names, and has to be asked
    again; any other AuditvaultError, and then the databases in use are what they were.
    """
    kinds = [kind for kind in ("region", "keys") if _parts(kind, backup)]
    for kind in kinds:
        _require_place(target.databases[kind], replaces=target.replaces)
    check_files(backup, checked)
    new: dict[str, Database] = {}
    try:
        for kind in kinds:
            new[kind] = _fill(kind, backup, target, progress)
    except BaseException:
        for kind in kinds:
            with suppress(DatabaseUnusableError):  # it has gone away: what ended this says more
                drop(_new_name(target.databases[kind]))
        raise
    try:
        return [_put_in_place(kind, backup, target) for kind in kinds]
    except DatabaseUnusableError as error:
        raise RestoreInterruptedError(
            f"The restored databases have not all got their names ({error.message}). Restore again, with --replace."
        ) from error


def _require_place(database: Database, *, replaces: bool) -> None:
    with database.other("postgres").session() as connection:
        require_superuser(connection)
    if not replaces and not is_empty(database):
        raise NotEmptyError(
            f"The database {database.name} is not empty. With --replace it is kept under another name."
        )


def _fill(kind: str, backup: Backup, target: Target, progress: Progress) -> Database:
    """A new database with a kind's parts in it, as the manifest says."""
    new = _new_name(target.databases[kind])
    make_empty(new, _CONNECTING[kind])
    for part, dump, options in _steps(kind, backup):
        content = backup[part].read(dump, progress)
        target.programs.restore(new, options, content)
    with new.session() as connection:
        connection.execute("ANALYZE")
        for part in _parts(kind, backup):
            _compare(connection, backup, part)
        if kind == "region":
            _mark_pending(connection)
    return new


def _mark_pending(connection: psycopg.Connection[Any]) -> None:
    """Nothing is read in the region or taken in until the erasure ledger was gone through (keys.md section 4).

    A backup from before there was such a mark has no function for it: its migration finds out by itself that the
    database knows no erasure.
    """
    row = connection.execute(
        "SELECT to_regprocedure('public.vault_mark_restore_pending(text)') IS NOT NULL"
    ).fetchone()
    if row is not None and row[0]:
        connection.execute("SELECT vault_mark_restore_pending(%s)", (_REASON,))


def _parts(kind: str, backup: Backup) -> list[Part]:
    return [part for part in backup if (part == "keyring") == (kind == "keys")]


def _steps(kind: str, backup: Backup) -> Sequence[tuple[Part, Dump, list[str]]]:
    """Tables, then rows, then what watches over rows: no trigger sees rows that were there before."""
    if kind == "keys":
        return [("keyring", "data", [])]
    data: list[tuple[Part, Dump, list[str]]] = [
        (part, "data", ["--data-only"]) for part in _parts(kind, backup)
    ]
    before: tuple[Part, Dump, list[str]] = ("ledger", "schema", ["--section=pre-data"])
    after: tuple[Part, Dump, list[str]] = ("ledger", "schema", ["--section=post-data"])
    return [before, *data, after]


def _compare(connection: psycopg.Connection[Any], backup: Backup, part: Part) -> None:
    manifest = backup[part].manifest
    found = count_rows(connection, part)
    differing = sorted(
        name for name in {*found, *manifest.rows} if found.get(name) != manifest.rows.get(name)
    )
    if differing:
        raise RestoreMismatchError(
            f"Restored rows are not as many as the manifest says, in {', '.join(differing)}."
        )
    if part == "ledger" and read_heads(connection) != list(manifest.heads):
        raise RestoreMismatchError("Restored logs do not end where the manifest says.")


def _put_in_place(kind: str, backup: Backup, target: Target) -> Restored:
    database = target.databases[kind]
    suffix = f"_replaced_{target.at:%Y%m%d%H%M%S%f}"
    kept_as = put_in_place(_new_name(database), database, aside=database.name + suffix)
    rows = sum(sum(backup[part].manifest.rows.values()) for part in _parts(kind, backup))
    return Restored(database=database.name, kept_as=kept_as, rows=rows)


def _new_name(database: Database) -> Database:
    return database.other(database.name + NEW)
