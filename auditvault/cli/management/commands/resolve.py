"""`auditvault resolve`: the content behind a hash, by way of the running service, which records the look."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from auditvault.cli.client import ServiceCallError, ServiceClient
from auditvault.core.policy.access import PurposeCode

_STANDARD_INPUT = "-"


class Command(BaseCommand):
    """Asks `POST /api/v1/resolve`. There is no way to content beside the recorded one."""

    help = "Show the content behind a hash. The look is recorded first. Needs a token with the investigator role."

    def add_arguments(self, parser: CommandParser) -> None:
        """The hash and the purpose; the token comes from AUDITVAULT_TOKEN, so that it is in no process list."""
        parser.add_argument(
            "content_hash", help="sha256:<hex> of the content as it was sent, or tag:<hex>"
        )
        parser.add_argument("--region", required=True)
        parser.add_argument("--code", required=True, choices=[code.value for code in PurposeCode])
        parser.add_argument("--case", required=True, help="a reference such as INC-1234")
        parser.add_argument(
            "--reason",
            required=True,
            help="why you look, in at least 15 characters; - reads it from standard input, so that it is in no "
            "process list",
        )
        parser.add_argument("--json", action="store_true", help="print the service's answer")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Ask and print."""
        token = os.environ.get("AUDITVAULT_TOKEN")
        if not token:
            raise CommandError("Put a token with the investigator role into AUDITVAULT_TOKEN.")
        client = ServiceClient(
            port=int(os.environ.get("AUDITVAULT_PORT", "8000")),
            token=token,
            region=options["region"],
        )
        purpose = {name: options[name] for name in ("code", "case")}
        purpose["reason"] = _reason(options["reason"])
        body = {"content_hash": options["content_hash"], "purpose": purpose}
        try:
            _, answer = client.call("POST", "/api/v1/resolve", body)
        except ServiceCallError as error:
            raise CommandError(error.message) from error
        if options["json"]:
            self.stdout.write(json.dumps(answer))
            return
        for content in answer["contents"]:
            self.stdout.write(f"--- {content['role']} of interaction {content['interaction_id']}")
            self.stdout.write(_shown(content))
        if answer["more"]:
            self.stdout.write(f"--- the newest {len(answer['contents'])} are shown; there are more")
        self.stdout.write(f"--- recorded as {answer['access_record']}")


def _shown(content: dict[str, Any]) -> str:
    if content["state"] == "hash_only":
        return f"(not kept: {content['size_bytes']:,} bytes with the SHA-256 {content['sha256']})"
    return str(content["content"])


def _reason(given: str) -> str:
    """The reason itself, read to the end of standard input where `-` stands for it."""
    if given != _STANDARD_INPUT:
        return given
    try:
        return sys.stdin.buffer.read().decode()
    except UnicodeDecodeError:
        # Not chained: the error carries the bytes, and a reason may hold names.
        raise CommandError("The reason on standard input is not UTF-8.") from None
