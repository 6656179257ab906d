"""`auditvault token`: makes tokens, printed once, rotates and revokes them; each change is recorded."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from auditvault.access.linking import account_named
from auditvault.access.machine_tokens import (
    NewToken,
    create_machine_token,
    revoke_known_token,
    rotate_token,
    tokens_in,
)
from auditvault.access.tokens import tenant_of
from auditvault.cli.answers import answered, span, span_or_none


class Command(BaseCommand):
    """Exit status 0: done. 1: refused. 2: could not be tried."""

    help = (
        "Make a token and print it once; rotate, revoke and list tokens. "
        "Exit status: 0 done, 1 refused, 2 could not be tried."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Four sub-commands."""
        actions = parser.add_subparsers(dest="action", required=True)
        create = actions.add_parser("create", help="make a token and print it once")
        create.add_argument("--tenant", required=True, help="the tenant's short name, such as demo")
        create.add_argument("--region", action="append", required=True, help="may be repeated")
        create.add_argument(
            "--role", action="append", required=True, help="such as ingest; may be repeated"
        )
        create.add_argument(
            "--expires",
            type=span,
            default=timedelta(days=30),
            help="30m, 12h or 30d (default: 30d)",
        )
        create.add_argument("--description", default="", help="what the token is for")
        create.add_argument(
            "--person", metavar="USERNAME", help="a token that counts as this person, not a machine"
        )
        rotate = actions.add_parser("rotate", help="make a token of the same scope, print it once")
        rotate.add_argument(
            "--overlap",
            type=span_or_none,
            default=timedelta(days=1),
            help="how long the old one lives on, at most 7d (default: 1d; 0: not at all)",
        )
        revoke = actions.add_parser("revoke", help="revoke a token at once")
        for action in (rotate, revoke):
            action.add_argument("public_id", help="the second part of the token: av_<public id>_…")
        listed = actions.add_parser("list", help="a tenant's tokens, without their secrets")
        listed.add_argument("--tenant", required=True)
        for action in (create, rotate, revoke, listed):
            action.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Do what was asked; exit code 1 where it cannot be done."""
        answered(self, options, lambda: _ACTIONS[options["action"]](options), _as_text)


def _create(options: dict[str, Any]) -> dict[str, Any]:
    made = create_machine_token(
        tenant=tenant_of(options["tenant"]),
        regions=options["region"],
        roles=options["role"],
        lifetime=options["expires"],
        now=datetime.now(UTC),
        description=options["description"],
        person=account_named(options["person"]) if options["person"] else None,
    )
    return _new(made)


def _rotate(options: dict[str, Any]) -> dict[str, Any]:
    return _new(
        rotate_token(
            public_id=options["public_id"], overlap=options["overlap"], now=datetime.now(UTC)
        )
    )


def _revoke(options: dict[str, Any]) -> dict[str, Any]:
    revoke_known_token(public_id=options["public_id"], now=datetime.now(UTC))
    return {"state": "revoked", "id": options["public_id"]}


def _list(options: dict[str, Any]) -> dict[str, Any]:
    found = tokens_in(tenant_of(options["tenant"]).tenant_id)
    return {
        "tokens": [
            {
                "id": each.public_id,
                "of_person": each.of_person,
                "regions": list(each.regions),
                "roles": list(each.roles),
                "description": each.description,
                "created_at": each.created_at.isoformat(),
                "expires_at": each.expires_at.isoformat(),
                "last_used_at": _when(each.last_used_at),
                "revoked_at": _when(each.revoked_at),
                "successor": each.successor,
            }
            for each in found
        ]
    }


_ACTIONS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "create": _create,
    "rotate": _rotate,
    "revoke": _revoke,
    "list": _list,
}


def _new(made: NewToken) -> dict[str, Any]:
    return {"token": made.token}


def _when(at: datetime | None) -> str | None:
    return at.isoformat() if at else None


def _as_text(found: dict[str, Any]) -> str:
    if "token" in found:
        return str(found["token"])
    if "state" in found:
        return str(found["state"])
    return "\n".join(
        f"{each['id']}  {','.join(each['regions'])}  {','.join(each['roles'])}"
        f"  until {each['expires_at']}  last used {each['last_used_at'] or 'never'}"
        f"{'  REVOKED' if each['revoked_at'] else ''}"
        f"{'  replaced by ' + each['successor'] if each['successor'] else ''}  {each['description']}"
        for each in found["tokens"]
    )
