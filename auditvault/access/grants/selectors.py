"""Which grants somebody may see: their own with what they have used; all of them who may approve, or audits."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from auditvault.access.credentials import Credential
from auditvault.access.grants import store
from auditvault.access.grants.store import GrantNotFoundError, GrantRecord, GrantUse
from auditvault.access.paging import id_of, page_cursor
from auditvault.core.policy.access import AccessDeniedError
from auditvault.core.policy.roles import Act, acts_of_role
from auditvault.ledger.scope import region_alias, tenant_scope

MAX_PAGE = 200
MAX_USES = 1000
_SEE_ALL = frozenset({Act.APPROVE_GRANT, Act.READ_ACCESS_LOG})


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantPage:
    """Grants, newest first, and where the next page begins."""

    records: list[GrantRecord]
    next_cursor: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantShown:
    """A grant, and what was seen under it: the newest MAX_USES."""

    record: GrantRecord
    uses: list[GrantUse]


def grant(*, credential: Credential, region: str, grant_id: UUID) -> GrantShown:
    """One grant; raises GrantNotFoundError, also where the caller may not see it."""
    _check_region(credential, region)
    with tenant_scope(region_alias(region), credential.tenant_id) as connection:
        record = store.read(connection, grant_id)
        if not _sees_all(credential) and record.grant.human != credential.human:
            raise GrantNotFoundError("There is no such grant.")
        return GrantShown(record=record, uses=store.uses(connection, grant_id, limit=MAX_USES))


def grants(
    *,
    credential: Credential,
    region: str,
    now: datetime,
    only_live: bool = False,
    cursor: str | None = None,
    limit: int = 50,
) -> GrantPage:
    """A page of the grants that the caller may see; none for a machine. Raises CursorError."""
    _check_region(credential, region)
    everybodys = _sees_all(credential)
    if credential.human is None and not everybodys:
        return GrantPage(records=[], next_cursor=None)
    human = None if everybodys else credential.human
    before, limit = id_of(cursor), max(1, min(limit, MAX_PAGE))
    with tenant_scope(region_alias(region), credential.tenant_id) as connection:
        found = store.page(
            connection,
            human=human,
            live_at=now if only_live else None,
            before=before,
            limit=limit + 1,
        )
    shown = found[:limit]
    more = len(found) > limit
    return GrantPage(
        records=shown, next_cursor=page_cursor(shown[-1].grant.grant_id) if more else None
    )


def _sees_all(credential: Credential) -> bool:
    return any(_SEE_ALL & acts_of_role(role) for role in credential.roles)


def _check_region(credential: Credential, region: str) -> None:
    if region not in credential.regions:
        raise AccessDeniedError("This credential is not for that region.")
