"""Reading what stands of requests and holds: recorded first, the first time of each window (ADR 26)."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings

from auditvault.access.credentials import Credential
from auditvault.access.events.services import Act as RecordedAct
from auditvault.access.windows.services import Before, record_first
from auditvault.core.policy.roles import Act
from auditvault.ledger.scope import RegionUnavailableError

READING = (Act.PREPARE_ERASURE, Act.APPROVE_ERASURE, Act.PLACE_HOLD, Act.READ_ACCESS_LOG)
"""One of these is needed: whoever works on requests, whose holds stop them, and an auditor."""


def record_look(*, credential: Credential, region: str, now: datetime) -> None:
    """Record that the caller looks at requests and holds of the region.

    Raises:
        RegionUnavailableError: the caller has no rights there.
        AccessNotRecordedError: it could not be written; nothing may be shown.
    """
    if region not in credential.regions:
        raise RegionUnavailableError("The caller has no rights in that region.")

    def reading(before: Before | None) -> RecordedAct:
        return RecordedAct(
            actor=credential.actor,
            actor_role=None,
            action="read_privacy",
            outcome="granted",
            details=before.details() if before else {},
        )

    record_first(
        region=region,
        tenant_id=credential.tenant_id,
        caller=credential.actor,
        what="read_privacy",
        window_seconds=settings.READ_WINDOW_SECONDS,
        act=reading,
        now=now,
    )
