"""Each step of a backup and of a restore, ended there, and what it leaves."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from auditvault.cli.backups import swapping, taking
from auditvault.cli.backups.files import BackupStorageError, PartWriter
from auditvault.cli.backups.keys import read_backup_key, read_public_keys, read_signing_key
from auditvault.cli.backups.opening import open_backup
from auditvault.cli.backups.programs import client_programs
from auditvault.cli.backups.restoring import RestoreInterruptedError, Target, restore
from auditvault.cli.backups.servers import DatabaseUnusableError
from auditvault.core.backup import PARTS
from tests.integration.cli_backups.site import new_name


def key_file(site, name):
    return Path(site.environment("backup")[f"AUDITVAULT_BACKUP_{name}_FILE"])


def ignore(_part, _dump, _done):
    pass


@pytest.mark.parametrize(("nth", "left"), [(1, []), (2, ["ledger"]), (3, ["ledger", "vault"])])
def test_a_backup_that_ends_between_manifests_leaves_whole_parts_only(
    site, tmp_path, monkeypatch, nth, left
):
    finish = PartWriter.finish
    calls = []

    def failing(self, manifest, key):
        calls.append(manifest.part)
        if len(calls) == nth:
            raise BackupStorageError("made to fail")
        finish(self, manifest, key)

    monkeypatch.setattr(PartWriter, "finish", failing)
    order = taking.Order(
        region="eu", parts=PARTS, to=tmp_path, keyring_to=tmp_path,
        region_database=site.admin.other("region_eu"), keys_database=site.admin.other("keys_eu"),
        key=read_backup_key(key_file(site, "KEY")),
        signing_key=read_signing_key(key_file(site, "SIGNING_KEY")),
        programs=client_programs({}), begun_at=datetime.now(UTC),
    )  # fmt: skip
    with pytest.raises(BackupStorageError):
        taking.take_backup(order, ignore)
    found = sorted(path for path in tmp_path.glob("eu/*/*"))
    assert [path.name for path in found] == left
    assert all((path / "manifest.json").exists() for path in found)


@pytest.fixture
def names(site):
    """Two databases that hold something, and are not to be lost."""
    made = {kind: new_name(kind) for kind in ("region", "keys")}
    with site.admin.session() as server:
        for name in made.values():
            server.execute(f"CREATE DATABASE {name}")
    for name in made.values():
        with site.admin.other(name).session() as connection:
            connection.execute("CREATE TABLE precious (value integer)")
    before = site.databases() - set(made.values())
    yield made
    with site.admin.session() as server:
        for name in site.databases() - before:
            server.execute(f"DROP DATABASE {name} WITH (FORCE)")


def is_precious(site, name):
    with site.admin.other(name).session() as connection:
        row = connection.execute("SELECT to_regclass('precious') IS NOT NULL").fetchone()
    return row == (True,)


def restore_into(site, backup, names):
    opened = open_backup(
        directories={part: backup / part for part in PARTS},
        region="eu",
        key=read_backup_key(key_file(site, "KEY")),
        trusted=read_public_keys(key_file(site, "PUBLIC_KEYS")),
    )
    target = Target(
        region_database=site.admin.other(names["region"]),
        keys_database=site.admin.other(names["keys"]),
        programs=client_programs({}),
        at=datetime.now(UTC),
        replaces=True,
    )
    return restore(opened, target, ignore, ignore)


@pytest.mark.parametrize("nth", [1, 2, 3, 4])
@pytest.mark.parametrize("persisted", [False, True])
def test_a_restore_that_ends_between_names_is_finished_by_the_next(
    site, backup, names, monkeypatch, nth, persisted
):
    rename = swapping._rename
    calls = []

    def failing(server, old, new):
        calls.append(new)
        if len(calls) == nth and not persisted:
            raise DatabaseUnusableError("made to fail")
        rename(server, old, new)
        if len(calls) == nth:
            raise DatabaseUnusableError("made to fail")

    with monkeypatch.context() as patch:
        patch.setattr(swapping, "_rename", failing)
        with pytest.raises(RestoreInterruptedError, match="Restore again"):
            restore_into(site, backup, names)
    restore_into(site, backup, names)
    for name in names.values():
        assert not is_precious(site, name)
        kept = [found for found in site.databases() if found.startswith(f"{name}_replaced_")]
        assert [found for found in kept if is_precious(site, found)]
        assert f"{name}_restoring" not in site.databases()


def test_one_that_ends_while_it_fills_changes_nothing(site, backup, names, monkeypatch):
    from auditvault.cli.backups import restoring

    def failing(_connection):
        raise DatabaseUnusableError("made to fail")

    before = site.databases()
    monkeypatch.setattr(restoring, "_mark_pending", failing)
    with pytest.raises(DatabaseUnusableError):
        restore_into(site, backup, names)
    assert site.databases() == before
    assert all(is_precious(site, name) for name in names.values())
