"""A backup that is not as it should be restores nothing, and says what is wrong."""

from __future__ import annotations

import dataclasses
import shutil
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from auditvault.cli.backups.files import MANIFEST
from auditvault.cli.backups.keys import read_backup_key, read_public_keys, read_signing_key
from auditvault.cli.backups.opening import open_backup
from auditvault.cli.backups.programs import client_programs
from auditvault.cli.backups.restoring import Target, restore
from auditvault.core.backup import PARTS, BackupKey, open_manifest, sign_manifest
from auditvault.core.errors import AuditvaultError
from tests.integration.cli_backups.site import new_name


def key_file(site, name):
    return Path(site.environment("backup")[f"AUDITVAULT_BACKUP_{name}_FILE"])


def manifest_of(site, directory):
    trusted = read_public_keys(key_file(site, "PUBLIC_KEYS"))
    return open_manifest((directory / MANIFEST).read_bytes(), trusted)


def resign(site, directory, *, key=None, **changes):
    """What somebody can do who has stolen the signing key, and no other."""
    manifest = dataclasses.replace(manifest_of(site, directory), **changes)
    signing_key = key or read_signing_key(key_file(site, "SIGNING_KEY"))
    (directory / MANIFEST).write_bytes(sign_manifest(manifest, signing_key))


def rehash(site, directory):
    """Make the manifest say of the files what they are now."""
    manifest = manifest_of(site, directory)
    dumps = {
        dump: [
            dataclasses.replace(
                one,
                size=(directory / one.name).stat().st_size,
                sha256=sha256((directory / one.name).read_bytes()).hexdigest(),
            )
            for one in files
        ]
        for dump, files in manifest.dumps.items()
    }
    resign(site, directory, dumps=dumps)


def flip(path, at=-100):
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(bytes(content))


def other_backup(site, tmp_path):
    """A newer one of the same region."""
    done = site.command("backup", "--region", "eu", "--to", str(tmp_path / "other"), "--json")
    return Path(done.json["parts"][0]["directory"]).parent


def outcome(site, copied, *, key=None, keyring=None, region="eu", checked=None):
    """The error's code; where nothing was wrong, empty. Says, too, which databases were left behind."""
    names = {kind: new_name(kind) for kind in ("region", "keys")}
    before = site.databases()
    try:
        backup = open_backup(
            directories={
                part: (keyring if keyring and part == "keyring" else copied) / part
                for part in PARTS
            },
            region=region,
            key=key or read_backup_key(key_file(site, "KEY")),
            trusted=read_public_keys(key_file(site, "PUBLIC_KEYS")),
        )
        target = Target(
            region_database=site.admin.other(names["region"]),
            keys_database=site.admin.other(names["keys"]),
            programs=client_programs({}),
            at=datetime.now(UTC),
        )
        restore(backup, target, lambda *_: None, checked or (lambda *_: None))
        code = ""
    except AuditvaultError as error:
        code = error.code
    left = site.databases() - before
    for name in left:
        with site.admin.session() as server:
            server.execute(f"DROP DATABASE {name}")
    return code, len(left)


def test_a_whole_backup_is_restored(site, copied):
    assert outcome(site, copied) == ("", 2)


DAMAGES = {
    "a byte of the ledger": (lambda b: flip(b / "ledger" / "data.0001"), "backup_damaged"),
    "a byte of the schema": (lambda b: flip(b / "ledger" / "schema.0001"), "backup_damaged"),
    "a byte of the vault": (lambda b: flip(b / "vault" / "data.0001"), "backup_damaged"),
    "a byte of the wrapped key": (lambda b: flip(b / "vault" / "data.0001", 60), "backup_damaged"),
    "a byte of the keyring": (lambda b: flip(b / "keyring" / "data.0001"), "backup_damaged"),
    "cut off": (lambda b: shorten(b / "vault" / "data.0001", 16), "backup_damaged"),
    "empty": (lambda b: (b / "vault" / "data.0001").write_bytes(b""), "backup_damaged"),
    "longer": (lambda b: lengthen(b / "vault" / "data.0001"), "backup_damaged"),
    "a file missing": (lambda b: (b / "vault" / "data.0001").unlink(), "backup_incomplete"),
    "a part missing": (lambda b: shutil.rmtree(b / "vault"), "backup_incomplete"),
    "no manifest": (lambda b: (b / "keyring" / MANIFEST).unlink(), "backup_incomplete"),
    "half a manifest": (
        lambda b: shorten(b / "ledger" / MANIFEST, 200),
        "backup_manifest_malformed",
    ),
    "a manifest that was changed": (
        lambda b: replace(b / "ledger" / MANIFEST, b'"size":2', b'"size":9'),
        "backup_not_signed",
    ),
    "a version to come": (
        lambda b: replace(b / "ledger" / MANIFEST, b"auditvault/backup/1", b"auditvault/backup/2"),
        "backup_version_unknown",
    ),
    "parts exchanged": (lambda b: exchange(b / "ledger", b / "keyring"), "backup_mismatch"),
}


