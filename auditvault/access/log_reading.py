"""Reading a log itself: entries, which are recorded each time, and what proves them, which is not.

Entries, checkpoints, proofs and tiles hold no personal data and no content (docs/spec/entry.md). A client that follows
a log fetches tiles for as long as it lives, and an access record of each would be an entry of a log that it follows:
the log would feed on its own reading. So of proofs the first read of a window is recorded, for each caller and log,
with how many there were in the last window before (docs/adr/0026-what-reading-records.md).
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.conf import settings

from auditvault.access.credentials import Credential
from auditvault.access.events.services import Act as RecordedAct
from auditvault.access.events.services import record_act
from auditvault.access.windows.services import Before, record_first
from auditvault.core.policy.access import Act
from auditvault.core.tlog.canonical import JsonValue
from auditvault.ledger import selectors as ledger
from auditvault.ledger.logs import LogRef
from auditvault.ledger.scope import region_alias, tenant_scope


def record_proof_read(
    *, credential: Credential, region: str, log: LogRef | None, now: datetime
) -> None:
    """Record that the caller reads what proves a log, or without one a record or the list of logs.

    Raises:
        AccessNotRecordedError: nothing may be read.
    """
    place: dict[str, JsonValue] = {"log": log.origin.rpartition("/")[2]} if log else {}

    def read(before: Before | None) -> RecordedAct:
        return RecordedAct(
            actor=credential.actor,
            actor_role=None,
            action="read_proofs",
            outcome="granted",
            details={**place, **(before.details() if before else {})},
        )

    record_first(
        region=region,
        tenant_id=credential.tenant_id,
        caller=credential.actor,
        what=f"read_proofs {log.log_id if log else '-'}",
        window_seconds=settings.READ_WINDOW_SECONDS,
        act=read,
        now=now,
    )


def list_entries(
    *, credential: Credential, region: str, log: LogRef, start: int, end: int, now: datetime
) -> list[tuple[int, UUID, bytes]]:
    """Index, record id and bytes of entries, once the look is recorded with their range and number.

    Raises:
        AccessDeniedError, ProofRangeError, EntryPrunedError, AccessNotRecordedError.
    """
    role = credential.role_for(Act.READ_LOG)
    with tenant_scope(region_alias(region), log.tenant_id) as connection:
        found = ledger.entries(connection, log, start=start, end=end)
    act = RecordedAct(
        actor=credential.actor,
        actor_role=role.value,
        action="list_entries",
        outcome="granted",
        details={
            "log": log.origin.rpartition("/")[2],
            "start": start,
            "end": end,
            "rows": len(found),
        },
    )
    record_act(region=region, tenant_id=credential.tenant_id, act=act, now=now)
    return found
