"""Credentials of SCIM clients: made once, stored hashed, expiring, rotated with an overlap, revoked at once.

Not API tokens: one of these opens nothing but /scim/v2/, and an API token does not open that. The form is
`avs_<client's public id>_<secret>`. Entries and their order are those of `machine_tokens`.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from auditvault.access.custom_roles.services import regions_of
from auditvault.access.granting import rights_locked
from auditvault.access.models import Tenant
from auditvault.access.rights_log import OPERATOR_ACTOR, record_rights_in
from auditvault.access.scim.models import ScimClient, ScimSecret
from auditvault.core.errors import AuditvaultError
from auditvault.core.tlog.canonical import JsonValue

ENTRY_TYPE_CREATED = "scim_client.created"
ENTRY_TYPE_ROTATED = "scim_client.rotated"
ENTRY_TYPE_REVOKED = "scim_client.revoked"
MAX_LIFETIME = timedelta(days=366)
LONGEST_OVERLAP = timedelta(days=7)
_PREFIX = "avs"
_PUBLIC_BYTES, _SECRET_BYTES = 6, 32
_LAST_USED_RESOLUTION = timedelta(minutes=1)


class ScimTokenInvalidError(AuditvaultError):
    """The bearer token is missing, unknown, expired or revoked; which of these is not said."""

    code = "scim_token_invalid"


class ScimClientError(AuditvaultError):
    """There is no such client, or its credential cannot be made as asked."""

    code = "scim_client_invalid"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScimCaller:
    """The client that calls."""

    client: int
    public_id: str
    tenant_id: UUID

    @property
    def actor(self) -> str:
        """The client as it stands in records."""
        return f"scim:{self.public_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownClient:
    """What can be said of a client; never a secret."""

    public_id: str
    description: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None


def authenticate_client(token: str, *, now: datetime) -> ScimCaller:
    """The client behind a token; raises ScimTokenInvalidError, the same for every cause."""
    prefix, _, rest = token.partition("_")
    public_id, _, secret = rest.partition("_")
    live = (
        list(
            ScimSecret.objects.filter(
                client__public_id=public_id, expires_at__gt=now
            ).select_related("client")
        )
        if prefix == _PREFIX and _is_public_id(public_id)
        else []
    )
    digest = _hash(secret)
    for stored in live:
        if hmac.compare_digest(bytes(stored.secret_hash), digest):
            _touch(stored, now)
            return ScimCaller(
                client=stored.client_id,
                public_id=public_id,
                tenant_id=stored.client.tenant_id,
            )
    raise ScimTokenInvalidError("The bearer token is missing, unknown, expired or revoked.")


def create_client(
    *, tenant: Tenant, lifetime: timedelta, now: datetime, description: str = ""
) -> str:
    """Make a client of the tenant, as the operator, and return its token; it is never shown again.

    Raises ScimClientError, or what a region's database raises; then there is none.
    """
    _check_lifetime(lifetime)
    public_id, secret = secrets.token_hex(_PUBLIC_BYTES), secrets.token_urlsafe(_SECRET_BYTES)
    with rights_locked([], [tenant.pk]):
        said = _said(public_id) | {"expires_at": now + lifetime}
        _record_all(tenant.pk, ENTRY_TYPE_CREATED, said)
        client = ScimClient.objects.create(
            public_id=public_id, tenant=tenant, description=description
        )
        _store(client, secret, now + lifetime)
    return _token(public_id, secret)


def rotate_client(*, public_id: str, lifetime: timedelta, overlap: timedelta, now: datetime) -> str:
    """Give a client another secret; the ones that it has live on for `overlap`, and no longer than they would have.

    Raises ScimClientError, or what a region's database raises; then nothing has changed.
    """
    _check_lifetime(lifetime)
    if not timedelta() <= overlap <= LONGEST_OVERLAP:
        raise ScimClientError("The old secret lives on for at most 7 days.")
    client, secret = _client(public_id), secrets.token_urlsafe(_SECRET_BYTES)
    with rights_locked([], [client.tenant_id]):
        ends_at = now + overlap
        said = _said(public_id) | {"expires_at": now + lifetime, "old_ends_at": ends_at}
        _record_all(client.tenant_id, ENTRY_TYPE_ROTATED, said)
        ScimSecret.objects.filter(client=client, expires_at__gt=ends_at).update(expires_at=ends_at)
        _store(client, secret, now + lifetime)
    return _token(public_id, secret)


def revoke_client(*, public_id: str, now: datetime) -> None:
    """End a client's secrets at once; then record it. What it made stays, and `rotate_client` gives it a new secret.

    Raises ScimClientError, or what a region's database raises: revoked, and an entry missing until called again.
    """
    client = _client(public_id)
    ScimSecret.objects.filter(client=client, expires_at__gt=now).update(expires_at=now)
    _record_all(client.tenant_id, ENTRY_TYPE_REVOKED, _said(public_id))


def clients_of(tenant_id: UUID) -> list[KnownClient]:
    """The tenant's clients, newest first."""
    rows = ScimClient.objects.filter(tenant_id=tenant_id).order_by("-created_at", "-pk")
    return [_known(row) for row in rows.prefetch_related("secrets")]


def _known(row: ScimClient) -> KnownClient:
    kept = list(row.secrets.all())
    return KnownClient(
        public_id=row.public_id,
        description=row.description,
        created_at=row.created_at,
        expires_at=max((each.expires_at for each in kept), default=None),
        last_used_at=max((each.last_used_at for each in kept if each.last_used_at), default=None),
    )


def _client(public_id: str) -> ScimClient:
    found = ScimClient.objects.filter(public_id=public_id).first()
    if found is None:
        raise ScimClientError("There is no such client.")
    return found


def _check_lifetime(lifetime: timedelta) -> None:
    if not timedelta() < lifetime <= MAX_LIFETIME:
        raise ScimClientError("A secret lives between a second and 366 days.")


def _record_all(tenant_id: UUID, action: str, details: Mapping[str, JsonValue | datetime]) -> None:
    record_rights_in(regions_of(tenant_id), tenant_id=tenant_id, action=action, details=details)


def _said(public_id: str) -> dict[str, JsonValue | datetime]:
    return {"actor": OPERATOR_ACTOR, "client": f"scim:{public_id}"}


def _store(client: ScimClient, secret: str, expires_at: datetime) -> None:
    ScimSecret.objects.create(client=client, secret_hash=_hash(secret), expires_at=expires_at)


def _touch(stored: ScimSecret, now: datetime) -> None:
    if stored.last_used_at is None or stored.last_used_at < now - _LAST_USED_RESOLUTION:
        ScimSecret.objects.filter(pk=stored.pk).update(last_used_at=now)


def _token(public_id: str, secret: str) -> str:
    return f"{_PREFIX}_{public_id}_{secret}"


def _is_public_id(text: str) -> bool:
    return text.isascii() and text.isalnum() and len(text) == 2 * _PUBLIC_BYTES


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode(errors="surrogatepass")).digest()