def shorten(path, by):
    path.write_bytes(path.read_bytes()[:-by])


def lengthen(path):
    path.write_bytes(path.read_bytes() + bytes(16))


def replace(path, old, new):
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new))


def exchange(one, other):
    aside = one.with_name("aside")
    one.rename(aside)
    other.rename(one)
    aside.rename(other)


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_restores_nothing(site, copied, damage):
    act, code = DAMAGES[damage]
    act(copied)
    assert outcome(site, copied) == (code, 0)


def test_another_backup_key_opens_nothing(site, copied):
    assert outcome(site, copied, key=BackupKey(bytes(32))) == ("backup_key_mismatch", 0)


def test_a_manifest_under_a_key_that_nobody_trusts_is_refused(site, copied):
    resign(site, copied / "ledger", key=Ed25519PrivateKey.generate())
    assert outcome(site, copied) == ("backup_not_signed", 0)


def test_a_backup_of_another_region_is_refused(site, copied):
    assert outcome(site, copied, region="us") == ("backup_mismatch", 0)


def test_a_backup_of_another_region_opens_nothing_under_a_new_manifest(site, copied):
    """Region and place are in the associated data: a stolen signing key does not move a file."""
    for part in PARTS:
        resign(site, copied / part, region="us")
    assert outcome(site, copied, region="us") == ("backup_mismatch", 0)


def test_a_file_of_another_backup_opens_nothing_under_a_new_manifest(site, copied, tmp_path):
    other = other_backup(site, tmp_path)
    shutil.copy(other / "vault" / "data.0001", copied / "vault" / "data.0001")
    rehash(site, copied / "vault")
    assert outcome(site, copied) == ("backup_mismatch", 0)


def test_the_vault_of_another_backup_is_refused(site, copied, tmp_path):
    other = other_backup(site, tmp_path)
    exchange(copied / "vault", other / "vault")
    assert outcome(site, copied) == ("backup_mismatch", 0)


def test_a_cut_file_is_found_under_a_new_manifest(site, copied):
    shorten(copied / "vault" / "data.0001", 17)
    rehash(site, copied / "vault")
    assert outcome(site, copied) == ("backup_damaged", 0)


def test_a_file_that_is_changed_after_it_was_checked_is_found(site, copied):
    def change(part, _dump, _done):
        if part == "keyring" and not (copied / "changed").exists():
            (copied / "changed").touch()
            flip(copied / "ledger" / "data.0001")

    assert outcome(site, copied, checked=change) == ("backup_damaged", 0)


def test_fewer_rows_than_the_manifest_says_are_found(site, copied):
    rows = manifest_of(site, copied / "ledger").rows
    resign(site, copied / "ledger", rows={**rows, "traces_header": rows["traces_header"] + 1})
    assert outcome(site, copied) == ("restore_mismatch", 0)


def test_logs_that_end_elsewhere_are_found(site, copied):
    heads = manifest_of(site, copied / "ledger").heads
    wrong = [dataclasses.replace(head, size=head.size + 1) for head in heads]
    resign(site, copied / "ledger", heads=wrong)
    assert outcome(site, copied) == ("restore_mismatch", 0)


def test_a_newer_keyring_is_accepted(site, copied, tmp_path):
    assert outcome(site, copied, keyring=other_backup(site, tmp_path)) == ("", 2)


def test_an_older_keyring_is_refused(site, copied, tmp_path):
    """It lacks the keys of what was sealed in between."""
    newer = other_backup(site, tmp_path)
    assert outcome(site, newer, keyring=copied) == ("backup_mismatch", 0)
