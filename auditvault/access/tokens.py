"""Machine tokens: made once, stored hashed, checked on every request.

A token is `av_<public id>_<secret>`. The secret is 256 random bits, so a plain SHA-256 of it is as hard to reverse as
the secret is to guess. Revocation holds from the next request on, because every request reads the row.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from django.db.models import Q

from auditvault.access.credentials import Credential
from auditvault.access.humans import acts_of, roles_of_human
from auditvault.access.models import ApiToken, Tenant, TenantRegion
from auditvault.core.errors import AuditvaultError
from auditvault.core.policy.approvals import HumanId
from auditvault.core.policy.roles import ALLOWED, Role
from auditvault.core.policy.separation import check_separation
from auditvault.ledger.scope import usable_connection

_PREFIX = "av"
_PUBLIC_BYTES = 6
_SECRET_BYTES = 32
# `last_used_at` is for people; once a minute is often enough, and spares a write a request.
_LAST_USED_RESOLUTION = timedelta(minutes=1)
MAX_LIFETIME = timedelta(days=366)
_FIND_CREDENTIAL = (
    "SELECT secret_hash, tenant_id, regions, roles, expires_at, revoked_at, last_used_at, human_id, strong_until"
    " FROM access_apitoken WHERE public_id = %s"
)


class TokenInvalidError(AuditvaultError):
    """The token is malformed, unknown, expired or revoked; which of these is not said."""

    code = "token_invalid"


class TokenRequestError(AuditvaultError):
    """A token cannot be made as asked."""

    code = "token_request_invalid"


def create_token(
    *,
    tenant_slug: str,
    regions: Collection[str],
    roles: Collection[str],
    lifetime: timedelta,
    now: datetime,
    description: str = "",
    human: HumanId | None = None,
    strong_until: datetime | None = None,
) -> str:
    """Make a token and return it; it is never shown again. Of a `human`, it can do no more than they can.

    Raises:
        TokenRequestError: an unknown tenant, region or role, one that the human does not have, or a lifetime out of
            range.
        SeparationError: the roles together allow what must be in two hands.
    """
    unknown = sorted(set(roles) - {role.value for role in Role})
    if unknown or not roles:
        raise TokenRequestError(
            f"Unknown role {unknown[0]!r}; choose from {', '.join(Role)}."
            if unknown
            else "Name a role."
        )
    check_separation((), more={act for role in roles for act in ALLOWED[Role(role)]})
    tenant = Tenant.objects.filter(slug=tenant_slug).first()
    if tenant is None:
        raise TokenRequestError(f"There is no tenant {tenant_slug!r}.")
    own = set(TenantRegion.objects.filter(tenant=tenant).values_list("region", flat=True))
    if not regions or not set(regions) <= own:
        raise TokenRequestError(f"The tenant's regions are: {', '.join(sorted(own)) or 'none'}.")
    asked = frozenset(Role(role) for role in roles)
    if human and asked != _roles_left(asked, regions, roles_of_human(human, tenant.tenant_id)):
        raise TokenRequestError("A person's token can only have roles that the person has there.")
    if not timedelta() < lifetime <= MAX_LIFETIME:
        raise TokenRequestError("A token lives between a second and 366 days.")
    public_id = secrets.token_hex(_PUBLIC_BYTES)
    secret = secrets.token_urlsafe(_SECRET_BYTES)
    ApiToken.objects.create(
        public_id=public_id,
        secret_hash=_hash(secret),
        tenant=tenant,
        regions=sorted(set(regions)),
        roles=sorted(set(roles)),
        expires_at=now + lifetime,
        description=description,
        human_id=human,
        strong_until=strong_until,
    )
    return f"{_PREFIX}_{public_id}_{secret}"


class _StoredToken(NamedTuple):
    secret_hash: bytes
    tenant_id: UUID
    regions: list[str]
    roles: list[str]
    expires_at: datetime
    revoked_at: datetime | None
    last_used_at: datetime | None
    human_id: HumanId | None
    strong_until: datetime | None


def authenticate(token: str, *, now: datetime) -> Credential:
    """The credential behind a token; raises TokenInvalidError, the same for every cause."""
    prefix, _, rest = token.partition("_")
    public_id, _, secret = rest.partition("_")
    well_formed = prefix == _PREFIX and public_id.isalnum() and len(public_id) == 2 * _PUBLIC_BYTES
    found = _stored(public_id) if well_formed else None
    stored = found.secret_hash if found else bytes(32)
    matches = hmac.compare_digest(stored, _hash(secret))
    if found is None or not matches or found.revoked_at is not None or found.expires_at <= now:
        raise TokenInvalidError("The bearer token is missing, unknown, expired or revoked.")
    if found.last_used_at is None or found.last_used_at < now - _LAST_USED_RESOLUTION:
        _touch(public_id, now)
    roles = frozenset(Role(role) for role in found.roles)
    human = found.human_id
    by_region = roles_of_human(human, found.tenant_id) if human else {}
    return Credential(
        actor=f"token:{public_id}",
        tenant_id=found.tenant_id,
        regions=tuple(found.regions),
        roles=_roles_left(roles, found.regions, by_region) if human else roles,
        human=human,
        held=acts_of(by_region),
        strong_until=found.strong_until,
    )


def _roles_left(
    roles: frozenset[Role], regions: Collection[str], by_region: Mapping[str, frozenset[Role]]
) -> frozenset[Role]:
    """The roles of a person's token that the person still has, in all of its regions."""
    for region in regions:
        roles &= by_region.get(region, frozenset())
    return roles


def _stored(public_id: str) -> _StoredToken | None:
    """The row, straight from the driver: every request asks, and the ORM costs four times the query."""
    row = usable_connection("default").execute(_FIND_CREDENTIAL, (public_id,)).fetchone()
    return _StoredToken(bytes(row[0]), *row[1:]) if row else None


def revoke_token(public_id: str, *, now: datetime) -> bool:
    """Revoke a token; False where there is no live token of that id."""
    return bool(
        ApiToken.objects.filter(public_id=public_id, revoked_at=None).update(revoked_at=now)
    )


def _touch(public_id: str, now: datetime) -> None:
    stale = Q(last_used_at=None) | Q(last_used_at__lt=now - _LAST_USED_RESOLUTION)
    ApiToken.objects.filter(stale, public_id=public_id).update(last_used_at=now)


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
