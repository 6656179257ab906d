"""What each process is told, and nothing else: one function from a site to an environment.

The web processes never see the signer's key or a retention role; a worker sees its own regions;
beat gets addresses without passwords, because it only sends messages; migrations run as the owner.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from psycopg.conninfo import make_conninfo

from auditvault.cli.up.home import Home, project_root
from auditvault.cli.up.keys import SecretStore
from auditvault.cli.up.provision import (
    CONTROL_DATABASE,
    DatabaseUrls,
    Role,
    keys_database,
    region_database,
)

Purpose = Literal["web", "worker", "beat", "signer", "owner", "operator", "backup"]

# Taken over from the supervisor's own environment where set; everything else stays behind.
_INHERITED = re.compile(
    r"PATH|HOME|USER|LOGNAME|LANG|LC_[A-Z]+|TZ|TMPDIR|TERM|OMP_[A-Z_]+|OPENBLAS_[A-Z0-9_]+"
    r"|AUDITVAULT_(LOG_LEVEL|ALLOWED_HOSTS|PUBLIC_LOGS|WITNESS_[A-Z_]+|COPIES_[A-Z0-9_]+|LOOKUPS?_[A-Z_]+|READ_WINDOW_SECONDS|SCAN_CONTENTS"
    r"|SUBJECTS_PER_DAY|ENUMERATION_[A-Z_]+|OUTBOUND_[A-Z_]+|SMTP_[A-Z_]+|MAIL_FROM|ALERT_ROLES"
    r"|SESSION_[A-Z_]+|SECOND_FACTOR_ROLES|INVITATION_HOURS|TRUSTED_PROXIES|OIDC_FILE)"
)
# What opens the store of the copies: for workers alone. The operator's environment is written into a file.
_CLOUD = re.compile(r"(AWS|GOOGLE|AZURE)_[A-Z0-9_]+")
# Key providers whose credentials those are: web opens and seals with them.
_CLOUD_PROVIDER = re.compile(r"(aws-kms|gcp-kms|azure-keyvault):")
# Where SoftHSM's module finds its tokens.
_TOKEN_MODULE = ("SOFTHSM2_CONF",)


@dataclass(frozen=True, kw_only=True, slots=True)
class Site:
    """Everything an environment is made from."""

    home: Path
    port: int  # of the web server, on the loopback address
    regions: tuple[str, ...]
    urls: DatabaseUrls
    broker_url: str
    settings_module: str = "settings.dev"
    log_host: str = "localhost"  # first part of the logs' origins
    admin_dsn: str = ""  # an administrator's, for backups alone


def child_environment(
    purpose: Purpose,
    site: Site,
    *,
    regions: Sequence[str] | None = None,
    inherited: Mapping[str, str] = os.environ,
) -> dict[str, str]:
    """The whole environment of a process of this purpose that serves `regions` (default: all)."""
    served = tuple(site.regions if regions is None else regions)
    environment = {name: value for name, value in inherited.items() if _INHERITED.fullmatch(name)}
    environment |= _common(site, served)
    environment |= _databases(purpose, site, served)
    if purpose == "backup":
        environment |= _backups(site, served)
        purpose = "operator"
    secrets = _secrets(site)
    if purpose in {"web", "worker", "operator"}:
        for region in served:
            environment |= _key_provider(region, secrets, inherited)
            ledger = Home(path=site.home).erasure_ledger / region
            environment[f"AUDITVAULT_ERASURE_LEDGER_{region.upper()}_DIR"] = str(ledger)
        environment["AUDITVAULT_ERASURE_VKEYS_FILE"] = str(secrets.erasure_vkeys_file)
    if purpose in {"web", "worker", "beat", "operator"}:
        environment["AUDITVAULT_BROKER_URL"] = site.broker_url
    if purpose in {"worker", "operator"}:
        environment["AUDITVAULT_ERASURE_KEY_FILE"] = str(secrets.erasure_key_file)
    if purpose == "worker" or (purpose == "web" and _asks_cloud(environment)):
        environment |= {name: value for name, value in inherited.items() if _CLOUD.fullmatch(name)}
    if purpose == "signer":
        environment["AUDITVAULT_SIGNER_KEY_FILE"] = str(secrets.signer_key_file)
        more = ",".join(str(path) for path in secrets.more_signer_key_files)
        environment |= {"AUDITVAULT_SIGNER_MORE_KEY_FILES": more} if more else {}
    if purpose in {"signer", "worker", "operator"}:
        # Read by `verify`: what the signer remembers shows a rollback of log and checkpoints.
        state = Home(path=site.home).signer / "state.json"
        environment["AUDITVAULT_SIGNER_STATE_FILE"] = str(state)
    return environment


def _key_provider(
    region: str, secrets: SecretStore, inherited: Mapping[str, str]
) -> dict[str, str]:
    """The provider that the operator names for the region; otherwise the file in the home."""
    name = f"AUDITVAULT_KEY_PROVIDER_{region.upper()}"
    if url := inherited.get(name, ""):
        return {name: url} | {key: inherited[key] for key in _TOKEN_MODULE if key in inherited}
    return {f"AUDITVAULT_ROOT_KEY_{region.upper()}_FILE": str(secrets.root_key_file(region))}


def _asks_cloud(environment: Mapping[str, str]) -> bool:
    return any(
        name.startswith("AUDITVAULT_KEY_PROVIDER_") and _CLOUD_PROVIDER.match(value)
        for name, value in environment.items()
    )


def _common(site: Site, regions: Sequence[str]) -> dict[str, str]:
    secrets = _secrets(site)
    return {
        "AUDITVAULT_HOME": str(site.home),
        "AUDITVAULT_PORT": str(site.port),
        "AUDITVAULT_REGIONS": ",".join(regions),
        "AUDITVAULT_SECRET_KEY_FILE": str(secrets.django_key_file),
        "AUDITVAULT_LOG_VKEYS_FILE": str(secrets.vkeys_file),
        "AUDITVAULT_LOG_HOST": site.log_host,
        "DJANGO_SETTINGS_MODULE": site.settings_module,
        "PYTHONPATH": str(project_root()),
        "PYTHONUNBUFFERED": "1",
        # The working directory is no place to import from.
        "PYTHONSAFEPATH": "1",
    }


def _databases(purpose: Purpose, site: Site, regions: Sequence[str]) -> dict[str, str]:
    purpose = "operator" if purpose == "backup" else purpose
    role: Role = {"owner": "owner", "signer": "signer"}.get(purpose, "app")  # type: ignore[assignment]
    secret = purpose != "beat"
    found = {"AUDITVAULT_CONTROL_URL": _url(site, CONTROL_DATABASE, role, secret=secret)}
    for region in regions:
        upper = region.upper()
        ledger, keys = region_database(region), keys_database(region)
        found[f"AUDITVAULT_REGION_{upper}_URL"] = _url(site, ledger, role, secret=secret)
        found[f"AUDITVAULT_KEYS_{upper}_URL"] = _url(site, keys, role, secret=secret)
        if purpose in {"worker", "operator"}:
            found[f"AUDITVAULT_RETENTION_{upper}_URL"] = _url(site, ledger, "retention")
            found[f"AUDITVAULT_KEYS_RETENTION_{upper}_URL"] = _url(site, keys, "retention")
        if purpose in {"signer", "operator"}:
            found[f"AUDITVAULT_SIGNER_{upper}_URL"] = _url(site, ledger, "signer")
    return found


def _backups(site: Site, regions: Sequence[str]) -> dict[str, str]:
    """What opens every row and every key: for the commands that back up and restore, and for no process."""
    secrets = _secrets(site)
    found = {
        "AUDITVAULT_BACKUP_KEY_FILE": str(secrets.backup_key_file),
        "AUDITVAULT_BACKUP_SIGNING_KEY_FILE": str(secrets.backup_signing_key_file),
        "AUDITVAULT_BACKUP_PUBLIC_KEYS_FILE": str(secrets.backup_public_keys_file),
    }
    for region in regions:
        upper = region.upper()
        ledger, keys = region_database(region), keys_database(region)
        found[f"AUDITVAULT_BACKUP_REGION_{upper}_URL"] = make_conninfo(
            site.admin_dsn, dbname=ledger
        )
        found[f"AUDITVAULT_BACKUP_KEYS_{upper}_URL"] = make_conninfo(site.admin_dsn, dbname=keys)
    return found


def _url(site: Site, database: str, role: Role, *, secret: bool = True) -> str:
    """The role's URL; without a password where it may not connect, or need not.

    Settings want an address for every database, used or not.
    """
    urls = site.urls[database]
    if secret and role in urls:
        return urls[role]
    scheme, _, rest = urls["owner"].partition("://")
    return f"{scheme}://auditvault_{role}@{rest.rpartition('@')[2]}"


def _secrets(site: Site) -> SecretStore:
    return SecretStore(Home(path=site.home).secrets, may_create=False)
