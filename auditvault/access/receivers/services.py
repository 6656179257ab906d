"""Receivers of alerts: made, listed, given a new secret, removed.

Who takes a receiver away could act unseen afterwards. So each change is recorded in the tenant's admin log first, in
every region of the tenant's that this process serves; a change that cannot be recorded is not made. A crash in between
leaves an entry of a change that did not happen.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

from django.conf import settings

from auditvault.access.granting import ROLES_OF_PEOPLE
from auditvault.access.models import TenantRegion
from auditvault.access.receivers.models import Receiver
from auditvault.access.receivers.secrets import seal_secret
from auditvault.core.crypto.webhooks import SECRET_SIZE, secret_text
from auditvault.core.errors import AuditvaultError
from auditvault.core.policy.addresses import AddressRefusedError, UrlRefusedError, check_url
from auditvault.core.policy.alerts import AlertKind
from auditvault.core.tlog.canonical import JsonValue
from auditvault.ledger.admin.services import admin_log, new_record_id, record_in
from auditvault.ledger.scope import region_alias, tenant_scope

ENTRY_TYPE_CHANGED = "alert_receiver.changed"
MAX_RECEIVERS = 50
MAX_URL = 2000
OVERLAP = timedelta(hours=24)
"""How long a webhook's messages bear the old secret's signature as well as the new one's."""


class ReceiverInvalidError(AuditvaultError):
    """A receiver cannot be made as asked."""

    code = "receiver_invalid"


class ReceiverNotFoundError(AuditvaultError):
    """The tenant has no such receiver."""

    code = "receiver_not_found"


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownReceiver:
    """A receiver, without its secret; of a webhook's URL the host alone, since a path may be a secret as well."""

    receiver_id: UUID
    role: str
    host: str
    regions: tuple[str, ...]
    kinds: tuple[str, ...]
    created_at: datetime


def add_webhook(
    *,
    tenant_id: UUID,
    url: str,
    actor: str,
    regions: Collection[str] = (),
    kinds: Collection[str] = (),
) -> tuple[UUID, str]:
    """Make a webhook; returns its id and its secret, which is never shown again. `actor` is who asks.

    Raises:
        UrlRefusedError, AddressRefusedError: it cannot be a receiver's URL.
        ReceiverInvalidError: an unknown region or kind, or too many receivers.
    """
    _check_url(url)
    receiver_id, secret = uuid4(), os.urandom(SECRET_SIZE)
    _make(
        tenant_id,
        regions,
        kinds,
        actor,
        receiver_id=receiver_id,
        url=url,
        secret=seal_secret(secret, receiver_id=receiver_id),
    )
    return receiver_id, secret_text(secret)


def add_role(
    *,
    tenant_id: UUID,
    role: str,
    actor: str,
    regions: Collection[str] = (),
    kinds: Collection[str] = (),
) -> UUID:
    """Have the people with a role written to; raises ReceiverInvalidError."""
    if role not in ROLES_OF_PEOPLE:
        raise ReceiverInvalidError(f"Choose from {', '.join(ROLES_OF_PEOPLE)}.")
    receiver_id = uuid4()
    _make(tenant_id, regions, kinds, actor, receiver_id=receiver_id, role=role)
    return receiver_id


def renew_secret(*, tenant_id: UUID, receiver_id: UUID, actor: str, now: datetime) -> str:
    """Give a webhook a new secret and return it; messages bear both signatures for OVERLAP.

    Raises ReceiverNotFoundError.
    """
    found = _of_tenant(tenant_id, receiver_id)
    if not found.url:
        raise ReceiverNotFoundError("There is no such webhook.")
    secret = os.urandom(SECRET_SIZE)
    _record(tenant_id, actor, "secret_renewed", found)
    Receiver.objects.filter(pk=receiver_id).update(
        secret=seal_secret(secret, receiver_id=receiver_id),
        secret_before=found.secret,
        before_until=now + OVERLAP,
    )
    return secret_text(secret)


