"""`auditvault look_limit`: how many people one person may look at in a day."""

from __future__ import annotations

import json
from typing import Any

import psycopg
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from auditvault.access.tenants import tenant_in
from auditvault.access.usage.tenant_limits import limit_of, set_limit
from auditvault.core.errors import AuditvaultError


class Command(BaseCommand):
    """Sets and shows a tenant's daily budget of subjects."""

    help = (
        "Say how many subjects one person may look at in a day, in one region of a tenant's. It takes the place of "
        "AUDITVAULT_SUBJECTS_PER_DAY, holds from the next look on, and is recorded in the tenant's admin log."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Sub-commands `set` and `show`."""
        actions = parser.add_subparsers(dest="action", required=True)
        for name, what in {"set": "set the budget", "show": "print the budget in force"}.items():
            action = actions.add_parser(name, help=what)
            action.add_argument("--tenant", required=True, help="short name")
            action.add_argument("--region", required=True, choices=settings.REGIONS)
            action.add_argument("--json", action="store_true", help="print one JSON object")
            if name == "set":
                action.add_argument("subjects_per_day", type=int)

    def handle(self, *_args: Any, **options: Any) -> None:
        """Do what was asked; exit code 1 where it cannot be done."""
        region = options["region"]
        try:
            tenant_id = tenant_in(slug=options["tenant"], region=region)
            if options["action"] == "set":
                found = set_limit(
                    region=region,
                    tenant_id=tenant_id,
                    subjects_per_day=options["subjects_per_day"],
                    actor="operator:cli",
                )
            else:
                found = limit_of(region=region, tenant_id=tenant_id)
        except AuditvaultError as error:
            raise CommandError(f"{error.message} ({error.code})") from error
        except (DatabaseError, psycopg.Error) as error:
            raise CommandError(
                "The database did not answer. Look with `show`, then try again."
            ) from error
        members = {"subjects_per_day": found.subjects_per_day, "version": found.version}
        self.stdout.write(
            json.dumps(members)
            if options["json"]
            else f"{found.subjects_per_day} subjects a day for each person"
            + (f" (version {found.version})" if found.version else " (the setting's)")
        )
