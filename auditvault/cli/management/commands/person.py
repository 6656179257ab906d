"""`auditvault person`: the operator's way to let people in."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from auditvault.access.identity.entry_links import invite, make_reset
from auditvault.access.identity.recovery import forget_factors
from auditvault.core.errors import AuditvaultError

_PLACE = re.compile(r"([a-z0-9_-]+)\.([a-z0-9]+):([a-z_]+)")


class Command(BaseCommand):
    """Invites people, and helps those who lost a password or a second factor."""

    help = "Invite somebody, or reset a password or a lost second factor. Links are printed once."

    def add_arguments(self, parser: CommandParser) -> None:
        """Sub-commands `invite`, `reset` and `factors`."""
        actions = parser.add_subparsers(dest="action", required=True)
        new = actions.add_parser("invite", help="make an account, and a link that opens it once")
        new.add_argument("username")
        new.add_argument("--email", required=True)
        new.add_argument(
            "--role",
            action="append",
            default=[],
            metavar="TENANT.REGION:ROLE",
            help="such as acme.eu:auditor; may be repeated",
        )
        reset = actions.add_parser("reset", help="a link with which somebody sets a new password")
        reset.add_argument("username")
        lost = actions.add_parser("factors", help="forget somebody's second factors")
        lost.add_argument("username")
        for action in (new, reset):
            action.add_argument(
                "--url", default="", help="where the console is (default: the path alone)"
            )
            action.add_argument("--json", action="store_true", help='print {"link": …}')

    def handle(self, *_args: Any, **options: Any) -> None:
        """Do what was asked; exit code 1 where it cannot be done."""
        now = datetime.now(UTC)
        try:
            if options["action"] == "factors":
                forget_factors(username=options["username"])
                self.stdout.write("forgotten; their sessions ended")
                return
            token = self._token(options, now)
        except AuditvaultError as error:
            raise CommandError(error.message) from error
        link = f"{options['url'].rstrip('/')}/invitation/{token}"
        self.stdout.write(json.dumps({"link": link}) if options["json"] else link)

    def _token(self, options: dict[str, Any], now: datetime) -> str:
        if options["action"] == "reset":
            return make_reset(username=options["username"], now=now)
        roles = [_place_and_role(text) for text in options["role"]]
        if {region for _, region, _ in roles} - set(settings.REGIONS):
            raise CommandError(f"This site serves the regions {', '.join(settings.REGIONS)}.")
        return invite(username=options["username"], email=options["email"], roles=roles, now=now)


def _place_and_role(text: str) -> tuple[str, str, str]:
    match = _PLACE.fullmatch(text)
    if match is None:
        raise CommandError("--role takes TENANT.REGION:ROLE, such as acme.eu:auditor.")
    return match[1], match[2], match[3]
