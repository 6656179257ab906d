"""Deciding about an objection (GDPR Art. 21), whose person is restricted meanwhile.

One transaction: the ruling and its entry in the tenant's admin log, with the grounds sealed. A crash before its commit
leaves an objection that nobody decided about. What follows of it is done elsewhere: an erasure is a request of its own,
and a restriction that may end is lifted by somebody, with a notice.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID

import psycopg

from auditvault.access.credentials import Credential
from auditvault.core.policy.approvals import OwnApprovalError
from auditvault.core.policy.erasure import Kind, RequestMoveError, State
from auditvault.core.policy.roles import Act
from auditvault.core.tlog.canonical import JsonValue
from auditvault.ledger.admin.services import admin_log, new_record_id, record_in
from auditvault.ledger.scope import region_alias, tenant_scope
from auditvault.privacy.requests.services import entitled
from auditvault.privacy.requests.store import request_of
from auditvault.privacy.requests.wording import (
    RequestInvalidError,
    checked_words,
    seal_words,
    words_sealer,
)

ENTRY_TYPE_RULED = "privacy_request.ruled"
_CARRIED_OUT = frozenset({State.NOTIFYING, State.CERTIFIED, State.CLOSED})


class Ruling(StrEnum):
    """What is decided about an objection."""

    UPHELD = "upheld"
    """The data are used no more: the restriction stays."""
    OVERRIDDEN = "overridden"
    """There are compelling grounds that override it, or legal claims: the restriction may be lifted."""


def rule_on_objection(
    *,
    region: str,
    credential: Credential,
    request_id: UUID,
    ruling: Ruling,
    grounds: str,
    follow_up: UUID | None,
    now: datetime,
) -> None:
    """Decide, once. `follow_up` is an erasure of the same person that an upheld one leads to; `grounds` are sealed.

    Raises:
        AccessDeniedError, SeparationError, HumanRequiredError, OwnApprovalError: the caller may not.
        RequestNotFoundError: there is no such request, or none that follows.
        RequestInvalidError: the grounds do not have 15 to 2000 characters, or something follows of an overridden one.
        RequestMoveError: it is no objection, not carried out yet, or decided; or what follows is no erasure of the same
            person that goes on. Nothing was written.
    """
    by = entitled(region, credential, Act.APPROVE_ERASURE)
    words = checked_words(grounds, is_needed=True)
    if follow_up is not None and ruling is not Ruling.UPHELD:
        raise RequestInvalidError("Only of an objection that is upheld an erasure follows.")
    log = admin_log(region, credential.tenant_id)
    sealer = words_sealer(region, credential.tenant_id, words, now)
    with tenant_scope(region_alias(region), credential.tenant_id) as connection:
        request = request_of(connection, request_id).request
        if follow_up is not None:
            request_of(connection, follow_up)
        if request.kind is not Kind.OBJECTION or request.state not in _CARRIED_OUT:
            raise RequestMoveError("Only an objection that was carried out is decided about.")
        if by.human in request.hands:
            raise OwnApprovalError(
                "Somebody has to decide who has had no hand in this request so far."
            )
        admin_record = new_record_id(connection)
        try:
            row = connection.execute(
                "SELECT privacy_rule(%s, %s, %s, %s, %s)",
                (request_id, ruling.value, follow_up, by.human, admin_record),
            ).fetchone()
        except psycopg.errors.InsufficientPrivilege as error:
            raise RequestMoveError(
                "What follows has to be an erasure of the same person that goes on."
            ) from error
        if row is None or not row[0]:
            raise RequestMoveError("Somebody has decided about this objection already.")
        details: dict[str, JsonValue] = {
            "request": str(request_id),
            "ruling": ruling.value,
            "words": seal_words(connection, sealer, words, admin_record, now),
            "actor": credential.actor,
            **({"follow_up": str(follow_up)} if follow_up is not None else {}),
        }
        record_in(connection, log, record_id=admin_record, action=ENTRY_TYPE_RULED, details=details)
