"""A backup that is to be restored: what it must be before anything is done with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from auditvault.cli.backups.files import BackupIncompleteError, PartReader, Progress, read_manifest
from auditvault.core.backup import BackupKey, Manifest, Part
from auditvault.core.crypto.keywrap import WrapError
from auditvault.core.errors import AuditvaultError

Backup = Mapping[Part, PartReader]


class BackupMismatchError(AuditvaultError):
    """The parts are of another region, of different backups, or not where they belong."""

    code: ClassVar[str] = "backup_mismatch"


class BackupKeyMismatchError(AuditvaultError):
    """The backup was encrypted under another key."""

    code: ClassVar[str] = "backup_key_mismatch"


def open_backup(
    *,
    directories: Mapping[Part, Path],
    region: str,
    key: BackupKey,
    trusted: Sequence[Ed25519PublicKey],
) -> dict[Part, PartReader]:
    """Read and judge the manifests of these parts; no file of a dump is read yet.

    Raises BackupIncompleteError, a ManifestError, BackupMismatchError, or BackupKeyMismatchError.
    """
    if "vault" in directories and "ledger" not in directories:
        raise BackupMismatchError("A vault is restored with its ledger, whose database it shares.")
    readers: dict[Part, PartReader] = {}
    for part, directory in directories.items():
        manifest = read_manifest(directory, trusted)
        if (manifest.part, manifest.region) != (part, region):
            raise BackupMismatchError(
                f"{directory} holds the {manifest.part} of {manifest.region}, not the {part} of {region}."
            )
        if manifest.key != key.key_id.hex():
            raise BackupKeyMismatchError(
                f"{directory} was encrypted under the key {manifest.key}; this one is {key.key_id.hex()}."
            )
        readers[part] = PartReader(directory=directory, manifest=manifest, key=key)
    _check_parts(readers)
    return readers


def check_files(backup: Backup, progress: Progress) -> None:
    """Read every file to its end, and compare it with its manifest; raises as `PartReader.check`."""
    for reader in backup.values():
        if "data" not in reader.manifest.dumps:
            raise BackupIncompleteError(f"The manifest in {reader.directory} names no data.")
        try:
            reader.check(progress)
        except WrapError as error:
            raise BackupMismatchError(
                f"A file in {reader.directory} belongs to another backup or place."
            ) from error


def _check_parts(readers: Backup) -> None:
    """Ledger and vault are of one instant; a keyring may be newer than both, and not older."""
    ledger, vault, keyring = (readers.get(part) for part in ("ledger", "vault", "keyring"))
    if ledger and vault and ledger.manifest.backup != vault.manifest.backup:
        raise BackupMismatchError("Ledger and vault are of two different backups.")
    if ledger and keyring and _is_older(keyring.manifest, ledger.manifest):
        raise BackupMismatchError(
            "The keyring's backup is older than the ledger's: keys of what was sealed in between are not in it."
        )


def _is_older(keyring: Manifest, ledger: Manifest) -> bool:
    """Those of one run are of one moment, by two servers' clocks."""
    return keyring.backup != ledger.backup and keyring.as_of < ledger.as_of
