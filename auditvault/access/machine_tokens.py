"""Tokens as something that is given: made, rotated and revoked by whoever gives roles, each an entry in each region.

Making and rotating show a secret, so whoever does it could use it: what the token may do counts as theirs, and is
refused where that would be too much for one. A token is another tenant's, or has a region where the caller gives no
roles: then it is not found, like one that there is not.

Making and rotating follow `granting`: entries first. **Revoking does not wait for a log**: the token is dead first, and
then it is recorded. A crash between, or a log that cannot be written, leaves a dead token without an entry; to revoke
it again writes what is missing and nothing else.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from auditvault.access.credentials import Credential
from auditvault.access.custom_roles.services import regions_where_giving
from auditvault.access.granting import OPERATOR, Giver, giver_in, rights_locked
from auditvault.access.humans import named_roles
from auditvault.access.models import ApiToken, Tenant, User
from auditvault.access.rights.models import TokenSuccessor
from auditvault.access.rights_log import is_recorded_in, record_rights, record_rights_in
from auditvault.access.tokens import MAX_LIFETIME, draft_token, is_public_id
from auditvault.core.errors import AuditvaultError
from auditvault.core.policy.approvals import HumanId
from auditvault.core.policy.roles import AccessDeniedError, Act, acts_of_roles
from auditvault.core.policy.separation import check_separation

ENTRY_TYPE_CREATED = "token.created"
ENTRY_TYPE_ROTATED = "token.rotated"
ENTRY_TYPE_REVOKED = "token.revoked"
LONGEST_OVERLAP = timedelta(days=7)


class TokenNotFoundError(AuditvaultError):
    """There is no such token where the caller gives roles."""

    code = "token_not_found"


class TokenNotLiveError(AuditvaultError):
    """The token is expired or revoked, or another has taken its place: it cannot be rotated."""

    code = "token_not_live"


class TokenOverlapError(AuditvaultError):
    """A rotated token would live on for too long."""

    code = "token_overlap_invalid"


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownToken:
    """What can be said of a token; never its secret."""

    public_id: str
    of_person: bool
    regions: tuple[str, ...]
    roles: tuple[str, ...]
    description: str
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None
    successor: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewToken:
    """A token that was just made, the one time that it is shown."""

    public_id: str
    token: str
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Maker:
    """Who makes tokens, where, and what they may do on the tenant; the operator's duties are not in this table."""

    giver: Giver
    regions: frozenset[str] | None
    held: frozenset[Act]


_OPERATOR = Maker(giver=OPERATOR, regions=None, held=frozenset())


def maker_of(credential: Credential, now: datetime) -> Maker:
    """The caller as somebody who makes tokens; raises as `giver_in`."""
    giver = giver_in(credential, credential.regions[0], now)
    return Maker(
        giver=giver,
        regions=frozenset(regions_where_giving(credential)),
        held=credential.held,
    )


def known_tokens(credential: Credential) -> list[KnownToken]:
    """The tenant's tokens in the regions where the caller gives roles, newest first; raises AccessDeniedError."""
    credential.role_for(Act.GRANT_ROLES)
    regions = regions_where_giving(credential) if credential.human else set(credential.regions)
    return tokens_in(credential.tenant_id, regions)


def tokens_in(tenant_id: UUID, regions: Collection[str] | None = None) -> list[KnownToken]:
    """The tenant's tokens, newest first; of `regions` alone where they are given."""
    rows = _visible(tenant_id, regions).order_by("-created_at", "-pk")
    successors = dict(
        TokenSuccessor.objects.filter(old__in=rows).values_list("old_id", "new__public_id")
    )
    return [_known(row, successors.get(row.pk)) for row in rows]


def create_machine_token(
    *,
    tenant: Tenant,
    regions: Collection[str],
    roles: Collection[str],
    lifetime: timedelta,
    now: datetime,
    description: str = "",
    person: User | None = None,
    strong_until: datetime | None = None,
    maker: Maker = _OPERATOR,
) -> NewToken:
    """Make a token; of a `person`, one that counts as them, and until `strong_until` as proved by a second factor.

    Raises:
        TokenRequestError, SeparationError, AccessDeniedError: it cannot be made as asked, or not by this maker.
        What a region's database raises. In all cases there is no such token.
    """
    _refuse_elsewhere(maker, regions)
    with rights_locked([person.human_id] if person else [], [tenant.pk]):
        if person:
            person.refresh_from_db(fields=["human"])
        draft = draft_token(
            tenant=tenant,
            regions=regions,
            roles=roles,
            expires_at=now + min(lifetime, MAX_LIFETIME + timedelta(seconds=1)),
            now=now,
            description=description,
            human=HumanId(person.human_id) if person else None,
            strong_until=strong_until if person else None,
        )
        _refuse_too_much(maker, draft.row)
        _record_all(draft.row, ENTRY_TYPE_CREATED, _details(maker, draft.row))
        token = draft.issue()
    return _new(draft.row, token)


