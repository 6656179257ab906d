"""`migrate_all`: brings the control database and every region's two databases to the current schema."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.db import connections

# The application's tables in the control database; it owns none of them.
_CONTROL_GRANTS = """
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO auditvault_app;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO auditvault_app;
REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON django_migrations FROM auditvault_app;
"""


class Command(BaseCommand):
    """Run as `auditvault_owner`: the service's own role cannot change the schema."""

    help = "Migrate the control database and the databases of every region this process is given."

    def handle(self, *_args: Any, **options: Any) -> None:
        """Migrate one database after another; each migration is one transaction."""
        regions = [f"{kind}_{region}" for region in settings.REGIONS for kind in ("region", "keys")]
        for alias in ["default", *regions]:
            call_command(
                "migrate", database=alias, interactive=False, verbosity=options["verbosity"]
            )
        with connections["default"].cursor() as cursor:
            cursor.execute(_CONTROL_GRANTS)
