"""`auditvault export`: taking headers away, encrypted to one's own key; by way of the running service."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser

from auditvault.cli.client import ServiceCallError, ServiceClient
from auditvault.cli.people import client_of_person

_EXPORTS = "/api/v1/evidence/exports"
_APPROVALS = "/api/v1/access/approvals"
_WANTED = ("trace", "status", "form")


class Command(BaseCommand):
    """A person's token is in AUDITVAULT_TOKEN. What is taken away is encrypted, and recorded first."""

    help = "Ask for an export of headers; say how far it has come; cancel it; download it, once."

    def add_arguments(self, parser: CommandParser) -> None:
        """One sub-command for each step."""
        actions = parser.add_subparsers(dest="action", required=True)
        plan = actions.add_parser("plan", help="say how many rows it would have")
        _wanted(plan)
        plan.add_argument("--case", help="ask for approval of the plan, for this case")
        request = actions.add_parser("request", help="ask for an export")
        _wanted(request)
        request.add_argument("--approval", metavar="ID", help="of the plan, where it is a bulk one")
        actions.add_parser("list", help="exports, newest first")
        for step, what in (("show", "how far one has come"), ("cancel", "give one up")):
            actions.add_parser(step, help=what).add_argument("id", help="of the export")
        download = actions.add_parser("download", help="fetch it: once, and then it is gone")
        download.add_argument("id", help="of the export")
        download.add_argument(
            "-o", "--output", type=Path, required=True, help="the ZIP file; it must not exist"
        )
        for action in actions.choices.values():
            action.add_argument("--region", required=True)
            action.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Ask the service, and say what came of it."""
        client = client_of_person(options["region"])
        try:
            if options["action"] == "download":
                answer: dict[str, Any] = _download(client, _id(options["id"]), options["output"])
            else:
                _, answer = client.call(*_call(options))
            if options["action"] == "plan" and options["case"]:
                asked = {"plan": answer["plan"], "case": options["case"]}
                answer["approval"] = client.call("POST", _APPROVALS, asked)[1]["id"]
        except ServiceCallError as error:
            raise CommandError(error.message) from error
        if options["json"]:
            self.stdout.write(json.dumps(answer))
            return
        for line in _lines(options["action"], answer):
            self.stdout.write(line)


def _wanted(parser: CommandParser) -> None:
    add = parser.add_argument
    add("--from", dest="started_from", required=True, metavar="INSTANT", help="with its zone")
    add("--before", dest="started_before", required=True, metavar="INSTANT", help="likewise")
    add("--certificate", type=Path, required=True, metavar="FILE", help="yours, in PEM")
    add("--trace", metavar="HEX")
    add("--status", choices=["unset", "ok", "error"])
    add("--form", choices=["csv", "jsonl"], default="csv", help="default: csv")


def _call(options: dict[str, Any]) -> tuple[str, str, dict[str, Any] | None]:
    action = options["action"]
    if action == "plan":
        return "POST", f"{_EXPORTS}/plan", _body(options)
    if action == "request":
        approval = {"approval_id": options["approval"]} if options["approval"] else {}
        return "POST", _EXPORTS, _body(options) | approval
    if action == "list":
        return "GET", _EXPORTS, None
    if action == "cancel":
        return "POST", f"{_EXPORTS}/{_id(options['id'])}/cancel", {}
    return "GET", f"{_EXPORTS}/{_id(options['id'])}", None


def _body(options: dict[str, Any]) -> dict[str, Any]:
    body = {
        "started_from": _instant(options["started_from"]),
        "started_before": _instant(options["started_before"]),
        "certificate": _certificate(options["certificate"]),
    }
    given = {name: options[name] for name in _WANTED if options[name]}
    if "trace" in given:
        given["trace_id"] = given.pop("trace")
    return body | given


def _instant(text: str) -> str:
    """The instant as it was given; raises CommandError where it has no zone."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise CommandError(f"{text!r} is no instant with a zone, such as 2026-11-24T00:00:00Z.")
    return text


def _id(text: str) -> str:
    """The id, which becomes part of a path; raises CommandError."""
    try:
        return str(UUID(text))
    except ValueError:
        raise CommandError(f"{text!r} is no id of an export.") from None


def _certificate(path: Path) -> str:
    try:
        return path.read_text("ascii")
    except (OSError, UnicodeError):
        raise CommandError("The certificate cannot be read: give one in PEM.") from None


def _download(client: ServiceClient, export_id: str, path: Path) -> dict[str, Any]:
    """Fetch the file. It is to be had once, so there is a place for it before it is asked for."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise CommandError(f"The export cannot be written: {error.strerror}") from error
    with os.fdopen(descriptor, "wb") as file:
        try:
            content = client.fetch(f"{_EXPORTS}/{export_id}/file")
        except ServiceCallError:
            with suppress(OSError):
                path.unlink()
            raise
        try:
            file.write(content)
        except OSError as error:
            raise CommandError(
                f"The export was fetched and cannot be written: {error.strerror}"
            ) from error
    return {"id": export_id, "file": str(path), "bytes": len(content)}


def _lines(action: str, answer: dict[str, Any]) -> list[str]:
    if action == "plan":
        needs = "somebody else has to approve the plan" if answer["needs_approval"] else "yours"
        asked = [f"asked for approval {answer['approval']}"] if "approval" in answer else []
        return [f"{answer['rows']} rows: {needs}", answer["plan"], *asked]
    if action == "list":
        return [_line(each) for each in answer["exports"]] or ["no exports"]
    if action == "download":
        return [f"{answer['file']}: {answer['bytes']} bytes, encrypted to your certificate"]
    return [_line(answer)]


def _line(export: dict[str, Any]) -> str:
    return (
        f"{export['id']}  {export['state']}  {export['rows']} rows  {export['parts']} parts"
        f"  until {export['expires_at']}  {export['requester']}"
    )
