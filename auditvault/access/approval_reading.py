"""Reading approvals, grants, break-glass and bases: recorded first, the first of each window (ADR 26)."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.conf import settings

from auditvault.access.approvals import selectors as approvals
from auditvault.access.approvals.selectors import ApprovalPage
from auditvault.access.approvals.store import ApprovalRecord
from auditvault.access.break_glass import store as break_glass
from auditvault.access.break_glass.selectors import BreakGlassPage, break_glass_page
from auditvault.access.credentials import Credential
from auditvault.access.events.services import Act as RecordedAct
from auditvault.access.grants import selectors as grants
from auditvault.access.grants.selectors import GrantPage, GrantShown
from auditvault.access.sealed_words import WordsNotFoundError, reveal_words, sealed_with
from auditvault.access.transfers import services as transfers
from auditvault.access.transfers.store import BasisRecord
from auditvault.access.windows.services import Before, record_first
from auditvault.core.policy.roles import Act
from auditvault.ledger.scope import region_alias, tenant_scope


def list_approvals(
    *,
    credential: Credential,
    region: str,
    now: datetime,
    only_open: bool,
    cursor: str | None,
    limit: int,
) -> ApprovalPage:
    """As `approvals.selectors.approvals`; raises AccessNotRecordedError too."""
    _record(credential, region, now)
    return approvals.approvals(
        credential=credential,
        region=region,
        now=now,
        only_open=only_open,
        cursor=cursor,
        limit=limit,
    )


def show_approval(
    *, credential: Credential, region: str, approval_id: UUID, now: datetime
) -> ApprovalRecord:
    """As `approvals.selectors.approval`; raises AccessNotRecordedError too."""
    _record(credential, region, now)
    return approvals.approval(credential=credential, region=region, approval_id=approval_id)


def list_grants(
    *,
    credential: Credential,
    region: str,
    now: datetime,
    only_live: bool,
    cursor: str | None,
    limit: int,
) -> GrantPage:
    """As `grants.selectors.grants`; raises AccessNotRecordedError too."""
    _record(credential, region, now)
    return grants.grants(
        credential=credential,
        region=region,
        now=now,
        only_live=only_live,
        cursor=cursor,
        limit=limit,
    )


def show_grant(*, credential: Credential, region: str, grant_id: UUID, now: datetime) -> GrantShown:
    """As `grants.selectors.grant`; raises AccessNotRecordedError too."""
    _record(credential, region, now)
    return grants.grant(credential=credential, region=region, grant_id=grant_id)


def list_break_glass(
    *,
    credential: Credential,
    region: str,
    now: datetime,
    only_unreviewed: bool,
    cursor: str | None,
    limit: int,
) -> BreakGlassPage:
    """As `break_glass.selectors.break_glass_page`; raises AccessNotRecordedError too."""
    _record(credential, region, now)
    return break_glass_page(
        credential=credential,
        region=region,
        only_unreviewed=only_unreviewed,
        cursor=cursor,
        limit=limit,
    )


def read_break_glass_reason(
    *, credential: Credential, region: str, break_glass_id: UUID, now: datetime
) -> str:
    """Why it was opened, for whoever reviews it.

    Raises AccessDeniedError, BreakGlassNotFoundError, and as `sealed_words.reveal_words`.
    """
    credential.role_for(Act.APPROVE_GRANT)
    with tenant_scope(region_alias(region), credential.tenant_id) as connection:
        record = break_glass.read(connection, break_glass_id)
        sealed = sealed_with(connection, [record.record_id])
    texts = reveal_words(
        credential=credential,
        region=region,
        object_ids=list(sealed.values()),
        about={"break_glass": str(break_glass_id)},
        now=now,
    )
    if not texts:
        raise WordsNotFoundError("The reason of this break-glass is gone.")
    return next(iter(texts.values()))


def list_bases(*, credential: Credential, region: str, now: datetime) -> list[BasisRecord]:
    """As `transfers.services.bases`; raises AccessNotRecordedError too."""
    _record(credential, region, now)
    return transfers.bases(credential=credential, region=region)


def _record(credential: Credential, region: str, now: datetime) -> None:
    def reading(before: Before | None) -> RecordedAct:
        return RecordedAct(
            actor=credential.actor,
            actor_role=None,
            action="read_rights",
            outcome="granted",
            details=before.details() if before else {},
        )

    record_first(
        region=region,
        tenant_id=credential.tenant_id,
        caller=credential.actor,
        what="read_rights",
        window_seconds=settings.READ_WINDOW_SECONDS,
        act=reading,
        now=now,
    )
