"""`auditvault checkpoint_key`: makes keys for the signer, announces them, retires them, lists them.

`new` is for the signer's machine and needs nothing else; the others run as the operator and see no private key.

Order of `announce` and `retire`, region after region, and what a crash leaves behind:

1. Each region's approval is looked at.                  Nothing is written yet.
2. `announce`: the public key goes into the vkeys file.  Crash after: verifiers know a key that signs nothing.
3. The approval is used up and the entry recorded, in    Crash between regions: the same command goes on where it was,
   one transaction.                                      with the approvals that are not used up yet.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
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

from auditvault.access.approvals.commands import check_approved, use_for_command
from auditvault.cli.approving import add_approval_arguments, plan_lines
from auditvault.cli.up.files import write_private
from auditvault.core.errors import AuditvaultError
from auditvault.core.policy.approvals import Plan
from auditvault.core.tlog import mldsa
from auditvault.core.tlog.log_key import ED25519, ML_DSA_44, LogKey
from auditvault.evidence.verification import read_log_keys
from auditvault.ledger.admin.checkpoint_keys import (
    announce_key,
    key_history,
    plan_of_announcement,
    plan_of_retirement,
    retire_key,
)
from auditvault.ledger.admin.services import Also
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
        add_approval_arguments(announce)
        add_approval_arguments(retire)
        actions.add_parser("list", help="print what the logs say of keys")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Do what was asked; exit code 1 where it cannot be done."""
        try:
            match options["action"]:
                case "new":
                    self._new(options["file"], options["algorithm"])
                case "announce":
                    self._announce(LogKey.from_vkey(options["vkey"])[1], options)
                case "retire":
                    self._retire(LogKey.from_vkey(options["vkey"])[1], options)
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

    def _announce(self, key: LogKey, options: dict[str, Any]) -> None:
        plans = {
            region: plan_of_announcement(region=region, key=key) for region in settings.REGIONS
        }
        if not self._may(plans, options):
            return
        path = Path(settings.LOG_VKEYS_FILE)
        known = read_log_keys(path)
        if key not in known:
            lines = [each.vkey(settings.LOG_HOST) for each in (*known, key)]
            write_private(path, "".join(f"{line}\n" for line in lines))
        for region, plan in plans.items():
            done = announce_key(region=region, key=key, also=_using(plan, options))
            self.stdout.write(f"{region}: {'announced' if done else 'was announced before'}")

    def _retire(self, key: LogKey, options: dict[str, Any]) -> None:
        known = read_log_keys(Path(settings.LOG_VKEYS_FILE))
        plans = {
            region: plan_of_retirement(region=region, key=key, known=known)
            for region in settings.REGIONS
        }
        if not self._may(plans, options):
            return
        for region, plan in plans.items():
            done = retire_key(region=region, key=key, known=known, also=_using(plan, options))
            self.stdout.write(f"{region}: {'retired' if done else 'was retired before'}")

    def _may(self, plans: Mapping[str, Plan | None], options: dict[str, Any]) -> bool:
        """Whether to go on; False once the plans are printed. Raises before the first region where one would refuse."""
        wanted = [plan for plan in plans.values() if plan is not None]
        if options["plan"]:
            self.stdout.write("\n".join(plan_lines(wanted)))
            return False
        for plan in wanted:
            check_approved(plan, options["approval_ids"], now=datetime.now(UTC))
        if wanted and not options["approval_ids"]:
            self.stderr.write("Nobody has approved this; its entries say so.")
        return True

    def _list(self) -> None:
        for region in settings.REGIONS:
            for record in key_history(region):
                what = record.action.rpartition(".")[2]
                key_id = record.key.key_id(settings.LOG_HOST).hex()
                self.stdout.write(
                    f"{region:4} {record.recorded_at.isoformat()} {what:9} {record.key.algorithm:9} {key_id}"
                )


def _using(plan: Plan | None, options: dict[str, Any]) -> Also | None:
    """Uses the approval up in the transaction of the entry, which then names it."""
    if plan is None:
        return None
    approval_ids, now = options["approval_ids"], datetime.now(UTC)
    return lambda connection: use_for_command(connection, plan, approval_ids, now=now)


def _make(algorithm: str) -> str:
    if algorithm == ML_DSA_44 and not mldsa.available():
        raise mldsa.MlDsaUnavailableError("the installed cryptography has no ML-DSA-44")
    private = Ed25519PrivateKey.generate() if algorithm == ED25519 else MLDSA44PrivateKey.generate()
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
