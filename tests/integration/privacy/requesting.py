"""Takes requests in and moves them as people of a tenant would."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from auditvault.core.policy.erasure import Action, Kind
from tests.staff import Person, make_person

MANIFEST = bytes(range(32))
TO_APPROVAL = (
    (Action.ASK_IDENTITY, None),
    (Action.VERIFY_IDENTITY, None),
    (Action.FREEZE, MANIFEST),
    (Action.ASSESS, None),
    (Action.ASK_APPROVAL, None),
)
WORDS = "Please delete everything about me. Erika Mustermann, Heidestrasse 17"


class Desk:
    """Who prepares and who approves requests of one tenant."""

    def __init__(self, tenant: Any) -> None:
        self.tenant = tenant
        self.operator: Person = make_person(tenant, "privacy_operator")
        self.officer: Person = make_person(tenant, "privacy_officer")

    def asked(self, **changes: Any) -> Any:
        from auditvault.privacy.requests.services import Calendar, NewRequest

        wanted = {
            "kind": Kind.ERASURE,
            "regime": "gdpr",
            "identifiers": (("user", "anna"), ("email", "Erika.Mustermann@example.org")),
            "received_at": datetime.now(UTC),
            "calendar": Calendar(country="DE", subdivision="BE", zone="Europe/Berlin"),
            "words": WORDS,
        }
        return NewRequest(**wanted | changes)

    def receive(self, *, by: Any = None, **changes: Any) -> Any:
        from auditvault.privacy.requests.services import receive_request

        return receive_request(
            region="eu",
            credential=(by or self.operator).signed_in(),
            asked=self.asked(**changes),
            now=datetime.now(UTC),
        )

    def move(self, request_id: UUID, action: Action, *, by: Any = None, **how: Any) -> Any:
        from auditvault.privacy.requests.services import move_request

        return move_request(
            region="eu",
            credential=(by or self.operator).signed_in(),
            request_id=request_id,
            action=action,
            now=datetime.now(UTC),
            **how,
        )

    def advance(self, request_id: UUID, action: Action, **how: Any) -> Any:
        from auditvault.privacy.requests.services import advance_request

        return advance_request(
            region="eu",
            tenant_id=self.tenant.tenant_id,
            request_id=request_id,
            action=action,
            now=datetime.now(UTC),
            **how,
        )

    def awaiting(self, **changes: Any) -> UUID:
        """A request that waits for approval."""
        request_id: UUID = self.receive(**changes).request_id
        for action, manifest in TO_APPROVAL:
            self.move(request_id, action, manifest=manifest)
        return request_id

    def stored(self, request_id: UUID) -> Any:
        """The request, its timeline and its tags."""
        from auditvault.ledger.scope import region_alias, tenant_scope
        from auditvault.privacy.requests.store import request_of, tags_of, timeline

        with tenant_scope(region_alias("eu"), self.tenant.tenant_id) as connection:
            return (
                request_of(connection, request_id),
                timeline(connection, request_id),
                tags_of(connection, request_id),
            )
