"""`auditvault role`: gives roles, takes them away, and makes a tenant's own; each change is in its admin log."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandParser

from auditvault.access.custom_roles.services import (
    change_role,
    define_role,
    definitions,
    retire_role,
)
from auditvault.access.granting import OPERATOR, grant, place_in, revoke
from auditvault.access.linking import account_named
from auditvault.access.staff import colleagues_of
from auditvault.access.tokens import tenant_of
from auditvault.cli.answers import answered, moment
from auditvault.core.policy.roles import CUSTOM_ACTS


class Command(BaseCommand):
    """Exit status 0: done. 1: refused. 2: could not be tried."""

    help = (
        "Give roles and take them away, as the operator; make, change and retire a tenant's own roles. "
        "Every change is recorded first. Exit status: 0 done, 1 refused, 2 could not be tried."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Six sub-commands."""
        actions = parser.add_subparsers(dest="action", required=True)
        give = actions.add_parser("grant", help="give a person a role on a tenant's region")
        take = actions.add_parser("revoke", help="take a role away; it counts for nothing at once")
        for action in (give, take):
            action.add_argument("username")
            action.add_argument("role", help="such as viewer, or custom:NAME")
            action.add_argument("--region", required=True)
        give.add_argument("--until", type=moment, help="when it ends, such as 2027-01-31T00:00Z")
        listed = actions.add_parser(
            "list", help="who has which role on a tenant, and its own roles"
        )
        define = actions.add_parser("define", help="make a role of the tenant's own")
        change = actions.add_parser("change", help="let such a role allow other acts")
        retire = actions.add_parser("retire", help="let such a role allow nobody anything any more")
        for action in (define, change):
            action.add_argument("name")
            action.add_argument(
                "--act", action="append", required=True, choices=sorted(CUSTOM_ACTS), dest="acts"
            )
        retire.add_argument("name")
        for action in (give, take, define, change, retire):
            _add_case(action)
        for action in (give, take, listed, define, change, retire):
            action.add_argument("--tenant", required=True, metavar="SLUG")
            action.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Do it, and say what became of it."""
        answered(self, options, lambda: _ACTIONS[options["action"]](options), _as_text)


def _add_case(action: argparse.ArgumentParser) -> None:
    action.add_argument("--case", required=True, help="what it was decided on, such as INC-1234")


def _grant(options: dict[str, Any]) -> dict[str, Any]:
    tenant = tenant_of(options["tenant"])
    record_id = grant(
        giver=OPERATOR,
        account=account_named(options["username"]),
        place=place_in(tenant.tenant_id, options["region"]),
        role=options["role"],
        case=options["case"],
        ends_at=options["until"],
        now=datetime.now(UTC),
    )
    return {"state": "granted" if record_id else "granted_already", "record": _text(record_id)}


def _revoke(options: dict[str, Any]) -> dict[str, Any]:
    tenant = tenant_of(options["tenant"])
    record_id = revoke(
        giver=OPERATOR,
        account=account_named(options["username"]),
        place=place_in(tenant.tenant_id, options["region"]),
        role=options["role"],
        case=options["case"],
    )
    return {"state": "revoked", "record": _text(record_id)}


def _list(options: dict[str, Any]) -> dict[str, Any]:
    tenant_id = tenant_of(options["tenant"]).tenant_id
    people, after = [], None
    while True:
        page = colleagues_of(tenant_id, after=after)
        people += page.people
        after = page.next_after
        if after is None:
            break
    return {
        "state": "listed",
        "people": [
            {
                "id": str(person.public_id),
                "username": person.username,
                "is_active": person.is_active,
                "roles": [
                    {
                        "region": held.region,
                        "role": held.role,
                        "ends_at": held.ends_at.isoformat() if held.ends_at else None,
                        "by_group": held.by_group,
                    }
                    for held in person.roles
                ],
            }
            for person in people
        ],
        "roles": [
            {
                "role": each.role.value,
                "acts": sorted(each.role.acts),
                "is_retired": each.retired_at is not None,
            }
            for each in definitions(tenant_id)
        ],
    }


def _define(options: dict[str, Any]) -> dict[str, Any]:
    made = define_role(giver=OPERATOR, **_definition(options))
    return {"state": "defined", "role": made.value, "acts": sorted(made.acts)}


def _change(options: dict[str, Any]) -> dict[str, Any]:
    made = change_role(giver=OPERATOR, held=(), **_definition(options))
    return {"state": "changed", "role": made.value, "acts": sorted(made.acts)}


def _retire(options: dict[str, Any]) -> dict[str, Any]:
    tenant_id = tenant_of(options["tenant"]).tenant_id
    gone = retire_role(
        giver=OPERATOR,
        tenant_id=tenant_id,
        name=options["name"],
        case=options["case"],
        now=datetime.now(UTC),
    )
    return {"state": "retired", "role": gone.value}


def _definition(options: dict[str, Any]) -> dict[str, Any]:
    return {
        "tenant_id": tenant_of(options["tenant"]).tenant_id,
        "name": options["name"],
        "acts": options["acts"],
        "case": options["case"],
    }


_ACTIONS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "grant": _grant,
    "revoke": _revoke,
    "list": _list,
    "define": _define,
    "change": _change,
    "retire": _retire,
}


def _text(record_id: UUID | None) -> str | None:
    return str(record_id) if record_id else None


def _as_text(found: dict[str, Any]) -> str:
    lines = [_IN_WORDS[found["state"]]] if found["state"] in _IN_WORDS else []
    if found.get("record"):
        lines.append(f"recorded as {found['record']}")
    for person in found.get("people", ()):
        off = "" if person["is_active"] else "  (switched off)"
        lines.append(f"{person['id']}  {person['username']}{off}")
        for held in person["roles"]:
            end = f"  until {held['ends_at']}" if held["ends_at"] else ""
            group = "  by a group" if held["by_group"] else ""
            lines.append(f"    {held['region']:<8} {held['role']}{end}{group}")
    for role in found.get("roles", ()):
        gone = "  (retired)" if role["is_retired"] else ""
        lines.append(f"{role['role']}  {', '.join(role['acts'])}{gone}")
    return "\n".join(lines)


_IN_WORDS = {
    "granted": "GRANTED",
    "granted_already": "NOTHING TO DO: it is held just so",
    "revoked": "REVOKED",
    "defined": "DEFINED: nobody holds it yet",
    "changed": "CHANGED for all who hold it",
    "retired": "RETIRED: the name is never used again",
}
