"""Proposes, approves and sets retention policies as people of a tenant would."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from auditvault.core.policy.retention_policy import RecordClass
from tests.staff import Person, make_person


def document(keep: str = "P90D", ceiling: str = "P100Y", **more: Any) -> bytes:
    """A policy that keeps each class that long; `classes` of payloads by name, `floors` as they are."""
    rules = [{"record_class": each.value, "keep": keep, "ceiling": ceiling} for each in RecordClass]
    rules += [
        {"record_class": "payload", "data_class": name, "keep": period, "ceiling": ceiling}
        for name, period in more.pop("classes", {}).items()
    ]
    policy = {
        "v": "auditvault/retention-policy/1",
        "text": "Decided by the board in its first meeting of the year.",
        "rules": rules,
    }
    return json.dumps(policy | more).encode()


class Records:
    """Whoever proposes policies of a tenant, and whoever approves what shortens them."""

    def __init__(self, tenant: Any) -> None:
        self.tenant = tenant
        self.manager: Person = make_person(tenant, "records_manager")
        self.legal: Person = make_person(tenant, "legal")

    def propose(self, data: bytes, *, now: datetime | None = None) -> Any:
        from auditvault.privacy.retention.services import propose_policy

        return propose_policy(
            region="eu",
            credential=self.manager.signed_in(),
            document=data,
            now=now or datetime.now(UTC),
        )

    def approval(self, data: bytes, *, is_given: bool = True) -> UUID:
        from auditvault.access.approvals.services import approve
        from auditvault.privacy.retention.services import ask_to_shorten

        now = datetime.now(UTC)
        asked = ask_to_shorten(
            region="eu",
            credential=self.manager.signed_in(),
            document=data,
            case="POLICY-1",
            now=now,
        )
        assert asked is not None
        if is_given:
            approve(
                credential=self.legal.signed_in(),
                region="eu",
                approval_id=asked.approval_id,
                now=now,
            )
        return UUID(str(asked.approval_id))

    def set(
        self, data: bytes, approval_id: UUID | None = None, *, by: Any = None, **when: Any
    ) -> Any:
        from auditvault.privacy.retention.services import set_policy

        return set_policy(
            region="eu",
            credential=(by or self.manager).signed_in(),
            document=data,
            approval_id=approval_id,
            now=when.get("now") or datetime.now(UTC),
        )

    def in_force(self, at: datetime) -> str | None:
        """The SHA-256 of what is in force then."""
        from auditvault.ledger.scope import region_alias, tenant_scope
        from auditvault.privacy.retention.selectors import policy_in_force

        with tenant_scope(region_alias("eu"), self.tenant.tenant_id) as connection:
            found = policy_in_force(connection, now=at)
        return found.sha256 if found else None
