"""`auditvault token create`: a machine's credential, printed once."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from auditvault.access.tokens import TokenRequestError, create_token, revoke_token
from auditvault.core.policy.roles import Role
from auditvault.core.policy.separation import SeparationError

_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


class Command(BaseCommand):
    """Creates and revokes tokens."""

    help = "Create or revoke a machine token."

    def add_arguments(self, parser: CommandParser) -> None:
        """Sub-commands `create` and `revoke`."""
        actions = parser.add_subparsers(dest="action", required=True)
        create = actions.add_parser("create", help="make a token and print it once")
        create.add_argument("--tenant", required=True, help="the tenant's short name, such as demo")
        create.add_argument("--region", action="append", required=True, help="may be repeated")
        create.add_argument(
            "--role",
            action="append",
            required=True,
            choices=[role.value for role in Role],
            help="may be repeated",
        )
        create.add_argument("--expires", default="30d", help="30m, 12h or 30d (default: 30d)")
        create.add_argument("--description", default="", help="what the token is for")
        create.add_argument("--json", action="store_true", help='print {"token": …}')
        revoke = actions.add_parser("revoke", help="revoke a token at once")
        revoke.add_argument("public_id", help="the second part of the token: av_<public id>_…")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Do what was asked; exit code 1 where it cannot be done."""
        now = datetime.now(UTC)
        if options["action"] == "revoke":
            if not revoke_token(options["public_id"], now=now):
                raise CommandError("There is no live token of that id.")
            self.stdout.write("revoked")
            return
        try:
            token = create_token(
                tenant_slug=options["tenant"],
                regions=options["region"],
                roles=options["role"],
                lifetime=_lifetime(options["expires"]),
                now=now,
                description=options["description"],
            )
        except (TokenRequestError, SeparationError) as error:
            raise CommandError(error.message) from error
        self.stdout.write(json.dumps({"token": token}) if options["json"] else token)


def _lifetime(text: str) -> timedelta:
    match = re.fullmatch(r"([1-9][0-9]{0,5})([mhd])", text)
    if match is None:
        raise CommandError("--expires takes a number and m, h or d, such as 30d.")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})
