"""What backups need of the settings, read and judged before anything is done."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, TextIO

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from django.conf import settings

from auditvault.cli.backups.files import Progress
from auditvault.cli.backups.keys import read_backup_key, read_public_keys, read_signing_key
from auditvault.cli.backups.servers import Database
from auditvault.core.backup import PARTS, BackupKey, Dump, Part
from auditvault.core.errors import AuditvaultError

_TELL_SECONDS = 1.0


class BackupSettingError(AuditvaultError):
    """A setting or an argument that a backup needs is missing or makes no sense."""

    code: ClassVar[str] = "backup_not_configured"


def region_database(region: str) -> Database:
    """The region's database, under the role of backups."""
    return _database(
        settings.BACKUP_REGION_URLS, region, f"AUDITVAULT_BACKUP_REGION_{region.upper()}_URL"
    )


def keys_database(region: str) -> Database:
    """The region's keyring, under the role of backups."""
    return _database(
        settings.BACKUP_KEYS_URLS, region, f"AUDITVAULT_BACKUP_KEYS_{region.upper()}_URL"
    )


def backup_key() -> BackupKey:
    """The key that encrypts."""
    return read_backup_key(_file(settings.BACKUP_KEY_FILE, "AUDITVAULT_BACKUP_KEY_FILE"))


def signing_key() -> Ed25519PrivateKey:
    """The key that signs manifests."""
    return read_signing_key(
        _file(settings.BACKUP_SIGNING_KEY_FILE, "AUDITVAULT_BACKUP_SIGNING_KEY_FILE")
    )


def trusted_keys() -> Sequence[Ed25519PublicKey]:
    """The public keys that are believed; never the backup's own word."""
    return read_public_keys(
        _file(settings.BACKUP_PUBLIC_KEYS_FILE, "AUDITVAULT_BACKUP_PUBLIC_KEYS_FILE")
    )


def parts_of(text: str) -> tuple[Part, ...]:
    """Parts from a comma-separated list, in their own order; raises BackupSettingError."""
    asked = {name.strip() for name in text.split(",") if name.strip()}
    if not asked or asked - set(PARTS):
        raise BackupSettingError(f"--parts takes {', '.join(PARTS)}, separated by commas.")
    return tuple(part for part in PARTS if part in asked)


def shown(stream: TextIO | None = None, *, quiet: bool) -> Progress:
    """Progress on a terminal, at most once a second; nothing where it is no terminal, or `quiet`."""
    out = stream or sys.stderr
    if quiet or not out.isatty():
        return lambda _part, _dump, _done: None
    last = 0.0

    def tell(part: Part, dump: Dump, done: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _TELL_SECONDS:
            last = now
            out.write(f"\r{part} {dump}  {done / 1e6:,.0f} MB\x1b[K")
            out.flush()

    return tell


def _database(urls: Mapping[str, str], region: str, variable: str) -> Database:
    if region not in settings.REGIONS:
        raise BackupSettingError(f"This process does not serve the region {region!r}.")
    if not urls[region]:
        raise BackupSettingError(
            f"{variable} must name the database, under a role that sees every row."
        )
    database = Database(urls[region])
    if not database.name:
        raise BackupSettingError(f"{variable} must name a database.")
    return database


def _file(path: str, variable: str) -> Path:
    if not path:
        raise BackupSettingError(f"{variable} must name a key file.")
    return Path(path)
