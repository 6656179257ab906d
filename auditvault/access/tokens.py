"""Machine tokens: made once, stored hashed, checked on every request.

A token is `av_<public id>_<secret>`. The secret is 256 random bits, so a plain SHA-256 of it is as hard to reverse as
the secret is to guess. Revocation holds from the next request on, because every request reads the row.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from django.db.models import Q

from auditvault.access.credentials import Credential
from auditvault.access.humans import acts_of, named_roles, roles_of_human
from auditvault.access.identity.strength import strong_roles
from auditvault.access.models import ApiToken, Tenant, TenantRegion
from auditvault.core.errors import AuditvaultError
from auditvault.core.policy.approvals import HumanId
from auditvault.core.policy.roles import CUSTOM_PREFIX, AnyRole, Role, acts_of_roles
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


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenDraft:
    """A token that was checked and does not exist yet: what is to be recorded can be, before it does."""

    row: ApiToken
    secret: str

    def issue(self) -> str:
        """Store it, and return the token; it is never shown again."""
        self.row.save(force_insert=True)
        return f"{_PREFIX}_{self.row.public_id}_{self.secret}"


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
    """Make a token, without an entry of it, and return it. Of a `human`, it can do no more than they can.

    Raises as `draft_token`.
    """
    return draft_token(
        tenant=tenant_of(tenant_slug),
        regions=regions,
        roles=roles,
        expires_at=now + lifetime,
        now=now,
        description=description,
        human=human,
        strong_until=strong_until,
    ).issue()


def tenant_of(slug: str) -> Tenant:
    """The tenant of that short name; raises TokenRequestError."""
    found = Tenant.objects.filter(slug=slug).first()
    if found is None:
        raise TokenRequestError(f"There is no tenant {slug!r}.")
    return found


def is_public_id(text: str) -> bool:
    """Whether a token's public id can look like that."""
    return text.isascii() and text.isalnum() and len(text) == 2 * _PUBLIC_BYTES


def tenant_with_id(tenant_id: UUID) -> Tenant:
    """The tenant of a credential."""
    return Tenant.objects.get(pk=tenant_id)


def draft_token(
    *,
    tenant: Tenant,
    regions: Collection[str],
    roles: Collection[str],
    expires_at: datetime,
    now: datetime,
    description: str = "",
    human: HumanId | None = None,
    strong_until: datetime | None = None,
) -> TokenDraft:
    """A token as it is asked for, with a secret of its own.

    Raises:
        TokenRequestError: an unknown region or role, one that the human does not have, or a lifetime out of range.
        SeparationError: the roles together allow what must be in two hands.
    """
    asked = _roles_asked(tenant, roles)
    check_separation((), more=acts_of_roles(asked))
    own = set(TenantRegion.objects.filter(tenant=tenant).values_list("region", flat=True))
    if not regions or not set(regions) <= own:
        raise TokenRequestError(f"The tenant's regions are: {', '.join(sorted(own)) or 'none'}.")
    if human and asked != _roles_left(asked, regions, roles_of_human(human, tenant.tenant_id)):
        raise TokenRequestError("A person's token can only have roles that the person has there.")
    if not timedelta() < expires_at - now <= MAX_LIFETIME:
        raise TokenRequestError("A token lives between a second and 366 days.")
    secret = secrets.token_urlsafe(_SECRET_BYTES)
    row = ApiToken(
        public_id=secrets.token_hex(_PUBLIC_BYTES),
        secret_hash=_hash(secret),
        tenant=tenant,
        regions=sorted(set(regions)),
        roles=sorted(set(roles)),
        expires_at=expires_at,
        description=description,
        human_id=human,
        strong_until=strong_until,
    )
    return TokenDraft(row=row, secret=secret)


def _roles_asked(tenant: Tenant, roles: Collection[str]) -> frozenset[AnyRole]:
    if not roles:
        raise TokenRequestError("Name a role.")
    fixed = {role.value for role in Role}
    unknown = {role for role in roles if role not in fixed and not role.startswith(CUSTOM_PREFIX)}
    found = named_roles(tenant.tenant_id, set(roles) - unknown)
    missing = sorted(set(roles) - {role.value for role in found})
    if missing:
        raise TokenRequestError(
            f"Unknown role {missing[0]!r}; choose from {', '.join(Role)}, or the tenant's own."
        )
    return found


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
    well_formed = prefix == _PREFIX and is_public_id(public_id)
    found = _stored(public_id) if well_formed else None
    stored = found.secret_hash if found else bytes(32)
    matches = hmac.compare_digest(stored, _hash(secret))
    if found is None or not matches or found.revoked_at is not None or found.expires_at <= now:
        raise TokenInvalidError("The bearer token is missing, unknown, expired or revoked.")
    if found.last_used_at is None or found.last_used_at < now - _LAST_USED_RESOLUTION:
        _touch(public_id, now)
    roles = named_roles(found.tenant_id, found.roles)
    human = found.human_id
    by_region = roles_of_human(human, found.tenant_id) if human else {}
    return Credential(
        actor=f"token:{public_id}",
        tenant_id=found.tenant_id,
        regions=tuple(found.regions),
        roles=_roles_left(roles, found.regions, by_region) if human else roles,
        human=human,
        held=acts_of(by_region),
        strong_until=found.strong_until if (found.strong_until or now) > now else None,
        strong_roles=strong_roles(),
    )


def _roles_left(
    roles: frozenset[AnyRole], regions: Collection[str], by_region: Mapping[str, frozenset[AnyRole]]
) -> frozenset[AnyRole]:
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
