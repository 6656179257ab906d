"""`auditvault payload_policy`: what of contents is kept, for a tenant or for a whole region."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from auditvault.access.tenants import TenantRequestError, tenant_in
from auditvault.core.errors import AuditvaultError
from auditvault.core.policy.payload import MAX_POLICY_SIZE
from auditvault.ingest.policies.services import PolicyVersion, policy_versions, set_policy
from auditvault.ledger.admin.services import OPERATOR


class Command(BaseCommand):
    """Sets and shows payload policies."""

    help = (
        "Say what of contents is kept: all, their hashes alone, or a sample, and how much of a long one. A policy is a "
        "tenant's in a region, or the region's own for tenants without one. It is recorded in the operator's log, and "
        "holds for requests that begin afterwards. Without any, everything is kept. Secrets never are."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Sub-commands `set`, `show` and `list`."""
        actions = parser.add_subparsers(dest="action", required=True)
        for name, what in {
            "set": "bring a policy into force",
            "show": "print the policy in force",
            "list": "print every version there was",
        }.items():
            action = actions.add_parser(name, help=what)
            action.add_argument("--region", required=True, choices=settings.REGIONS)
            action.add_argument("--tenant", help="short name; left out: the region's own policy")
            action.add_argument("--json", action="store_true", help="print one JSON object")
            if name == "set":
                action.add_argument(
                    "file", type=Path, help="the policy, see docs/spec/payload-policy.md"
                )

    def handle(self, *_args: Any, **options: Any) -> None:
        """Do what was asked; exit code 1 where it cannot be done."""
        place = {
            "region": options["region"],
            "tenant_id": _tenant(options["tenant"], options["region"]),
        }
        try:
            if options["action"] == "set":
                found = [set_policy(**place, document=_read(options["file"]))]
            else:
                found = [*policy_versions(**place)]
        except AuditvaultError as error:
            raise CommandError(f"{error.message} ({error.code})") from error
        except (DatabaseError, psycopg.Error) as error:
            raise CommandError(
                "The database did not answer. Look with `list` before you set it again."
            ) from error
        if options["action"] == "show":
            found = found[-1:]
        if options["json"]:
            self.stdout.write(json.dumps({"policies": [_members(each) for each in found]}))
            return
        for each in found:
            self.stdout.write(
                f"{each.name}  set {each.set_at.isoformat()}  recorded as {each.record_id}"
            )
            if options["action"] == "show":
                self.stdout.write(each.document.decode())
        if not found:
            self.stdout.write("no policy: everything is kept, but for secrets")


def _tenant(slug: str | None, region: str) -> UUID:
    if slug is None:
        return OPERATOR
    try:
        return tenant_in(slug=slug, region=region)
    except TenantRequestError as error:
        raise CommandError(error.message) from error


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as source:
            return source.read(MAX_POLICY_SIZE + 1)
    except OSError as error:
        raise CommandError(f"{file} cannot be read.") from error


def _members(each: PolicyVersion) -> dict[str, Any]:
    return {
        "policy": each.name,
        "version": each.version,
        "set_at": each.set_at.isoformat(),
        "record": str(each.record_id),
        "document": json.loads(each.document),
    }
