"""Delivering alerts: claim one that is due, tell one receiver, say how it went.

1. A delivery is claimed: for the lease it is nobody else's.    Crash after: due again after the lease.
2. The receiver is told, outside any transaction.              Crash after: told again, under the same message id.
3. How it went is written, if no other attempt began since.    Crash before: as in 2.

The first delivery of an alert is to nobody: it asks the control database who the receivers are, and makes a delivery
for each. A receiver that is down, slow or hostile delays its own deliveries only, up to a bound, and then they are
given up, which is counted (`auditvault_alert_deliveries`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from auditvault.access.alerts.mailing import MailFailedError, send_mail
from auditvault.access.alerts.messages import AlertMessage
from auditvault.access.alerts.posting import PostFailedError, post
from auditvault.access.receivers.addressees import NOBODY, address_of, addressees, hook_of
from auditvault.access.receivers.secrets import SecretLostError
from auditvault.core.crypto.webhooks import signed_headers
from auditvault.core.errors import AuditvaultError
from auditvault.core.policy.addresses import AddressRefusedError, UrlRefusedError
from auditvault.core.policy.alerts import wait_after
from auditvault.core.tlog.canonical import parse_canonical
from auditvault.ledger.scope import region_alias, tenant_scope

log = logging.getLogger("auditvault.alerts")

LEASE = timedelta(minutes=2)
"""Longer than telling one receiver may take."""
POST_SECONDS = 10.0
# A round ends, so that who is due first now is asked again; the next one is seconds away.
_ROUND_SECONDS = 60.0
_MOST_IN_A_ROUND = 200
_NIL = UUID(int=0)

Clock = Callable[[], datetime]


class _GoneError(AuditvaultError):
    """There is nobody to tell any more; no later attempt would change that."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A delivery that is ours for the lease."""

    receiver_id: UUID
    recipient_id: UUID
    attempt: int
    message: AlertMessage

    @property
    def key(self) -> tuple[UUID, UUID, UUID, UUID]:
        """As the table has it."""
        return (
            self.message.tenant_id,
            self.message.alert_id,
            self.receiver_id,
            self.recipient_id,
        )


def deliver_due(region: str, *, clock: Clock, post_seconds: float = POST_SECONDS) -> int:
    """Deliver what is due in the region, for a minute at most; returns how many attempts were made."""
    began, attempts = time.monotonic(), 0
    while attempts < _MOST_IN_A_ROUND and time.monotonic() - began < _ROUND_SECONDS:
        claimed = claim(region)
        if claimed is None:
            break
        attempts += 1
        if claimed.receiver_id == _NIL:
            _distribute(region, claimed)
        else:
            _deliver(region, claimed, clock, post_seconds)
    return attempts


def claim(region: str, lease: timedelta = LEASE) -> Claimed | None:
    """The delivery that has waited longest; None where none is due that nobody else holds."""
    with tenant_scope(region_alias(region), _NIL) as connection:
        row: tuple[Any, ...] | None = connection.execute(
            "SELECT tenant_id, alert_id, receiver_id, recipient_id, attempts, kind, raised_at, details"
            " FROM auditvault_claim_delivery(%s)",
            (lease,),
        ).fetchone()
    if row is None:
        return None
    tenant_id, alert_id, receiver_id, recipient_id, attempt, kind, raised_at, body = row
    details = parse_canonical(bytes(body))
    return Claimed(
        receiver_id=receiver_id,
        recipient_id=recipient_id,
        attempt=attempt,
        message=AlertMessage(
            alert_id=alert_id,
            tenant_id=tenant_id,
            region=region,
            kind=kind,
            raised_at=raised_at,
            details=details if isinstance(details, dict) else {},
        ),
    )


def _distribute(region: str, claimed: Claimed) -> None:
    message = claimed.message
    found = addressees(tenant_id=message.tenant_id, region=region, kind=message.kind)
    if not found:
        log.critical("alert %s (%s): there is nobody to tell", message.alert_id, message.kind)
    with tenant_scope(region_alias(region), _NIL) as connection:
        connection.execute(
            "SELECT auditvault_distribute_alert(%s, %s, %s, %s::uuid[], %s::uuid[])",
            (
                message.tenant_id,
                message.alert_id,
                claimed.attempt,
                [each.receiver_id for each in found],
                [each.recipient_id for each in found],
            ),
        )


def _deliver(region: str, claimed: Claimed, clock: Clock, post_seconds: float) -> None:
    try:
        outcome, delivered, again = _tell(claimed, clock(), post_seconds), True, None
    except (PostFailedError, MailFailedError) as error:
        outcome, delivered, again = error.reason, False, wait_after(claimed.attempt)
    except (AddressRefusedError, UrlRefusedError, SecretLostError) as error:
        # The address may be another one next time, and a setting may be put right.
        outcome, delivered, again = error.code, False, wait_after(claimed.attempt)
    except _GoneError as error:
        outcome, delivered, again = error.reason, False, None
    end(region, claimed, delivered=delivered, outcome=outcome, again_after=again)
    if not delivered and again is None:
        log.critical(
            "alert %s (%s) did not reach receiver %s: %s",
            claimed.message.alert_id,
            claimed.message.kind,
            claimed.receiver_id,
            outcome,
        )


def _tell(claimed: Claimed, now: datetime, post_seconds: float) -> str:
    """Tell the receiver; returns a word for the record."""
    message = claimed.message
    if claimed.recipient_id != NOBODY:
        address = address_of(claimed.recipient_id)
        if not address:
            raise _GoneError("no_address")
        send_mail(
            to=address,
            subject=message.subject(),
            text=message.text(),
            message_id=f"{message.alert_id}.{claimed.recipient_id}@auditvault.invalid",
        )
        return "mailed"
    hook = hook_of(claimed.receiver_id, now)
    if hook is None:
        raise _GoneError("receiver_removed")
    body = message.body()
    headers = signed_headers(
        body,
        message_id=str(message.alert_id),
        timestamp=int(now.timestamp()),
        secrets=hook.secrets,
    )
    headers |= {"Content-Type": "application/json", "User-Agent": "auditvault"}
    return f"status_{post(hook.url, body, headers=headers, seconds=post_seconds)}"


def end(
    region: str, claimed: Claimed, *, delivered: bool, outcome: str, again_after: timedelta | None
) -> bool:
    """Write how an attempt ended; False where another one has begun since."""
    with tenant_scope(region_alias(region), _NIL) as connection:
        row = connection.execute(
            "SELECT auditvault_end_delivery(%s, %s, %s, %s, %s, %s, %s, %s)",
            (*claimed.key, claimed.attempt, delivered, outcome, again_after),
        ).fetchone()
    return bool(row and row[0])
