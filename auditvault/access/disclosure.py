"""The one way content is shown: check, record, commit, then open (design rule 2).

Everything that was asked for is recorded, refusals included. If the record cannot be written, nothing is opened and
the caller learns why; what was not recorded did not happen.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from auditvault.access.events.services import Act as RecordedAct
from auditvault.access.events.services import record_act
from auditvault.access.tokens import Credential
from auditvault.core.errors import AuditvaultError
from auditvault.core.policy.access import (
    AccessDeniedError,
    Act,
    PurposeError,
    check_purpose,
    role_for,
)
from auditvault.ledger.scope import region_alias, tenant_scope
from auditvault.vault.erasures.pending import refuse_while_restore_pending
from auditvault.vault.opening import ContentGoneError, StoredObject, objects_by_tag, open_stored
from auditvault.vault.services import lookup_tag
from auditvault.vault.subjects import SubjectErasedError, refuse_unless_readable

MAX_OBJECTS = 100
_HASH = re.compile(r"(sha256|tag):([0-9a-f]{64})")


class ContentHashError(AuditvaultError):
    """What was given is no content hash."""

    code = "content_hash_invalid"


class ContentNotFoundError(AuditvaultError):
    """Nothing that the caller may see is found under that hash."""

    code = "content_not_found"


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What somebody asks to see, and why; `reason` is sealed, never logged."""

    content_hash: str
    code: str
    case: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Revealed:
    """One content in clear, with what proves that it is the recorded one."""

    object_id: UUID
    interaction_id: UUID
    role: str
    content: bytes
    opening: bytes


def resolve(
    *, credential: Credential, region: str, look: Look, now: datetime
) -> tuple[UUID, list[Revealed]]:
    """The contents found under a hash, and the id of the access record that was committed before.

    Raises:
        AccessDeniedError, PurposeError: refused, and the refusal recorded.
        AccessNotRecordedError: the access log could not be written.
        ContentHashError: no hash.
        ContentTooLargeError: a content is larger than an answer holds; the look is recorded all the same.
        RestorePendingError: the region was restored; nothing is looked for.
        ContentNotFoundError: nothing there, or nothing readable any more; the look is recorded all the same.
    """
    tag = _tag(region, credential.tenant_id, look.content_hash)
    target = f"tag:{tag.hex()}"
    try:
        role = role_for(Act.RESOLVE_FULL, credential.roles)
        purpose = check_purpose(code=look.code, case=look.case, reason=look.reason, role=role)
    except (AccessDeniedError, PurposeError) as error:
        refusal = RecordedAct(
            actor=credential.actor,
            actor_role=None,
            action="resolve",
            outcome="denied",
            details={"target": target, "code": error.code},
        )
        record_act(region=region, tenant_id=credential.tenant_id, act=refusal, now=now)
        raise
    with tenant_scope(region_alias(region), credential.tenant_id) as connection:
        refuse_while_restore_pending(connection, region)
        found = objects_by_tag(connection, tag, MAX_OBJECTS)
    granted = RecordedAct(
        actor=credential.actor,
        actor_role=role.value,
        action="resolve",
        outcome="granted",
        details={
            "target": target,
            "representation": "full",
            "objects": [str(stored.object_id) for stored in found],
        },
        purpose=purpose,
    )
    record_id = record_act(region=region, tenant_id=credential.tenant_id, act=granted, now=now)
    revealed = _open_all(region, credential.tenant_id, found)
    if not revealed:
        raise ContentNotFoundError("Nothing that you may see is found under this hash.")
    return record_id, revealed


def _open_all(region: str, tenant_id: UUID, found: list[StoredObject]) -> list[Revealed]:
    """Open what is readable; one person's erased content does not hide another's."""
    revealed = []
    for stored in found:
        # One snapshot for the subject's state and a large content's pieces.
        with tenant_scope(region_alias(region), tenant_id, snapshot=True) as connection:
            permit = refuse_while_restore_pending(connection, region)
            try:
                refuse_unless_readable(connection, [stored.subject_id])
                opened = open_stored(permit=permit, tenant_id=tenant_id, stored=stored)
            except (SubjectErasedError, ContentGoneError):
                continue
        revealed.append(
            Revealed(
                object_id=stored.object_id,
                interaction_id=stored.record_id,
                role=stored.role,
                content=opened.content,
                opening=opened.opening,
            )
        )
    return revealed


def _tag(region: str, tenant_id: UUID, content_hash: str) -> bytes:
    """The lookup tag: made from a SHA-256 that the caller took of the content, or given as such."""
    match = _HASH.fullmatch(content_hash)
    if match is None:
        raise ContentHashError("Give `sha256:` or `tag:` and 64 lower-case hex digits.")
    digest = bytes.fromhex(match[2])
    if match[1] == "tag":
        return digest
    return lookup_tag(region=region, tenant_id=tenant_id, content_sha256=digest)
