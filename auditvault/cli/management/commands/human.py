"""`auditvault human`: which accounts are one human's. Duties are separate by human, so it decides who may what."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from auditvault.access.linking import account_named, accounts_with, link_accounts, unlink_account
from auditvault.cli.answers import answered


class Command(BaseCommand):
    """Exit status 0: done. 1: refused. 2: could not be tried."""

    help = (
        "Say which accounts are one human's. Recorded in the operator's log of every region. "
        "Exit status: 0 done, 1 refused, 2 could not be tried."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Three sub-commands."""
        actions = parser.add_subparsers(dest="action", required=True)
        show = actions.add_parser("show", help="the accounts of an account's human")
        show.add_argument("username")
        link = actions.add_parser(
            "link", help="two accounts are one human's; refused where that is too much for one"
        )
        link.add_argument("one", help="a user name")
        link.add_argument("other", help="a user name")
        unlink = actions.add_parser(
            "unlink", help="an account is a human's of its own; the others' tokens are revoked"
        )
        unlink.add_argument("username")
        for action in (link, unlink):
            action.add_argument("--case", required=True, help="what it was decided on")
        for action in (show, link, unlink):
            action.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Do it, and say who is one human now."""
        answered(self, options, lambda: _done(options), _as_text)


def _done(options: dict[str, Any]) -> dict[str, Any]:
    action = options["action"]
    account = account_named(options["one"] if action == "link" else options["username"])
    if action == "link":
        link_accounts(one=account, other=account_named(options["other"]), case=options["case"])
    if action == "unlink":
        unlink_account(account=account, case=options["case"], now=datetime.now(UTC))
    account.refresh_from_db()
    return {
        "state": {"show": "shown", "link": "linked", "unlink": "unlinked"}[action],
        "accounts": [
            {"id": str(each.public_id), "username": each.username, "is_active": each.is_active}
            for each in accounts_with(account)
        ],
    }


def _as_text(found: dict[str, Any]) -> str:
    lines = [f"{found['state'].upper()}: one human's accounts"]
    lines += [f"{each['id']}  {each['username']}" for each in found["accounts"]]
    return "\n".join(lines)
