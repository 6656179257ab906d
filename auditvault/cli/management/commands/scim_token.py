"""`auditvault scim_token`: the credential of an identity provider that makes users and groups, printed once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from auditvault.access.scim.clients import (
    clients_of,
    create_client,
    revoke_client,
    rotate_client,
)
from auditvault.access.tokens import tenant_of
from auditvault.cli.answers import answered, span, span_or_none


class Command(BaseCommand):
    """Exit status 0: done. 1: refused. 2: could not be tried."""

    help = (
        "Make a SCIM client's token and print it once; rotate, revoke and list. "
        "Exit status: 0 done, 1 refused, 2 could not be tried."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Four sub-commands."""
        actions = parser.add_subparsers(dest="action", required=True)
        create = actions.add_parser(
            "create", help="make a client of a tenant, print its token once"
        )
        create.add_argument("--description", default="", help="which identity provider it is")
        rotate = actions.add_parser("rotate", help="give a client another secret, print it once")
        rotate.add_argument(
            "--overlap",
            type=span_or_none,
            default=timedelta(days=1),
            help="how long the old secret lives on, at most 7d (default: 1d; 0: not at all)",
        )
        for action in (create, rotate):
            action.add_argument(
                "--expires", type=span, default=timedelta(days=180), help="180d by default"
            )
        revoke = actions.add_parser("revoke", help="end a client's secrets at once")
        for action in (rotate, revoke):
            action.add_argument("client", help="the second part of the token: avs_<client>_…")
        listed = actions.add_parser("list", help="a tenant's clients, without their secrets")
        for action in (create, listed):
            action.add_argument("--tenant", required=True, metavar="SLUG")
        for action in (create, rotate, revoke, listed):
            action.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Do it, and say what became of it."""
        answered(self, options, lambda: _ACTIONS[options["action"]](options), _as_text)


def _create(options: dict[str, Any]) -> dict[str, Any]:
    token = create_client(
        tenant=tenant_of(options["tenant"]),
        lifetime=options["expires"],
        now=datetime.now(UTC),
        description=options["description"],
    )
    return {"token": token}


def _rotate(options: dict[str, Any]) -> dict[str, Any]:
    token = rotate_client(
        public_id=options["client"],
        lifetime=options["expires"],
        overlap=options["overlap"],
        now=datetime.now(UTC),
    )
    return {"token": token}


def _revoke(options: dict[str, Any]) -> dict[str, Any]:
    revoke_client(public_id=options["client"], now=datetime.now(UTC))
    return {"state": "revoked", "client": options["client"]}


def _list(options: dict[str, Any]) -> dict[str, Any]:
    return {
        "clients": [
            {
                "client": each.public_id,
                "description": each.description,
                "created_at": each.created_at.isoformat(),
                "expires_at": _when(each.expires_at),
                "last_used_at": _when(each.last_used_at),
            }
            for each in clients_of(tenant_of(options["tenant"]).tenant_id)
        ]
    }


_ACTIONS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "create": _create,
    "rotate": _rotate,
    "revoke": _revoke,
    "list": _list,
}


def _when(at: datetime | None) -> str | None:
    return at.isoformat() if at else None


def _as_text(found: dict[str, Any]) -> str:
    if "clients" not in found:
        return str(found.get("token") or found["state"])
    return "\n".join(
        f"{each['client']}  until {each['expires_at']}"
        f"  last used {each['last_used_at'] or 'never'}  {each['description']}"
        for each in found["clients"]
    )
