"""Telling recipients of a person's data that it was erased (GDPR Art. 19), and what became of that.

A recipient is a webhook of the tenant's that was made for notices. Who they are is frozen with the manifest. A notice
is raised in the transaction in which the verification is confirmed: both are there or neither is. From there on it goes
the way of alerts: signed, retried, given up in the end, never to an address inside.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

import psycopg

from auditvault.access.alerts.selectors import deliveries_of
from auditvault.access.alerts.services import raise_within
from auditvault.access.receivers.addressees import recipients_of_notices
from auditvault.core.policy.alerts import AlertKind
from auditvault.core.policy.erasure import Kind
from auditvault.core.policy.manifest import Manifest
from auditvault.core.tlog.canonical import JsonValue
from auditvault.core.tlog.request_certificate import Recipient
from auditvault.ledger.services import format_instant
from auditvault.privacy.requests.store import RequestRecord


def recipients(record: RequestRecord, region: str) -> tuple[UUID, ...]:
    """Whoever is to be told of what the request erases in the region, ascending; nobody where it erases nothing."""
    if record.request.kind is not Kind.ERASURE:
        return ()
    kind = AlertKind.ERASURE_NOTICE.value
    return tuple(recipients_of_notices(tenant_id=record.tenant_id, region=region, kind=kind))


def tell_recipients(
    connection: psycopg.Connection[Any], region: str, record: RequestRecord, manifest: Manifest
) -> None:
    """Raise the notice inside the caller's transaction, where the manifest names somebody to tell."""
    if manifest.recipient_ids:
        raise_within(
            connection,
            tenant_id=record.tenant_id,
            region=region,
            kind=AlertKind.ERASURE_NOTICE,
            details=_details(record),
        )


def recipients_told(
    connection: psycopg.Connection[Any], record: RequestRecord, manifest: Manifest
) -> tuple[Recipient, ...] | None:
    """How each recipient of the manifest was told, for the certificate; None while one is still to be tried."""
    if not manifest.recipient_ids:
        return ()
    found = deliveries_of(connection, kind=AlertKind.ERASURE_NOTICE, details=_details(record))
    if found is None:
        return None
    told = {each.receiver_id: each for each in found}
    if any(each in told and told[each].is_due for each in manifest.recipient_ids):
        return None
    return tuple(
        Recipient(
            recipient_id=str(each),
            # One that was removed before it was told has no delivery, and no attempt.
            attempts=told[each].attempts if each in told else 0,
            acknowledged_at=(
                format_instant(at) if each in told and (at := told[each].delivered_at) else None
            ),
        )
        for each in manifest.recipient_ids
    )


def _details(record: RequestRecord) -> dict[str, JsonValue]:
    """The same for each look: the notice is found by them."""
    return {
        "request": str(record.request_id),
        "kind": record.request.kind.value,
        "regime": record.regime,
        "manifest": (record.request.approved_manifest or b"").hex(),
    }
