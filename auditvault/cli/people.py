"""The service as a person calls it from the command line."""

from __future__ import annotations

import os

from django.core.management.base import CommandError

from auditvault.cli.client import ServiceClient


def client_of_person(region: str) -> ServiceClient:
    """A client with the token of AUDITVAULT_TOKEN, which is in no process list; raises CommandError without one."""
    token = os.environ.get("AUDITVAULT_TOKEN")
    if not token:
        raise CommandError("Put your own token into AUDITVAULT_TOKEN.")
    port = int(os.environ.get("AUDITVAULT_PORT", "8000"))
    return ServiceClient(port=port, token=token, region=region)
