"""`auditvault tenant create`: an organisation whose interactions are recorded."""

from __future__ import annotations

import json
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from auditvault.access.tenants import TenantRequestError, create_tenant


class Command(BaseCommand):
    """Creates tenants, and adds regions to existing ones."""

    help = "Create a tenant in one or more regions, or add regions to it."

    def add_arguments(self, parser: CommandParser) -> None:
        """Sub-command `create`."""
        create = parser.add_subparsers(dest="action", required=True).add_parser("create")
        create.add_argument("slug", help="short name, such as acme")
        create.add_argument("--name", help="full name (default: the short one)")
        create.add_argument("--region", action="append", required=True, help="may be repeated")
        create.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Make it, and say its id."""
        try:
            tenant = create_tenant(
                slug=options["slug"],
                name=options["name"] or options["slug"],
                regions=options["region"],
                served=settings.REGIONS,
            )
        except TenantRequestError as error:
            raise CommandError(error.message) from error
        if options["json"]:
            self.stdout.write(
                json.dumps({"tenant": tenant.slug, "tenant_id": str(tenant.tenant_id)})
            )
        else:
            self.stdout.write(f"tenant {tenant.slug} ({tenant.tenant_id})")