def remove_receiver(*, tenant_id: UUID, receiver_id: UUID, actor: str, now: datetime) -> None:
    """Tell a receiver nothing any more, and forget its secret; raises ReceiverNotFoundError."""
    found = _of_tenant(tenant_id, receiver_id)
    _record(tenant_id, actor, "removed", found)
    forgotten = b"" if found.secret is not None else None
    Receiver.objects.filter(pk=receiver_id).update(
        removed_at=now, secret=forgotten, secret_before=None, before_until=None
    )


def receivers_of(tenant_id: UUID) -> list[KnownReceiver]:
    """The tenant's receivers, oldest first."""
    rows = Receiver.objects.filter(tenant_id=tenant_id, removed_at=None).order_by("created_at")
    return [
        KnownReceiver(
            receiver_id=row.receiver_id,
            role=row.role,
            host=urlsplit(row.url).hostname or "" if row.url else "",
            regions=tuple(row.regions),
            kinds=tuple(row.kinds),
            created_at=row.created_at,
        )
        for row in rows
    ]


def _check_url(url: str) -> None:
    """What can be said without asking the DNS: it is asked when there is something to send, and may answer anew."""
    if len(url) > MAX_URL or not url.isascii() or not url.isprintable():
        raise UrlRefusedError("The URL is malformed.")
    scheme, host, _port = check_url(url)
    if scheme != "https" and not settings.OUTBOUND_ALLOWED_NETWORKS:
        raise UrlRefusedError("A webhook's URL must be https.")
    if host == "localhost" and not settings.OUTBOUND_ALLOWED_NETWORKS:
        raise AddressRefusedError("This service does not connect to itself.")


def _make(
    tenant_id: UUID, regions: Collection[str], kinds: Collection[str], actor: str, **fields: Any
) -> None:
    own = set(TenantRegion.objects.filter(tenant_id=tenant_id).values_list("region", flat=True))
    if not own:
        raise ReceiverInvalidError("There is no such tenant.")
    if not set(regions) <= own:
        raise ReceiverInvalidError(f"The tenant's regions are: {', '.join(sorted(own))}.")
    if not set(kinds) <= set(AlertKind):
        raise ReceiverInvalidError(f"Kinds of alerts are: {', '.join(AlertKind)}.")
    if Receiver.objects.filter(tenant_id=tenant_id, removed_at=None).count() >= MAX_RECEIVERS:
        raise ReceiverInvalidError(f"A tenant has at most {MAX_RECEIVERS} receivers.")
    made = Receiver(
        tenant_id=tenant_id, regions=sorted(set(regions)), kinds=sorted(set(kinds)), **fields
    )
    _record(tenant_id, actor, "added", made)
    made.save()


def _record(tenant_id: UUID, actor: str, change: str, receiver: Receiver) -> None:
    """Which receiver and which change; neither address nor secret."""
    details: dict[str, JsonValue] = {
        "receiver": str(receiver.receiver_id),
        "change": change,
        "actor": actor,
        "regions": list(receiver.regions),
        "kinds": list(receiver.kinds),
        **({"role": receiver.role} if receiver.role else {"webhook": True}),
    }
    own = TenantRegion.objects.filter(tenant_id=tenant_id, region__in=settings.REGIONS)
    for region in own.order_by("region").values_list("region", flat=True):
        log = admin_log(region, tenant_id)
        with tenant_scope(region_alias(region), tenant_id) as connection:
            record_id = new_record_id(connection)
            record_in(
                connection, log, record_id=record_id, action=ENTRY_TYPE_CHANGED, details=details
            )


def _of_tenant(tenant_id: UUID, receiver_id: UUID) -> Receiver:
    found = Receiver.objects.filter(
        tenant_id=tenant_id, receiver_id=receiver_id, removed_at=None
    ).first()
    if found is None:
        raise ReceiverNotFoundError("There is no such receiver.")
    return found
