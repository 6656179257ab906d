"""The one way content is shown: check, record, commit, then open (design rule 2).

Everything that was asked for is recorded, refusals included; of refusals by the limit the first of a window. If the
record cannot be written, nothing is opened and the caller learns why; what was not recorded did not happen.

A lookup could be used to find out what is there, guess by guess. So lookups are limited, and whatever is not found is
not found in the same way: never sent, another tenant's, another region's, erased. The same statements are issued, and
nothing is opened.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from uuid import UUID

from auditvault.access.credentials import Credential
from auditvault.access.events.services import Act as RecordedAct
from auditvault.access.events.services import record_act
from auditvault.access.limits import take_lookup
from auditvault.core.errors import AuditvaultError
from auditvault.core.policy.access import (
    AccessDeniedError,
    Act,
    Purpose,
    PurposeError,
    Role,
    check_purpose,
)
from auditvault.core.tlog.canonical import JsonValue
from auditvault.ledger.scope import region_alias, tenant_scope
from auditvault.vault.erasures.pending import refuse_while_restore_pending
from auditvault.vault.hash_only import stated_by
from auditvault.vault.opening import (
    ContentGoneError,
    Opened,
    StoredObject,
    objects_by_tag,
    open_stored,
)
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
    content: bytes | None
    """None where the policy had its hash kept alone."""
    sha256: bytes
    """What the commitment in the header is to, with the opening."""
    size_bytes: int
    opening: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """What a lookup came to, and the id of the access record that was committed before."""

    record_id: UUID
    contents: list[Revealed]
    has_more: bool
    """Whether there are more than are shown; the newest are."""


def resolve(*, credential: Credential, region: str, look: Look, now: datetime) -> Resolved:
    """The contents found under a hash.

    Raises:
        LookupsLimitedError: too many lookups; the first refusal of a window is recorded.
        AccessDeniedError, PurposeError: refused, and the refusal recorded.
        AccessNotRecordedError: the access log could not be written.
        ContentHashError: no hash.
        ContentTooLargeError: a content is larger than an answer holds; the look is recorded all the same.
        RestorePendingError: the region was restored; nothing is looked for.
        ContentNotFoundError: nothing there, or nothing readable any more; the look is recorded all the same.
    """
    tag = _tag(region, credential.tenant_id, look.content_hash)
    target = f"tag:{tag.hex()}"
    take_lookup(credential=credential, region=region, target=target, now=now)
    role, purpose = _allowed(credential, region, look, target, now)
    with tenant_scope(region_alias(region), credential.tenant_id) as connection:
        refuse_while_restore_pending(connection, region)
        found = objects_by_tag(connection, tag, MAX_OBJECTS + 1)
    has_more, found = len(found) > MAX_OBJECTS, found[:MAX_OBJECTS]
    details: dict[str, JsonValue] = {
        "target": target,
        "representation": "full",
        "objects": [str(stored.object_id) for stored in found],
    }
    granted = RecordedAct(
        actor=credential.actor,
        actor_role=role.value,
        action="resolve",
        outcome="granted",
        details=details | ({"more": True} if has_more else {}),
        purpose=purpose,
    )
    record_id = record_act(region=region, tenant_id=credential.tenant_id, act=granted, now=now)
    revealed = _open_all(region, credential.tenant_id, found)
    if not revealed:
        raise ContentNotFoundError("Nothing that you may see is found under this hash.")
    return Resolved(record_id=record_id, contents=revealed, has_more=has_more)


def _allowed(
    credential: Credential, region: str, look: Look, target: str, now: datetime
) -> tuple[Role, Purpose]:
    """The role acted under and a complete purpose; a refusal is recorded and raised."""
    try:
        role = credential.role_for(Act.RESOLVE_FULL)
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
    return role, purpose


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
        revealed.append(_revealed(region, tenant_id, stored, opened))
    return revealed


def _revealed(region: str, tenant_id: UUID, stored: StoredObject, opened: Opened) -> Revealed:
    stated = stated_by(
        opened.content,
        stored.tag,
        lambda digest: lookup_tag(region=region, tenant_id=tenant_id, content_sha256=digest),
    )
    return Revealed(
        object_id=stored.object_id,
        interaction_id=stored.record_id,
        role=stored.role,
        content=None if stated else opened.content,
        sha256=stated.digest if stated else sha256(opened.content).digest(),
        size_bytes=stated.size_bytes if stated else len(opened.content),
        opening=opened.opening,
    )


def _tag(region: str, tenant_id: UUID, content_hash: str) -> bytes:
    """The lookup tag: made from a SHA-256 that the caller took of the content, or given as such."""
    match = _HASH.fullmatch(content_hash)
    if match is None:
        raise ContentHashError("Give `sha256:` or `tag:` and 64 lower-case hex digits.")
    digest = bytes.fromhex(match[2])
    if match[1] == "tag":
        return digest
    return lookup_tag(region=region, tenant_id=tenant_id, content_sha256=digest)
