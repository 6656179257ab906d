"""Opening a review and signing it off: each one transaction, of the row and the entry in the tenant's admin log.

Opening freezes who can see content now. Rights stand in the control database, so they are read before the transaction
that stores them: a right that is given in between is in the next review.

A crash before the commit leaves nothing; after it, row and entry. Two people who open a quarter, or sign a review, at
once queue at the row's key, and the second finds that it is done. What is marked for removal is not removed here: that
is for whoever gives roles, and the report on reviews says what of it is still there.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from hashlib import sha256
from uuid import UUID

from auditvault.access.credentials import Credential
from auditvault.access.events.services import Act as RecordedAct
from auditvault.access.events.services import record_act
from auditvault.access.holdings import holdings, rights_given, staff_snapshot
from auditvault.access.humans import human_of_actor
from auditvault.core.errors import AuditvaultError
from auditvault.core.policy.access import AccessDeniedError
from auditvault.core.policy.reviews import (
    ACTS,
    Decision,
    ReviewDecisionsError,
    ReviewerError,
    check_reviewer,
    decided,
    frozen_list,
    quarter_to_open,
)
from auditvault.core.tlog.canonical import JsonValue
from auditvault.evidence.reports.rights import content_rows
from auditvault.evidence.reviews.selectors import Review, ReviewNotFoundError, review
from auditvault.ledger.admin.services import admin_log, new_record_id, record_in
from auditvault.ledger.scope import region_alias, tenant_scope
from auditvault.ledger.services import format_instant

ENTRY_TYPE_OPENED = "review.opened"
ENTRY_TYPE_SIGNED = "review.signed"


class ReviewOpenedError(AuditvaultError):
    """The quarter's review was opened before."""

    code = "review_opened_already"


class ReviewSignedError(AuditvaultError):
    """Somebody has signed the review off."""

    code = "review_signed_already"


def open_review(
    *, credential: Credential, region: str, quarter: str | None, now: datetime
) -> Review:
    """Freeze who can see content of the place, for a quarter (`2026-Q4`), the present one where none is named.

    Raises:
        AccessDeniedError, HumanRequiredError, SecondFactorRequiredError: they may not.
        ReviewQuarterError, ReviewOpenedError: nothing was done.
    """
    first_role(credential)
    human = credential.require_strong(now)
    wanted, tenant_id = quarter_to_open(quarter, now), credential.tenant_id
    log = admin_log(region, tenant_id)
    with staff_snapshot() as staff:
        held = holdings(staff, tenant_id, now)
    with tenant_scope(region_alias(region), tenant_id) as connection:
        lines = [
            # Names of staff stand in the control database alone.
            {name: value for name, value in row.items() if name != "username"}
            for row in content_rows(held, rights_given(connection), region, now)
        ]
        body = frozen_list(
            tenant=str(tenant_id),
            region=region,
            quarter=wanted,
            at=format_instant(now),
            lines=lines,
        )
        digest = sha256(body).digest()
        review_id = new_record_id(connection)
        made = connection.execute(
            "INSERT INTO access_review (tenant_id, review_id, quarter, opened_at, opened_by, opener, list, list_sha256)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (tenant_id, quarter) DO NOTHING",
            (tenant_id, review_id, wanted.name, now, human, credential.actor, body, digest),
        )
        if not made.rowcount:
            raise ReviewOpenedError(f"The review of {wanted.name} was opened before.")
        details: dict[str, JsonValue] = {
            "actor": credential.actor,
            "quarter": wanted.name,
            "lines": len(lines),
            "list_sha256": digest.hex(),
        }
        record_in(connection, log, record_id=review_id, action=ENTRY_TYPE_OPENED, details=details)
        return review(connection, review_id)


def sign_off(
    *,
    credential: Credential,
    region: str,
    review_id: UUID,
    list_sha256: str,
    decisions: Collection[Decision],
    now: datetime,
) -> Review:
    """Decide about each line, by somebody who gave none of the rights and holds none.

    `list_sha256` says which list they had before them.

    Raises:
        AccessDeniedError, HumanRequiredError, SecondFactorRequiredError: they may not.
        ReviewerError, ReviewNotFoundError: they gave one of the rights or hold one, or there is none; that is recorded.
        ReviewSignedError, ReviewDecisionsError, CaseError: nothing was done.
    """
    tenant_id = credential.tenant_id
    first_role(credential)
    human = credential.require_strong(now)
    log = admin_log(region, tenant_id)
    found = _reviewable(credential, region, review_id, now)
    if list_sha256 != found.list_sha256:
        raise ReviewDecisionsError("The decisions are of another list than this review's.")
    body = decided(decisions, lines=len(found.lines), list_sha256=list_sha256)
    removed = sum(each.decision == "remove" for each in decisions)
    with tenant_scope(region_alias(region), tenant_id) as connection:
        record_id = new_record_id(connection)
        made = connection.execute(
            "INSERT INTO access_review_sign_off"
            " (tenant_id, review_id, signed_at, signed_by, signer, decisions, record_id)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT (tenant_id, review_id) DO NOTHING",
            (tenant_id, review_id, now, human, credential.actor, body, record_id),
        )
        if not made.rowcount:
            raise ReviewSignedError("Somebody has signed this review off.")
        details: dict[str, JsonValue] = {
            "actor": credential.actor,
            "review": str(review_id),
            "quarter": found.quarter,
            "list_sha256": list_sha256,
            "decisions_sha256": sha256(body).hexdigest(),
            "kept": len(found.lines) - removed,
            "removed": removed,
        }
        record_in(connection, log, record_id=record_id, action=ENTRY_TYPE_SIGNED, details=details)
        return review(connection, review_id)


def first_role(credential: Credential) -> str:
    """The role under which the caller reviews; raises AccessDeniedError."""
    *others, last = ACTS
    for act in others:
        try:
            return credential.role_for(act).value
        except AccessDeniedError:
            continue
    return credential.role_for(last).value


def _reviewable(credential: Credential, region: str, review_id: UUID, now: datetime) -> Review:
    """The review, for somebody who is independent of it; a refusal is recorded, and so is a try for what is not there.

    Humans count as their accounts are linked now. Raises ReviewNotFoundError, ReviewerError.
    """
    try:
        with tenant_scope(region_alias(region), credential.tenant_id) as connection:
            found = review(connection, review_id)
        check_reviewer(
            credential.require_human(),
            granters={human_of_actor(str(line["given_by"])) for line in found.lines},
            holders={human_of_actor(str(line["actor"])) for line in found.lines},
        )
    except (ReviewNotFoundError, ReviewerError) as error:
        refusal = RecordedAct(
            actor=credential.actor,
            actor_role=None,
            action="review",
            outcome="denied",
            details={"review": str(review_id), "code": error.code},
        )
        record_act(region=region, tenant_id=credential.tenant_id, act=refusal, now=now)
        raise
    return found
