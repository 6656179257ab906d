"""Legal holds as people look at them: what must stay, because of which matter, and when somebody looks again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from auditvault.access.credentials import Credential
from auditvault.access.paging import id_of, page_cursor
from auditvault.access.sealed_words import WordsNotFoundError, reveal_words
from auditvault.core.policy.holds import Hold
from auditvault.core.policy.roles import Act
from auditvault.ledger.scope import region_alias, tenant_scope
from auditvault.privacy.holds.selectors import hold_of, holds_page, reason_object, reference_of
from auditvault.privacy.looking import record_look

MAX_PAGE = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldPage:
    """Holds with the references of their matters, newest first, and where the next page begins."""

    holds: list[tuple[Hold, str]]
    next_cursor: str | None


def list_holds(
    *,
    credential: Credential,
    region: str,
    only_in_force: bool,
    overdue_on: date | None,
    cursor: str | None,
    limit: int,
    now: datetime,
) -> HoldPage:
    """A page of the tenant's holds in the region; with `overdue_on` those whose review is due by that day.

    Raises CursorError, RegionUnavailableError, AccessNotRecordedError.
    """
    before = id_of(cursor)
    most = max(1, min(limit, MAX_PAGE))
    record_look(credential=credential, region=region, now=now)
    with tenant_scope(region_alias(region), credential.tenant_id) as connection:
        found = holds_page(
            connection,
            region,
            only_in_force=only_in_force,
            overdue_on=overdue_on,
            before=before,
            limit=most + 1,
        )
    shown = found[:most]
    return HoldPage(
        holds=shown,
        next_cursor=page_cursor(shown[-1][0].hold_id) if len(found) > most else None,
    )


def read_reason(*, credential: Credential, region: str, hold_id: UUID, now: datetime) -> str:
    """Why something is held, for whoever places holds.

    Raises AccessDeniedError, HoldNotFoundError, and as `access.sealed_words.reveal_words`.
    """
    credential.role_for(Act.PLACE_HOLD)
    with tenant_scope(region_alias(region), credential.tenant_id) as connection:
        object_id = reason_object(connection, hold_id)
    texts = reveal_words(
        credential=credential,
        region=region,
        object_ids=[object_id],
        about={"hold": str(hold_id)},
        now=now,
    )
    if object_id not in texts:
        raise WordsNotFoundError("The reason of this hold is gone.")
    return texts[object_id]


def show_hold(
    *, credential: Credential, region: str, hold_id: UUID, now: datetime
) -> tuple[Hold, str]:
    """One hold and its reference; raises HoldNotFoundError, RegionUnavailableError, AccessNotRecordedError."""
    record_look(credential=credential, region=region, now=now)
    with tenant_scope(region_alias(region), credential.tenant_id) as connection:
        return hold_of(connection, region, hold_id), reference_of(connection, hold_id)
