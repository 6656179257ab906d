"""Which break-glass somebody may see: their own; all of them who reviews, or audits."""

from __future__ import annotations

from dataclasses import dataclass

from auditvault.access.break_glass import store
from auditvault.access.break_glass.store import BreakGlassRecord
from auditvault.access.credentials import Credential
from auditvault.access.paging import id_of, page_cursor
from auditvault.core.policy.access import AccessDeniedError
from auditvault.core.policy.roles import Act, acts_of_role
from auditvault.ledger.scope import region_alias, tenant_scope

MAX_PAGE = 200
_SEE_ALL = frozenset({Act.APPROVE_GRANT, Act.READ_ACCESS_LOG})


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakGlassPage:
    """Some of them, newest first, and where the next page begins."""

    records: list[BreakGlassRecord]
    next_cursor: str | None


def break_glass_page(
    *,
    credential: Credential,
    region: str,
    only_unreviewed: bool = False,
    cursor: str | None = None,
    limit: int = 50,
) -> BreakGlassPage:
    """A page of those that the caller may see; none for a machine that does not audit. Raises CursorError."""
    if region not in credential.regions:
        raise AccessDeniedError("This credential is not for that region.")
    everybodys = any(acts_of_role(role) & _SEE_ALL for role in credential.roles)
    if credential.human is None and not everybodys:
        return BreakGlassPage(records=[], next_cursor=None)
    before, limit = id_of(cursor), max(1, min(limit, MAX_PAGE))
    with tenant_scope(region_alias(region), credential.tenant_id) as connection:
        found = store.page(
            connection,
            human=None if everybodys else credential.human,
            only_unreviewed=only_unreviewed,
            before=before,
            limit=limit + 1,
        )
    is_more = len(found) > limit
    found = found[:limit]
    following = page_cursor(found[-1].opened.break_glass_id) if is_more else None
    return BreakGlassPage(records=found, next_cursor=following)
