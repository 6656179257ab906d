"""What the requester wrote, and what people wrote to them with the steps of a request."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from auditvault.access.credentials import Credential
from auditvault.access.sealed_words import reveal_words, sealed_with
from auditvault.core.policy.roles import AccessDeniedError, Act
from auditvault.ledger.scope import region_alias, tenant_scope
from auditvault.privacy.requests.store import request_of, timeline


@dataclass(frozen=True, slots=True, kw_only=True)
class StepWords:
    """What was written with a step; `receive` is the requester's own."""

    step: int
    action: str
    text: str


def read_words(
    *, credential: Credential, region: str, request_id: UUID, now: datetime
) -> list[StepWords]:
    """All that is written in a request, in the order of its steps; for whoever prepares or approves.

    Raises AccessDeniedError, RequestNotFoundError, and as `reveal_words`.
    """
    _check(credential)
    with tenant_scope(region_alias(region), credential.tenant_id) as connection:
        request_of(connection, request_id)
        steps = timeline(connection, request_id)
        sealed = sealed_with(connection, [step.record_id for step in steps])
    texts = reveal_words(
        credential=credential,
        region=region,
        object_ids=list(sealed.values()),
        about={"request": str(request_id)},
        now=now,
    )
    return [
        StepWords(step=step.step, action=step.action, text=texts[sealed[step.record_id]])
        for step in steps
        if sealed.get(step.record_id) in texts
    ]


def _check(credential: Credential) -> None:
    try:
        credential.role_for(Act.PREPARE_ERASURE)
    except AccessDeniedError:
        credential.role_for(Act.APPROVE_ERASURE)
