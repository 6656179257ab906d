"""Takes a request for erasure from its intake to wherever a test wants it, in one region or two."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from auditvault.core.policy.erasure import Action
from tests.integration.ingest.sending import chat, protobuf_of, send
from tests.integration.privacy.requesting import Desk

BOTH = ("eu", "us")
LATER = timedelta(days=400)


class Officers(Desk):
    """People of both regions, and the workers of both."""

    def credential(self, person: Any) -> Any:
        """Of their token in both regions."""
        return replace(person.signed_in(), regions=BOTH)

    def ask(self, user: str = "anna", *, regions: tuple[str, ...] = ("us",)) -> UUID:
        """A request that was identified."""
        from auditvault.privacy.requests.services import receive_request

        asked = self.asked(identifiers=(("user", user),), regions=regions)
        request_id: UUID = receive_request(
            region="eu",
            credential=self.credential(self.operator),
            asked=asked,
            now=datetime.now(UTC),
        ).request_id
        self.move(request_id, Action.ASK_IDENTITY)
        self.move(request_id, Action.VERIFY_IDENTITY)
        return request_id

    def freeze(self, request_id: UUID, *, confirmed: int | None = None) -> Any:
        from auditvault.privacy.erasing.freezing import freeze

        return freeze(
            region="eu",
            credential=self.credential(self.operator),
            request_id=request_id,
            confirmed_subjects=confirmed,
            now=datetime.now(UTC),
        )

    def approve(self, request_id: UUID, *, by: Any = None) -> bytes:
        """Take it from identified to scheduled; what was approved."""
        digest: bytes = self.freeze(request_id).request.manifest
        self.move(request_id, Action.ASSESS)
        self.move(request_id, Action.ASK_APPROVAL)
        self.move(request_id, Action.APPROVE, by=by or self.officer, manifest=digest)
        return digest

    def approved(self, user: str = "anna", *, regions: tuple[str, ...] = ("us",)) -> UUID:
        """A request that was approved."""
        request_id = self.ask(user, regions=regions)
        self.approve(request_id)
        return request_id

    def state(self, request_id: UUID) -> str:
        stored, _, _ = self.stored(request_id)
        return str(stored.request.state.value)

    def actions(self, request_id: UUID) -> list[str]:
        """What moved it, in order."""
        _, timeline, _ = self.stored(request_id)
        return [step.action for step in timeline]

    def part(self, request_id: UUID, region: str = "eu") -> Any:
        from auditvault.ledger.scope import region_alias, tenant_scope
        from auditvault.privacy.erasing.store import part_of

        with tenant_scope(region_alias(region), self.tenant.tenant_id) as connection:
            return part_of(connection, request_id)

    def drive(self, request_id: UUID, *, now: datetime | None = None) -> int:
        from auditvault.privacy.erasing.driving import drive

        return drive(
            region="eu",
            tenant_id=self.tenant.tenant_id,
            request_id=request_id,
            now=now or datetime.now(UTC),
        )

    def carry_out(self, request_id: UUID, region: str, *, now: datetime | None = None) -> bool:
        from auditvault.privacy.erasing.executing import carry_out

        return carry_out(
            region=region,
            tenant_id=self.tenant.tenant_id,
            request_id=request_id,
            now=now or datetime.now(UTC),
        )

    def work(
        self, request_id: UUID, *, regions: tuple[str, ...] = BOTH, now: datetime | None = None
    ) -> str:
        """What the workers of these regions do until nothing moves; where the request is then."""
        moved = 1
        while moved:
            moved = self.drive(request_id, now=now)
            moved += sum(self.carry_out(request_id, region, now=now) for region in regions)
        return self.state(request_id)

    def certificate(self, request_id: UUID) -> bytes:
        from auditvault.ledger.scope import region_alias, tenant_scope
        from auditvault.privacy.erasing.store import certificate_of

        with tenant_scope(region_alias("eu"), self.tenant.tenant_id) as connection:
            return certificate_of(connection, request_id)


def say(client: Any, tenant: Any, *contents: str, user: str = "anna", region: str = "eu") -> None:
    """Record what somebody said, in a region."""
    body = protobuf_of(*(chat(content, user=user) for content in contents))
    headers = tenant.headers("ingest", regions=(region,))
    assert send(client, tenant, body, headers=headers).status_code == 200


def turn_epochs() -> None:
    """Let the keys of both regions turn, so that no backup of a keyring from before opens anything."""
    from auditvault.vault.epochs import turn
    from auditvault.vault.keyring.turning import NoEpochError

    for region in BOTH:
        # A region that has no keys yet has no backup of any.
        with suppress(NoEpochError):
            turn(region)
