"""`auditvault checkpoint_key`: makes keys for the signer, announces them, retires them, lists them.

`new` is for the signer's machine and needs nothing else; the others run as the operator and see no private key.

Order of `announce` and `retire`, region after region, and what a crash leaves behind:

1. `announce`: the public key goes into the vkeys file.  Crash after: verifiers know a key that signs nothing.
2. The entry is recorded, in one transaction.            Crash between regions: the same command goes on where it was.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from auditvault.cli.up.files import write_private
from auditvault.core.errors import AuditvaultError
from auditvault.core.tlog import mldsa
from auditvault.core.tlog.log_key import ED25519, ML_DSA_44, LogKey
from auditvault.evidence.verification import read_log_keys
from auditvault.ledger.admin.checkpoint_keys import announce_key, key_history, retire_key
from auditvault.ledger.signer_keys import load_signing_key


class Command(BaseCommand):
    """Brings keys that sign checkpoints in and out."""

    help = "Make, announce, retire or list the keys that sign checkpoints."

    def add_arguments(self, parser: CommandParser) -> None:
        """Sub-commands `new`, `announce`, `retire` and `list`."""
        actions = parser.add_subparsers(dest="action", required=True)
        new = actions.add_parser("new", help="make a private key, and print its vkey")
        new.add_argument("file", type=Path, help="where to write it; nothing may be there")
        new.add_argument("--algorithm", choices=[ED25519, ML_DSA_44], default=ED25519)
        announce = actions.add_parser("announce", help="let a key sign beside those that do")
        announce.add_argument("vkey", help="as `new` printed it")
        retire = actions.add_parser("retire", help="let a key sign no more, for good")
        retire.add_argument("vkey", help="as it stands in the vkeys file")
        actions.add_parser("list", help="print what the logs say of keys")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Do what was asked; exit code 1 where it cannot be done."""
        try:
            match options["action"]:
                case "new":
                    self._new(options["file"], options["algorithm"])
                case "announce":
                    self._announce(LogKey.from_vkey(options["vkey"])[1])
                case "retire":
                    self._retire(LogKey.from_vkey(options["vkey"])[1])
                case _:
                    self._list()
        except AuditvaultError as error:
            raise CommandError(f"{error.message} ({error.code})") from error
        except (DatabaseError, psycopg.Error) as error:
            raise CommandError(
                "The database did not answer. Run the same command again: what is done already is left alone."
            ) from error

    def _new(self, file: Path, algorithm: str) -> None:
        if file.exists():
            raise CommandError(f"{file} is there already. A key is not written over.")
        write_private(file, _make(algorithm))
        self.stdout.write(load_signing_key(file).public.vkey(settings.LOG_HOST))

    def _announce(self, key: LogKey) -> None:
        path = Path(settings.LOG_VKEYS_FILE)
        known = read_log_keys(path)
        if key not in known:
            lines = [each.vkey(settings.LOG_HOST) for each in (*known, key)]
            write_private(path, "".join(f"{line}\n" for line in lines))
        for region in settings.REGIONS:
            done = announce_key(region=region, key=key)
            self.stdout.write(f"{region}: {'announced' if done else 'was announced before'}")

    def _retire(self, key: LogKey) -> None:
        known = read_log_keys(Path(settings.LOG_VKEYS_FILE))
        for region in settings.REGIONS:
            done = retire_key(region=region, key=key, known=known)
            self.stdout.write(f"{region}: {'retired' if done else 'was retired before'}")

    def _list(self) -> None:
        for region in settings.REGIONS:
            for record in key_history(region):
                what = record.action.rpartition(".")[2]
                key_id = record.key.key_id(settings.LOG_HOST).hex()
                self.stdout.write(
                    f"{region:4} {record.recorded_at.isoformat()} {what:9} {record.key.algorithm:9} {key_id}"
                )


def _make(algorithm: str) -> str:
    if algorithm == ML_DSA_44 and not mldsa.available():
        raise mldsa.MlDsaUnavailableError("the installed cryptography has no ML-DSA-44")
    private = Ed25519PrivateKey.generate() if algorithm == ED25519 else MLDSA44PrivateKey.generate()
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
