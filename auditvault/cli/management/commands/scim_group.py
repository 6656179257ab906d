"""`auditvault scim_group`: what the groups of a tenant's identity provider give."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandParser

from auditvault.access.scim.rights import groups_of, map_group, unmap_group
from auditvault.access.tokens import tenant_of
from auditvault.cli.answers import answered


class Command(BaseCommand):
    """Exit status 0: done. 1: refused. 2: could not be tried."""

    help = (
        "Say which roles a provisioned group gives to its members. Recorded. "
        "Exit status: 0 done, 1 refused, 2 could not be tried."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Three sub-commands."""
        actions = parser.add_subparsers(dest="action", required=True)
        listed = actions.add_parser("list", help="a tenant's groups, and what they give")
        give = actions.add_parser("map", help="let a group give a role on a region")
        take = actions.add_parser("unmap", help="let it give that role no more, at once")
        for action in (give, take):
            action.add_argument("group", type=UUID, help="the group's id, as `list` has it")
            action.add_argument("role", help="such as viewer, or custom:NAME")
            action.add_argument("--region", required=True)
            action.add_argument("--case", required=True, help="what it was decided on")
        for action in (listed, give, take):
            action.add_argument("--tenant", required=True, metavar="SLUG")
            action.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Do it, and say what became of it."""
        answered(self, options, lambda: _ACTIONS[options["action"]](options), _as_text)


def _list(options: dict[str, Any]) -> dict[str, Any]:
    return {
        "groups": [
            {
                "group": str(each.scim_id),
                "client": each.client,
                "name": each.display_name,
                "members": each.members,
                "gives": [f"{gift.place.region}:{gift.role}" for gift in each.gives],
            }
            for each in groups_of(tenant_of(options["tenant"]).tenant_id)
        ]
    }


def _map(options: dict[str, Any]) -> dict[str, Any]:
    return {"state": "mapped" if map_group(**_mapping(options)) else "mapped_already"}


def _unmap(options: dict[str, Any]) -> dict[str, Any]:
    unmap_group(**_mapping(options))
    return {"state": "unmapped"}


def _mapping(options: dict[str, Any]) -> dict[str, Any]:
    names = ("group", "role", "region", "case")
    tenant_id = tenant_of(options["tenant"]).tenant_id
    return {"tenant_id": tenant_id, **{name: options[name] for name in names}}


_ACTIONS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "list": _list,
    "map": _map,
    "unmap": _unmap,
}


def _as_text(found: dict[str, Any]) -> str:
    if "state" in found:
        return str(found["state"])
    return "\n".join(
        f"{each['group']}  {each['name']}  {each['members']} members"
        f"  gives {', '.join(each['gives']) or 'nothing'}"
        for each in found["groups"]
    )
