"""`auditvault grant`: asking to see content of a case, and letting somebody; by way of the running service."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from auditvault.cli.client import ServiceCallError
from auditvault.cli.people import client_of_person
from auditvault.cli.spans_of_time import span_of
from auditvault.core.policy.access import PurposeCode

_STEPS = ("approve", "refuse", "withdraw")


class Command(BaseCommand):
    """A person's token is in AUDITVAULT_TOKEN. Who asks and who approves are two people."""

    help = "Ask for a grant to see content of a case; approve, refuse or take back; list what there is."

    def add_arguments(self, parser: CommandParser) -> None:
        """One sub-command for each step."""
        actions = parser.add_subparsers(dest="action", required=True)
        request = actions.add_parser("request", help="ask for a grant, for yourself")
        request.add_argument("--case", required=True, help="a reference such as INC-1234")
        request.add_argument(
            "--code",
            action="append",
            required=True,
            choices=[code.value for code in PurposeCode],
            help="what for; may be repeated",
        )
        scope = request.add_mutually_exclusive_group(required=True)
        scope.add_argument("--trace", action="append", metavar="HEX", help="may be repeated")
        scope.add_argument("--record", action="append", metavar="ID", help="may be repeated")
        scope.add_argument("--subject", action="append", metavar="ID", help="may be repeated")
        scope.add_argument(
            "--since", metavar="SPAN", help="what was recorded in the last 30m, 12h or 7d"
        )
        request.add_argument("--for", dest="lifetime", default="8h", help="30m or 8h (default: 8h)")
        for step in _STEPS:
            one = actions.add_parser(step, help=f"{step} a request")
            one.add_argument("id", help="of the request")
        revoke = actions.add_parser("revoke", help="take a grant back")
        revoke.add_argument("id", help="of the grant")
        actions.add_parser("requests", help="requests that are open")
        grants = actions.add_parser("list", help="grants, newest first")
        grants.add_argument("--live", action="store_true", help="only those that are live")
        for action in actions.choices.values():
            action.add_argument("--region", required=True)
            action.add_argument("--json", action="store_true", help="print the service's answer")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Ask the service, and say what came of it."""
        client = client_of_person(options["region"])
        try:
            _, answer = client.call(*_call(options))
        except ServiceCallError as error:
            raise CommandError(error.message) from error
        if options["json"]:
            self.stdout.write(json.dumps(answer))
            return
        for line in _lines(options["action"], answer):
            self.stdout.write(line)


def _call(options: dict[str, Any]) -> tuple[str, str, dict[str, Any] | None]:
    action = options["action"]
    if action == "request":
        return "POST", "/api/v1/access/grants", _terms(options)
    if action == "list":
        return "GET", f"/api/v1/access/grants?open={str(options['live']).lower()}", None
    if action == "requests":
        return "GET", "/api/v1/access/approvals?open=true", None
    if action == "revoke":
        return "POST", f"/api/v1/access/grants/{options['id']}/revoke", {}
    return "POST", f"/api/v1/access/approvals/{options['id']}/{action}", {}


def _terms(options: dict[str, Any]) -> dict[str, Any]:
    return {
        "case": options["case"],
        "codes": options["code"],
        "scope": _scope(options),
        "lifetime_seconds": int(span_of(options["lifetime"]) / timedelta(seconds=1)),
    }


def _scope(options: dict[str, Any]) -> dict[str, Any]:
    for option, member in (("trace", "traces"), ("record", "records"), ("subject", "subjects")):
        if options[option]:
            return {member: options[option]}
    now = datetime.now(UTC)
    return {
        "recorded_from": (now - span_of(options["since"])).isoformat(),
        # A minute more than now: clocks differ.
        "recorded_before": (now + timedelta(minutes=1)).isoformat(),
    }


def _lines(action: str, answer: dict[str, Any]) -> list[str]:
    if action == "list":
        return [
            f"{grant['id']}  {grant['case']}  {', '.join(grant['codes'])}  until {grant['expires_at']}"
            f"  {'revoked  ' if grant['revoked_at'] else ''}{grant['uses']} seen"
            for grant in answer["grants"]
        ] or ["no grants"]
    if action == "requests":
        return [line for record in answer["approvals"] for line in (*_approval(record), "")] or [
            "no open requests"
        ]
    if action == "revoke":
        return [f"grant {answer['id']} ended at {answer['revoked_at']}"]
    return _approval(answer)


def _approval(record: dict[str, Any]) -> list[str]:
    return [
        f"request {record['id']}  {record['operation']}  {record['case']}  {record['state']}",
        f"asked by {record['requester']}, open until {record['expires_at']}",
        f"plan {record['digest']}",
        json.dumps(record["plan"]["parameters"], indent=1),
    ]
