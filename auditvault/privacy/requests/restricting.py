"""Restricting a person for a request that was begun (GDPR Art. 18), and lifting it.

Each is one transaction: the subjects' states and the entry in the tenant's admin log. A crash before its commit leaves
everybody as they were; done again after it, nothing is changed and nothing recorded.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import psycopg

from auditvault.access.credentials import Credential
from auditvault.core.policy.approvals import OwnApprovalError
from auditvault.core.policy.erasure import RESTRICTING, RequestMoveError, State
from auditvault.core.policy.roles import Act
from auditvault.core.tlog.canonical import JsonValue
from auditvault.ledger.admin.services import admin_log, new_record_id, record_in
from auditvault.ledger.scope import region_alias, tenant_scope
from auditvault.privacy.requests.services import entitled
from auditvault.privacy.requests.store import request_of
from auditvault.privacy.requests.wording import checked_words, seal_words, words_sealer

ENTRY_TYPE_RESTRICTED = "subject.restricted"
ENTRY_TYPE_LIFTED = "subject.restriction_lifted"
_CARRIED_OUT = frozenset({State.NOTIFYING, State.CERTIFIED, State.CLOSED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifted:
    """Whom a request restricts no more."""

    subjects: tuple[UUID, ...]
    """Whom it restricted until now; none where it was lifted before."""
    readable: tuple[UUID, ...]
    """Those of them whom no other request restricts."""


def restrict(*, region: str, tenant_id: UUID, request_id: UUID) -> tuple[UUID, ...]:
    """Restrict everybody whom the request's identifiers lead to, with their groups; whom it had not restricted before.

    Raises:
        RequestNotFoundError: there is no such request.
        RequestMoveError: it is of another kind, or not being executed; nothing was written.
    """
    log = admin_log(region, tenant_id)
    with tenant_scope(region_alias(region), tenant_id) as connection:
        request = request_of(connection, request_id).request
        if request.kind not in RESTRICTING or request.state is not State.EXECUTING:
            raise RequestMoveError("Only a restriction or an objection that was begun restricts.")
        try:
            row = connection.execute("SELECT privacy_restrict(%s)", (request_id,)).fetchone()
        except psycopg.errors.InsufficientPrivilege as error:
            raise RequestMoveError("Somebody else moved the request meanwhile.") from error
        added: list[UUID] = row[0] if row else []
        if added:
            record_in(
                connection,
                log,
                record_id=new_record_id(connection),
                action=ENTRY_TYPE_RESTRICTED,
                details={
                    "request": str(request_id),
                    "subjects": [str(subject) for subject in added],
                    "actor": "auditvault",
                },
            )
    return tuple(added)


def lift_restriction(
    *, region: str, credential: Credential, request_id: UUID, notice: str, now: datetime
) -> Lifted:
    """Lift what a request restricted; `notice` is what the person was told before (Art. 18(3)), and is sealed.

    Asked again, it changes and records nothing.

    Raises:
        AccessDeniedError, SeparationError, HumanRequiredError, OwnApprovalError: the caller may not.
        RequestNotFoundError: there is no such request.
        RequestInvalidError: the notice does not have 15 to 2000 characters.
        RequestMoveError: it is of another kind, was not carried out yet, or is an objection that was not overridden;
            nothing was written.
    """
    by = entitled(region, credential, Act.APPROVE_ERASURE)
    words = checked_words(notice, is_needed=True)
    log = admin_log(region, credential.tenant_id)
    sealer = words_sealer(region, credential.tenant_id, words, now)
    with tenant_scope(region_alias(region), credential.tenant_id) as connection:
        request = request_of(connection, request_id).request
        if request.kind not in RESTRICTING or request.state not in _CARRIED_OUT:
            raise RequestMoveError("Only a restriction that was carried out is lifted.")
        if by.human in request.hands:
            raise OwnApprovalError(
                "Somebody has to lift it who has had no hand in this request so far."
            )
        try:
            row = connection.execute(
                "SELECT lifted, readable FROM privacy_lift(%s, %s)", (request_id, by.human)
            ).fetchone()
        except psycopg.errors.InsufficientPrivilege as error:
            raise RequestMoveError(
                "The restriction of an objection is lifted once that was overridden."
            ) from error
        subjects, readable = row or ([], [])
        if subjects:
            admin_record = new_record_id(connection)
            details: dict[str, JsonValue] = {
                "request": str(request_id),
                "subjects": [str(subject) for subject in subjects],
                "readable": [str(subject) for subject in readable],
                "notice": seal_words(connection, sealer, words, admin_record, now),
                "actor": credential.actor,
            }
            record_in(
                connection, log, record_id=admin_record, action=ENTRY_TYPE_LIFTED, details=details
            )
    return Lifted(subjects=tuple(subjects), readable=tuple(readable))
