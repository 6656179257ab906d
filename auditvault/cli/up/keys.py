"""The instance's secrets: made once, on the first start, and never replaced.

A root key that is gone takes the payloads with it, so once an instance holds data a missing secret
is reported and not made anew. This is the file provider of an evaluation: production keeps its keys
elsewhere.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from auditvault.cli.up.files import write_private
from auditvault.cli.up.provision import ROLES, Role
from auditvault.core.errors import AuditvaultError
from auditvault.core.tlog.erasure_ledger import ledger_name
from auditvault.core.tlog.log_key import ED25519, LogKey
from auditvault.core.tlog.request_certificate import certificate_name


class SecretError(AuditvaultError):
    """A secret that must be there is missing or unreadable."""

    code: ClassVar[str] = "secret_missing"


class SecretStore:
    """Files in one 0700 directory, each 0600."""

    def __init__(self, directory: Path, *, may_create: bool) -> None:
        """`may_create` is true until the instance holds data."""
        self._directory = directory
        self._may_create = may_create

    @property
    def django_key_file(self) -> Path:
        """Django's SECRET_KEY."""
        return self._directory / "django_secret_key"

    @property
    def signer_key_file(self) -> Path:
        """The Ed25519 key that signs checkpoints, PEM of PKCS#8."""
        return self._directory / "signer.pem"

    @property
    def more_signer_key_files(self) -> list[Path]:
        """Further keys to sign with once they are announced: `signer_*.pem`, in order of their names."""
        return sorted(self._directory.glob("signer_*.pem"))

    @property
    def vkeys_file(self) -> Path:
        """The public halves of the signer's keys, retired ones included, one C2SP vkey a line."""
        return self._directory / "log_vkeys"

    @property
    def erasure_key_file(self) -> Path:
        """The Ed25519 key that signs the erasure ledgers, PEM of PKCS#8."""
        return self._directory / "erasure_ledger.pem"

    @property
    def erasure_vkeys_file(self) -> Path:
        """Its public half, as a C2SP vkey; earlier ones stay."""
        return self._directory / "erasure_vkeys"

    def root_key_file(self, region: str) -> Path:
        """The region's root key: 32 bytes as hex."""
        return self._directory / f"root_key_{region}"

    @property
    def backup_key_file(self) -> Path:
        """What encrypts backups: 32 bytes as hex."""
        return self._directory / "backup_key"

    @property
    def backup_signing_key_file(self) -> Path:
        """The Ed25519 key that signs backups' manifests, PEM of PKCS#8."""
        return self._directory / "backup_signer.pem"

    @property
    def backup_public_keys_file(self) -> Path:
        """Its public half, PEM: what a restore believes."""
        return self._directory / "backup_signer.pub"

    def superuser_password(self) -> str:
        """The embedded server's superuser; raises SecretError."""
        return self._password("postgres_superuser_password")

    def role_passwords(self) -> dict[Role, str]:
        """A random password for each role; raises SecretError."""
        return {role: self._password(f"{role}_password") for role in ROLES}

    def ensure(self, *, regions: Sequence[str], new_regions: Sequence[str], log_host: str) -> None:
        """Make what is missing; `new_regions` hold no data yet. Raises SecretError."""
        self._read_or_make(self.django_key_file, lambda: secrets.token_urlsafe(64))
        for region in regions:
            root_key_file = self.root_key_file(region)
            if root_key_file.with_name(f"{root_key_file.name}.destroyed").exists():
                continue  # an epoch turned, and the first epoch's key was destroyed on purpose
            self._read_or_make(
                root_key_file,
                lambda: secrets.token_hex(32),
                may_create=self._may_create or region in new_regions,
            )
        pem = self._read_or_make(self.signer_key_file, _new_signer_key)
        first = LogKey(algorithm=ED25519, public_key=_public_key(pem, self.signer_key_file))
        keys = dict.fromkeys((first, *self._known_keys()))  # announced ones stay
        write_private(self.vkeys_file, "".join(f"{key.vkey(log_host)}\n" for key in keys))
        self._ensure_erasure_key(log_host)
        self._ensure_backup_keys()

    def trust_file_content(self, *, regions: Sequence[str], log_host: str) -> str:
        """A trust file (docs/spec/receipt.md section 2) for this instance's logs.

        An Ed25519 key is named as readers of the file have always known it.
        """
        origins = [f"{log_host}/{region}/*" for region in regions]
        logs = [
            ({} if key.algorithm == ED25519 else {"algorithm": key.algorithm})
            | {"public_key": key.encoded(), "origins": origins}
            for key in self._known_keys()
        ]
        logs += [
            {
                "public_key": key.encoded(),
                # Certificates are signed with the same key, under their own name.
                "origins": [
                    name(log_host, region)
                    for name in (ledger_name, certificate_name)
                    for region in regions
                ],
            }
            for key in _vkeys_in(self.erasure_vkeys_file)
        ]
        return json.dumps({"logs": logs}, indent=2) + "\n"

    def _ensure_backup_keys(self) -> None:
        """Made at any time: older instances have none, and a lost one costs the backups that were made under it."""
        self._read_or_make(self.backup_key_file, lambda: secrets.token_hex(32), may_create=True)
        pem = self._read_or_make(self.backup_signing_key_file, _new_signer_key, may_create=True)
        public = Ed25519PublicKey.from_public_bytes(_public_key(pem, self.backup_signing_key_file))
        text = public.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self._read_or_make(self.backup_public_keys_file, text.decode().strip, may_create=True)

    def _known_keys(self) -> list[LogKey]:
        return _vkeys_in(self.vkeys_file)

    def _ensure_erasure_key(self, log_host: str) -> None:
        """An instance from before there was one gets it now; one that had it must still have it."""
        known = _vkeys_in(self.erasure_vkeys_file)
        path = self.erasure_key_file
        pem = self._read_or_make(path, _new_signer_key, may_create=self._may_create or not known)
        first = LogKey(algorithm=ED25519, public_key=_public_key(pem, path))
        keys = dict.fromkeys((first, *known))
        write_private(self.erasure_vkeys_file, "".join(f"{key.vkey(log_host)}\n" for key in keys))

    def _password(self, name: str) -> str:
        return self._read_or_make(self._directory / name, lambda: secrets.token_urlsafe(32))

    def _read_or_make(
        self, path: Path, make: Callable[[], str], *, may_create: bool | None = None
    ) -> str:
        try:
            content = path.read_text().strip()
        except FileNotFoundError:
            content = ""
        except OSError as error:
            raise SecretError(f"{path} cannot be read: {error.strerror}") from error
        if content:
            return content
        if not (self._may_create if may_create is None else may_create):
            raise SecretError(
                f"{path} is missing, but this instance already holds data: "
                "bring it back from its backup"
            )
        content = make()
        write_private(path, content + "\n")
        return content


def _vkeys_in(path: Path) -> list[LogKey]:
    try:
        lines = path.read_text().splitlines()
        return [LogKey.from_vkey(line)[1] for line in lines if line.strip()]
    except FileNotFoundError:
        return []
    except (OSError, AuditvaultError) as error:
        raise SecretError(f"{path} holds something that is no vkey") from error


def _new_signer_key() -> str:
    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return pem.decode().strip()


def _public_key(pem: str, path: Path) -> bytes:
    try:
        key = serialization.load_pem_private_key(pem.encode(), password=None)
    except ValueError as error:
        raise SecretError(f"{path} does not hold a private key in PEM") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise SecretError(f"{path} does not hold an Ed25519 key")
    return key.public_key().public_bytes_raw()
