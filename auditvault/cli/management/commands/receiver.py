"""`auditvault receiver`: who hears of a tenant's alerts."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from auditvault.access.alerts.services import raise_alert
from auditvault.access.receivers.services import (
    add_role,
    add_webhook,
    receivers_of,
    remove_receiver,
    renew_secret,
)
from auditvault.access.tenants import TenantRequestError, tenant_of
from auditvault.core.errors import AuditvaultError
from auditvault.core.policy.alerts import AlertKind

_ACTOR = "operator:cli"


class Command(BaseCommand):
    """Adds, lists and removes receivers, and raises a test alert."""

    help = (
        "Say who hears of a tenant's alerts: a webhook, or the people with a role, by e-mail. Where a tenant names "
        "none, the people with the roles of AUDITVAULT_ALERT_ROLES do. A change is recorded in the tenant's admin log."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Sub-commands `add`, `list`, `renew`, `remove` and `test`."""
        actions = parser.add_subparsers(dest="action", required=True)
        made = {
            name: actions.add_parser(name, help=what)
            for name, what in {
                "add": "add a webhook or a role",
                "list": "print the receivers",
                "renew": "give a webhook a new secret; for a day both sign",
                "remove": "tell a receiver nothing any more",
                "test": "raise an alert of the kind `test`",
            }.items()
        }
        for action in made.values():
            action.add_argument("--tenant", required=True, help="short name")
            action.add_argument("--json", action="store_true", help="print one JSON object")
        what = made["add"].add_mutually_exclusive_group(required=True)
        what.add_argument("--url", help="a webhook's https:// URL")
        what.add_argument("--role", help="people with this role are written to")
        made["add"].add_argument(
            "--region", action="append", default=[], help="only of this region; may be repeated"
        )
        made["add"].add_argument(
            "--kind", action="append", default=[], choices=list(AlertKind), help="only of this kind"
        )
        for name in ("renew", "remove"):
            made[name].add_argument("receiver", type=UUID)
        made["test"].add_argument("--region", required=True, choices=settings.REGIONS)

    def handle(self, *_args: Any, **options: Any) -> None:
        """Do what was asked; exit code 1 where it cannot be done."""
        try:
            found = self._do(tenant_of(options["tenant"]), options)
        except (AuditvaultError, TenantRequestError) as error:
            raise CommandError(f"{error.message} ({error.code})") from error
        except (DatabaseError, psycopg.Error) as error:
            raise CommandError(
                "A database did not answer. Look with `list`, then try again."
            ) from error
        if options["json"]:
            self.stdout.write(json.dumps(found))
            return
        for each in found.get("receivers", [found]):
            self.stdout.write(
                "  ".join(f"{name}: {value}" for name, value in each.items() if value)
            )
        if found.get("secret"):
            self.stdout.write("Keep the secret now: it is not shown again.")

    def _do(self, tenant_id: UUID, options: dict[str, Any]) -> dict[str, Any]:
        now = datetime.now(UTC)
        one: dict[str, Any] = {"tenant_id": tenant_id, "actor": _ACTOR}
        match options["action"]:
            case "add":
                where: dict[str, Any] = {"regions": options["region"], "kinds": options["kind"]}
                if options["role"]:
                    return {"receiver": str(add_role(role=options["role"], **one, **where))}
                receiver_id, secret = add_webhook(url=options["url"], **one, **where)
                return {"receiver": str(receiver_id), "secret": secret}
            case "renew":
                secret = renew_secret(receiver_id=options["receiver"], now=now, **one)
                return {"receiver": str(options["receiver"]), "secret": secret}
            case "remove":
                remove_receiver(receiver_id=options["receiver"], now=now, **one)
                return {"removed": str(options["receiver"])}
            case "test":
                alert_id = raise_alert(
                    tenant_id=tenant_id,
                    region=options["region"],
                    kind=AlertKind.TEST,
                    details={"actor": _ACTOR},
                )
                return {"alert": str(alert_id)}
        return {"receivers": [_members(each) for each in receivers_of(tenant_id)]}


def _members(each: Any) -> dict[str, Any]:
    return {
        "receiver": str(each.receiver_id),
        "role": each.role,
        "webhook": each.host,
        "regions": list(each.regions),
        "kinds": list(each.kinds),
    }