def rotate_token(
    *,
    public_id: str,
    overlap: timedelta,
    now: datetime,
    tenant_id: UUID | None = None,
    maker: Maker = _OPERATOR,
) -> NewToken:
    """Make a token of the same scope, for as long as the old one was made for; the old one lives on for `overlap`.

    Raises:
        TokenOverlapError, TokenNotFoundError, TokenNotLiveError, SeparationError, AccessDeniedError: refused.
        What a region's database raises. In all cases the old token is as it was.
    """
    if not timedelta() <= overlap <= LONGEST_OVERLAP:
        raise TokenOverlapError("The old token lives on for at most 7 days.")
    tenant = _token(public_id, tenant_id, maker).tenant
    with rights_locked([], [tenant.pk]):
        old = _token(public_id, tenant_id, maker, lock=True)
        if maker is not _OPERATOR and old.human_id is not None:
            raise TokenNotFoundError(_NOT_FOUND)
        _refuse_dead(old, now)
        draft = draft_token(
            tenant=tenant,
            regions=old.regions,
            roles=old.roles,
            expires_at=now + min(old.expires_at - old.created_at, MAX_LIFETIME),
            now=now,
            description=old.description,
            human=HumanId(old.human_id) if old.human_id else None,
        )
        _refuse_too_much(maker, draft.row)
        old_ends_at = min(old.expires_at, now + overlap)
        details = _details(maker, old) | {
            "successor": _name(draft.row),
            "old_ends_at": old_ends_at,
        }
        _record_all(old, ENTRY_TYPE_ROTATED, details)
        token = draft.issue()
        TokenSuccessor.objects.create(old=old, new=draft.row)
        ApiToken.objects.filter(pk=old.pk).update(expires_at=old_ends_at)
    return _new(draft.row, token)


def revoke_known_token(
    *, public_id: str, now: datetime, tenant_id: UUID | None = None, maker: Maker = _OPERATOR
) -> None:
    """Revoke a token; it holds from the next request on, whether or not it can be recorded.

    Raises:
        TokenNotFoundError: there is none.
        What a region's database raises: it is revoked, and an entry is missing until this is called again.
    """
    with transaction.atomic():
        found = _token(public_id, tenant_id, maker, lock=True)
        ApiToken.objects.filter(pk=found.pk, revoked_at=None).update(revoked_at=now)
    details = {"token": _name(found)}
    for region in found.regions:
        _record_revoked(region, found.tenant_id, details, maker)


_NOT_FOUND = "There is no such token."


def _visible(tenant_id: UUID | None, regions: Collection[str] | None) -> QuerySet[ApiToken]:
    rows = ApiToken.objects.filter(tenant_id=tenant_id) if tenant_id else ApiToken.objects.all()
    return rows if regions is None else rows.filter(regions__contained_by=sorted(regions))


def _token(public_id: str, tenant_id: UUID | None, maker: Maker, *, lock: bool = False) -> ApiToken:
    rows = _visible(tenant_id, maker.regions)
    if lock:
        rows = rows.select_for_update(of=("self",))
    rows = rows.select_related("tenant").filter(public_id=public_id)
    found = rows.first() if is_public_id(public_id) else None
    if found is None:
        raise TokenNotFoundError(_NOT_FOUND)
    return found


def _refuse_elsewhere(maker: Maker, regions: Collection[str]) -> None:
    if maker.regions is not None and not set(regions) <= maker.regions:
        raise AccessDeniedError("You give no roles in one of these regions.")


def _refuse_too_much(maker: Maker, row: ApiToken) -> None:
    acts = acts_of_roles(named_roles(row.tenant_id, row.roles))
    check_separation(maker.held, more=acts)


def _refuse_dead(old: ApiToken, now: datetime) -> None:
    if old.revoked_at is not None or old.expires_at <= now:
        raise TokenNotLiveError("It is expired or revoked. Make a new one.")
    if TokenSuccessor.objects.filter(old=old).exists():
        raise TokenNotLiveError("Another token has its place already. Rotate that one.")


def _record_all(row: ApiToken, action: str, details: dict[str, Any]) -> None:
    record_rights_in(row.regions, tenant_id=row.tenant_id, action=action, details=details)


def _record_revoked(region: str, tenant_id: UUID, said: dict[str, str], maker: Maker) -> None:
    action = ENTRY_TYPE_REVOKED
    if not is_recorded_in(region=region, tenant_id=tenant_id, action=action, details=said):
        details = {**said, "actor": maker.giver.actor}
        record_rights(region=region, tenant_id=tenant_id, action=action, details=details)


def _details(maker: Maker, row: ApiToken) -> dict[str, Any]:
    return {
        "actor": maker.giver.actor,
        "token": _name(row),
        "of_person": row.human_id is not None,
        "roles": list(row.roles),
        "regions": list(row.regions),
        "expires_at": row.expires_at,
    }


def _name(row: ApiToken) -> str:
    """The token as it stands in records."""
    return f"token:{row.public_id}"


def _new(row: ApiToken, token: str) -> NewToken:
    return NewToken(public_id=row.public_id, token=token, expires_at=row.expires_at)


def _known(row: ApiToken, successor: str | None) -> KnownToken:
    return KnownToken(
        public_id=row.public_id,
        of_person=row.human_id is not None,
        regions=tuple(row.regions),
        roles=tuple(row.roles),
        description=row.description,
        created_at=row.created_at,
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
        revoked_at=row.revoked_at,
        successor=successor,
    )
