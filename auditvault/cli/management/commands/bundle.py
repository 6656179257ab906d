"""`auditvault bundle create`: entries of a log, and what proves them, in one file to take away."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from auditvault.access.credentials import Credential
from auditvault.access.tenants import tenant_in
from auditvault.access.tokens import authenticate
from auditvault.core.errors import AuditvaultError
from auditvault.core.tlog.note import MAX_NOTE_SIZE
from auditvault.evidence.bundles import Made, Order, create_bundle
from auditvault.ledger.admin.services import OPERATOR
from auditvault.ledger.logs import LOG_KINDS

_NO_HEADERS = {
    "not_requested": "not in it; ask for them with --headers",
    "not_authorised": "not in it; put a token with the auditor role into AUDITVAULT_TOKEN",
    "not_stored": "this log has none",
}


class Command(BaseCommand):
    """Makes evidence bundles. That one was made is in the access log before it is written."""

    help = (
        "Take entries of a log away, with their proofs, for `auditvault-verify bundle`. Recorded in the access log "
        "first. With a token in AUDITVAULT_TOKEN its roles decide; without one you act as the operator, who gets no "
        "headers but those of the operator's own log (--operator)."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Sub-command `create`."""
        create = parser.add_subparsers(dest="action", required=True).add_parser("create")
        add = create.add_argument
        whose = create.add_mutually_exclusive_group(required=True)
        whose.add_argument("--tenant", help="the tenant's short name, such as demo")
        whose.add_argument(
            "--operator",
            action="store_true",
            help="the operator's own log of the region; recorded in that log, headers included",
        )
        add("--region", required=True)
        add("--log", choices=LOG_KINDS, help="default: interactions; admin with --operator")
        add("--from", type=int, default=0, dest="first", help="index of the first entry (0)")
        add("--to", type=int, dest="end", help="index behind the last (default: all signed ones)")
        add("--previous", type=Path, help="a checkpoint that you kept; adds the proof from it")
        add("--headers", action="store_true", help="with headers and what opens them")
        add("-o", "--output", type=Path, required=True, help="the file; it must not exist")
        add("--json", action="store_true", help="print one JSON object")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Make it, and say what is in it."""
        path: Path = options["output"]
        now = datetime.now(UTC)
        try:
            made = create_bundle(
                order=_order(options), credential=_credential(now), path=path, now=now
            )
        except AuditvaultError as error:
            raise CommandError(error.message) from error
        except (DatabaseError, psycopg.Error) as error:
            raise CommandError("A database cannot be read. Nothing was written.") from error
        except OSError as error:
            raise CommandError(f"The bundle cannot be written: {error.strerror}") from error
        self.stdout.write(
            json.dumps(_as_json(made, path)) if options["json"] else _text(made, path)
        )


def _order(options: dict[str, Any]) -> Order:
    operators, kind = options["operator"], options["log"]
    if operators and kind not in {None, "admin"}:
        raise CommandError("The operator has one log, of kind admin.")
    region = options["region"]
    return Order(
        tenant_id=OPERATOR if operators else tenant_in(slug=options["tenant"], region=region),
        region=region,
        kind=kind or ("admin" if operators else "interactions"),
        first=options["first"],
        end=options["end"],
        previous=_previous(options["previous"]),
        headers=options["headers"],
    )


def _credential(now: datetime) -> Credential | None:
    """The caller, where they say who they are."""
    token = os.environ.get("AUDITVAULT_TOKEN")
    return authenticate(token, now=now) if token else None


def _previous(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        with path.open("rb") as file:
            return file.read(MAX_NOTE_SIZE + 1).decode()
    except OSError as error:
        raise CommandError(f"The checkpoint cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        raise CommandError("The checkpoint is not UTF-8.") from None


def _text(made: Made, path: Path) -> str:
    scope = made.scope
    headers = _NO_HEADERS.get(scope.headers, "in it")
    return "\n".join(
        [
            f"{path}  {made.size_bytes:,} bytes  sha256 {made.sha256}",
            f"log      {scope.log}",
            f"entries  {scope.first} to {scope.end - 1}, under a checkpoint of {scope.size}",
            f"headers  {headers}",
            f"recorded as {made.access_record}",
        ]
    )


def _as_json(made: Made, path: Path) -> dict[str, Any]:
    scope = made.scope
    return {
        "file": str(path),
        "sha256": made.sha256,
        "size_bytes": made.size_bytes,
        "log": scope.log,
        "first": scope.first,
        "end": scope.end,
        "size": scope.size,
        "headers": scope.headers,
        "access_record": str(made.access_record),
    }
