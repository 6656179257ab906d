"""`auditvault demo`: a tenant to look around in, with real traces, verified and resolved once."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from auditvault.access.demonstration import (
    INVESTIGATOR,
    OFFICER,
    demonstrate_grant,
    demonstration_tokens,
)
from auditvault.access.identity.recovery import seed_app
from auditvault.access.tenants import create_person, create_tenant
from auditvault.access.tokens import create_token
from auditvault.cli.client import ServiceCallError, ServiceClient
from auditvault.cli.demo import first_prompt, send_demo_traces
from auditvault.core.errors import AuditvaultError
from auditvault.core.policy.access import Role
from auditvault.core.policy.second_factor import roles_with_second_factor
from auditvault.core.tlog.log_key import log_verifiers
from auditvault.core.tlog.proof import Receipt
from auditvault.evidence.verification import read_log_keys, verify_region

_PEOPLE = {
    "engineer": (Role.ENGINEER,),
    "investigator": (Role.INVESTIGATOR,),
    "privacy_officer": (Role.PRIVACY_OFFICER,),
    "auditor": (Role.AUDITOR,),
}
_CASE = "DEMO-1"
_CHECKPOINT_WAIT_SECONDS = 30.0


class Command(BaseCommand):
    """Makes the demo tenant, and takes one record all the way: sent, verified, resolved."""

    help = "Create the demo tenant, send it real traces, verify the log, and resolve one hash."

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Do it and say what was done; the logins go to demo.json in the home (mode 0600)."""
        create_tenant(
            slug="demo", name="Demo tenant", regions=settings.REGIONS, served=settings.REGIONS
        )
        logins = _people("demo")
        port, region = int(os.environ.get("AUDITVAULT_PORT", "8000")), settings.REGIONS[0]
        token = _token([region], [Role.INGEST])
        try:
            sent = send_demo_traces(
                endpoint=f"http://127.0.0.1:{port}/v1/traces", token=token, region=region
            )
            self._say(f"sent {sent} spans to region {region} through the OpenTelemetry SDK")
            tokens = demonstration_tokens(tenant_slug="demo", region=region, now=datetime.now(UTC))
            reader = ServiceClient(port=port, token=tokens[INVESTIGATOR], region=region)
            self._prove(reader)
            self._verify(region)
            demonstrate_grant(tokens=tokens, region=region, case=_CASE, now=datetime.now(UTC))
            self._say(f"{INVESTIGATOR} asked to see today's content for {_CASE}, {OFFICER} agreed")
            self._resolve(reader)
        except (AuditvaultError, RuntimeError) as error:
            raise CommandError(f"The demo could not be completed: {error}") from error
        _write_private(
            settings.HOME / "demo.json", {"tenant": "demo", "logins": logins, "tokens": tokens}
        )

    def _say(self, text: str) -> None:
        self.stdout.write(text)

    def _prove(self, reader: ServiceClient) -> None:
        """Wait for the signer's checkpoint, and verify one receipt as an outsider would."""
        _, page = reader.call("POST", "/api/v1/traces/search", {"limit": 1})
        path = f"/api/v1/receipts/{page['interactions'][0]['id']}"

        def covered() -> Any:
            _, answer = reader.call("GET", path)
            return answer if answer["checkpoint"] else None

        receipt = Receipt.from_json(json.dumps(_wait_for(covered)))
        keys = read_log_keys(Path(settings.LOG_VKEYS_FILE))
        verified = receipt.verify(log_verifiers(receipt.log, keys))
        self._say(
            f"verified a receipt: entry {verified.entry.index} of {verified.checkpoint.size} in {receipt.log}"
        )

    def _verify(self, region: str) -> None:
        keys = read_log_keys(Path(settings.LOG_VKEYS_FILE))
        reports = verify_region(region=region, keys=keys, remembered={})
        if not all(report.holds for report in reports):
            raise CommandError("The log does not hold.")
        self._say(
            f"verified {sum(report.entries for report in reports)} entries of {len(reports)} logs"
        )

    def _resolve(self, reader: ServiceClient) -> None:
        digest = hashlib.sha256(first_prompt().encode()).hexdigest()
        purpose = {
            "code": "INCIDENT",
            "case": _CASE,
            "reason": "Showing how a hash resolves to its prompt",
        }
        _, answer = reader.call(
            "POST", "/api/v1/resolve", {"content_hash": f"sha256:{digest}", "purpose": purpose}
        )
        self._say(f"resolved sha256:{digest[:16]}… to: {answer['contents'][0]['content']}")
        self._say(f"that look is access record {answer['access_record']}")


def _people(tenant_slug: str) -> list[dict[str, str]]:
    logins = []
    for username, roles in _PEOPLE.items():
        password = secrets.token_urlsafe(12)
        create_person(username=username, password=password, tenant_slug=tenant_slug, roles=roles)
        login = {"username": username, "password": password}
        if set(roles) & roles_with_second_factor() and getattr(
            settings, "DEMO_SECOND_FACTORS", False
        ):
            # Type it into an authenticator app: the role sees content, and takes a second factor.
            login["second factor"] = seed_app(username=username)
        logins.append(login)
    return logins


def _token(regions: list[str], roles: list[Role]) -> str:
    return create_token(
        tenant_slug="demo",
        regions=regions,
        roles=[role.value for role in roles],
        lifetime=timedelta(hours=1),
        now=datetime.now(UTC),
        description="demo",
    )


def _wait_for(found: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + _CHECKPOINT_WAIT_SECONDS
    while (value := found()) is None:
        if time.monotonic() > deadline:
            raise ServiceCallError("The signer published no checkpoint in time.")
        time.sleep(0.2)
    return value


def _write_private(path: Path, content: dict[str, Any]) -> None:
    part = path.with_suffix(".part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(content, file, indent=1)
    part.replace(path)
