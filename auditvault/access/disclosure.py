"""The one way content is shown: check, record, commit, then open (design rule 2).

Whole content takes a human who proved themselves by a second factor, a purpose, and a live grant for the purpose's case
that covers each object which is shown (docs/spec/grants.md), or an open break-glass of theirs for that case, which
covers all (docs/spec/break-glass.md). Redacted text (docs/spec/renderings.md) takes a human with the engineer's role.

Everything that was asked for is recorded, refusals included; of refusals by the limit the first of a window. If the
record cannot be written, nothing is opened and the caller learns why; what was not recorded did not happen.

A lookup could be used to find out what is there, guess by guess. So lookups are limited, people are counted, and
whatever is not found is not found in the same way: never sent, another tenant's, another region's, erased, not covered
by the grants. The same statements are issued, and nothing is opened. Who has no live grant at all for the case is told
so, whatever the hash; and who has spent their budget, unless it is of somebody whom they looked at already.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from typing import Any, Literal
from uuid import UUID

import psycopg

from auditvault.access.break_glass.store import note_look, open_of
from auditvault.access.credentials import (
    Credential,
    HumanRequiredError,
    SecondFactorRequiredError,
)
from auditvault.access.events.services import Act as RecordedAct
from auditvault.access.events.services import record_act
from auditvault.access.grants.coverage import coverage
from auditvault.access.grants.store import live_grants, note_uses
from auditvault.access.limits import take_lookup
from auditvault.access.usage.recording import record_counted
from auditvault.access.usage.services import affordable
from auditvault.core.errors import AuditvaultError
from auditvault.core.policy.access import (
    AccessDeniedError,
    Act,
    Purpose,
    PurposeCode,
    PurposeError,
    check_purpose,
)
from auditvault.core.policy.approvals import HumanId
from auditvault.core.policy.break_glass import BreakGlass, BreakGlassMissingError
from auditvault.core.policy.grants import Grant, GrantMissingError
from auditvault.core.policy.roles import AnyRole
from auditvault.core.tlog.canonical import JsonValue
from auditvault.ledger.scope import region_alias, tenant_scope
from auditvault.vault.erasures.pending import refuse_while_restore_pending
from auditvault.vault.hash_only import stated_by
from auditvault.vault.opening import (
    ContentGoneError,
    Opened,
    StoredObject,
    is_anything_under,
    objects_by_tag,
    open_stored,
)
from auditvault.vault.renderings import open_rendering, rendered
from auditvault.vault.services import lookup_tag
from auditvault.vault.subjects import SubjectErasedError, refuse_unless_readable

MAX_OBJECTS = 100
Representation = Literal["full", "redacted"]
FULL: Representation = "full"
REDACTED: Representation = "redacted"
OUTSIDE_GRANTS = "outside_grants"
"""In the record of a look: there is something under the hash, and none of it is covered."""
_HASH = re.compile(r"(sha256|tag):([0-9a-f]{64})")


class ContentHashError(AuditvaultError):
    """What was given is no content hash."""

    code = "content_hash_invalid"


class ContentNotFoundError(AuditvaultError):
    """Nothing that the caller may see is found under that hash."""

    code = "content_not_found"


class NotScannedError(AuditvaultError):
    """There is something under that hash, and no redacted text of it: it was not scanned yet, or could not be."""

    code = "redaction_not_found"


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What somebody asks to see, and why; `reason` is sealed, never logged."""

    content_hash: str
    code: str
    case: str
    reason: str
    representation: Representation = FULL


@dataclass(frozen=True, slots=True, kw_only=True)
class _Allowed:
    """Under which role a look goes on, whose it is, and what for."""

    role: AnyRole
    human: HumanId
    purpose: Purpose
    grants: Sequence[Grant] = ()
    """Live ones for the case, and for the purpose's code; none for redacted text, and none under break-glass."""
    broken: BreakGlass | None = None
    """The break-glass that it is under."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """One object that is to be shown, and the grant under which it is; None under break-glass."""

    stored: StoredObject
    grant: Grant | None


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
class Redacted:
    """One content with what is personal replaced; nothing by which a guess at the original could be proved."""

    object_id: UUID
    interaction_id: UUID
    role: str
    content: bytes
    detector: str
    """Version of what found what is replaced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """What a lookup came to, and the id of the access record that was committed before."""

    record_id: UUID
    contents: list[Revealed]
    has_more: bool
    """Whether there are more than are shown; the newest are."""
    redacted: Sequence[Redacted] = ()
    """In place of `contents`, where redacted text was asked for."""


def resolve(*, credential: Credential, region: str, look: Look, now: datetime) -> Resolved:
    """The contents found under a hash, of those that the caller's grants cover.

    Raises:
        LookupsLimitedError: too many lookups; the first refusal of a window is recorded.
        SubjectBudgetError: too many people in a day; the first refusal of a day is recorded.
        AccessDeniedError, PurposeError, HumanRequiredError, SecondFactorRequiredError, GrantMissingError,
            BreakGlassMissingError: refused, and the refusal recorded.
        AccessNotRecordedError: the access log could not be written.
        ContentHashError: no hash.
        ContentTooLargeError: a content is larger than an answer holds; the look is recorded all the same.
        RestorePendingError: the region was restored; nothing is looked for.
        ContentNotFoundError: nothing there, nothing that is covered, or nothing readable any more; the look is
            recorded all the same.
        NotScannedError: the redacted text was asked for, of something that has none; recorded all the same.
    """
    tag = tag_of(region, credential.tenant_id, look.content_hash)
    target = f"tag:{tag.hex()}"
    take_lookup(credential=credential, region=region, target=target, now=now)
    allowed = _allowed(credential, region, look, target, now)
    allowed, found = _look_for(credential, region, look, target, tag, allowed, now)
    if look.representation == REDACTED:
        record_id = _record(credential, region, look, target, allowed, found, now)
        redacted = _redacted(region, credential.tenant_id, found)
        return Resolved(
            record_id=record_id, contents=[], has_more=found.has_more, redacted=redacted
        )
    record_id, revealed = reveal(
        region=region,
        tenant_id=credential.tenant_id,
        found=[one.stored for one in found.seen],
        record=lambda: _record(credential, region, look, target, allowed, found, now),
    )
    return Resolved(record_id=record_id, contents=revealed, has_more=found.has_more)


def reveal(
    *, region: str, tenant_id: UUID, found: Sequence[StoredObject], record: Callable[[], UUID]
) -> tuple[UUID, list[Revealed]]:
    """The one function that shows content: `record` commits that it will be shown, and only then is any opened.

    Raises what `record` raises, with nothing opened; ContentNotFoundError, ContentTooLargeError, RestorePendingError.
    """
    record_id = record()
    revealed = _open_all(region, tenant_id, found)
    if not revealed:
        raise ContentNotFoundError("Nothing that you may see is found under this hash.")
    return record_id, revealed


def _allowed(
    credential: Credential, region: str, look: Look, target: str, now: datetime
) -> _Allowed:
    """Who looks, under which role, and a complete purpose; a refusal is recorded and raised."""
    try:
        if look.representation == REDACTED:
            role, human = credential.role_for(Act.RESOLVE_REDACTED), credential.require_human()
        else:
            role, human = credential.role_for(Act.RESOLVE_FULL), credential.require_strong(now)
        purpose = check_purpose(code=look.code, case=look.case, reason=look.reason, role=role)
    except (
        AccessDeniedError,
        PurposeError,
        HumanRequiredError,
        SecondFactorRequiredError,
    ) as error:
        _record_refusal(credential, region, look, target, error, now)
        raise
    return _Allowed(role=role, human=human, purpose=purpose)


def _record_refusal(
    credential: Credential,
    region: str,
    look: Look,
    target: str,
    error: AuditvaultError,
    now: datetime,
) -> None:
    refusal = RecordedAct(
        actor=credential.actor,
        actor_role=None,
        action="resolve",
        outcome="denied",
        details={
            "target": target,
            "representation": look.representation,
            "code": error.code,
        },
    )
    record_act(region=region, tenant_id=credential.tenant_id, act=refusal, now=now)


def _look_for(
    credential: Credential,
    region: str,
    look: Look,
    target: str,
    tag: bytes,
    allowed: _Allowed,
    now: datetime,
) -> tuple[_Allowed, _Found]:
    """What the look is under, and what it comes to; that it is under nothing is recorded and raised."""
    try:
        with tenant_scope(region_alias(region), credential.tenant_id) as connection:
            under = _under(connection, allowed, look.representation, now)
            refuse_while_restore_pending(connection, region)
            if look.representation == REDACTED:
                return under, _find_redacted(connection, credential, tag)
            return under, _find(connection, credential, tag, under, now)
    except (GrantMissingError, BreakGlassMissingError) as error:
        _record_refusal(credential, region, look, target, error, now)
        raise


def _under(
    connection: psycopg.Connection[Any],
    allowed: _Allowed,
    representation: Representation,
    now: datetime,
) -> _Allowed:
    """With the break-glass or the grants to look under; raises where there are none, before anything is looked for."""
    human, purpose = allowed.human, allowed.purpose
    if purpose.code is PurposeCode.BREAK_GLASS:
        broken = open_of(connection, human=human, case=purpose.case, now=now)
        if broken is None:
            raise _missing()
        return replace(allowed, broken=broken)
    if representation == REDACTED:
        return allowed
    live = live_grants(connection, human=human, case=purpose.case, now=now)
    usable = [grant for grant in live if purpose.code in grant.codes]
    if not usable:
        raise _no_grant()
    return replace(allowed, grants=usable)


def _missing() -> BreakGlassMissingError:
    return BreakGlassMissingError("You have no open break-glass for this case.")


def _no_grant() -> GrantMissingError:
    return GrantMissingError("You have no live grant for this case and purpose. Ask for one.")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """What a look came to before it was recorded."""

    seen: Sequence[_Seen] = ()
    has_more: bool = False
    is_outside: bool = False
    """Whether there is something, and nothing of it is covered."""
    is_unscanned: bool = False
    """Whether there is something, and no redacted text of it."""


def _find(
    connection: psycopg.Connection[Any],
    credential: Credential,
    tag: bytes,
    allowed: _Allowed,
    now: datetime,
) -> _Found:
    """The newest objects under the tag that the caller may see. Every miss is the same statements."""
    seen = _visible(connection, tag, allowed, now)
    is_outside = not seen and is_anything_under(connection, tag)
    return replace(_within_budget(connection, credential, seen), is_outside=is_outside)


def _find_redacted(
    connection: psycopg.Connection[Any], credential: Credential, tag: bytes
) -> _Found:
    """The newest objects under the tag that have a redacted text by the present detector."""
    everything = objects_by_tag(connection, tag, MAX_OBJECTS + 1)
    there = rendered(connection, [stored.object_id for stored in everything])
    seen = [_Seen(stored=one, grant=None) for one in everything if one.object_id in there]
    is_unscanned = bool(everything) and not seen
    return replace(_within_budget(connection, credential, seen), is_unscanned=is_unscanned)


def _within_budget(
    connection: psycopg.Connection[Any], credential: Credential, seen: list[_Seen]
) -> _Found:
    subjects = [one.stored.subject_id for one in seen]
    within = set(subjects)
    if len(within) > 1:
        within = affordable(connection, credential=credential, subjects=subjects)
    # Where the budget is enough for none of them, or for the only one, counting says so.
    shown = [one for one in seen if one.stored.subject_id in within] or seen
    return _Found(seen=shown[:MAX_OBJECTS], has_more=len(seen) > min(len(shown), MAX_OBJECTS))


def _visible(
    connection: psycopg.Connection[Any], tag: bytes, allowed: _Allowed, now: datetime
) -> list[_Seen]:
    """One more than is shown, where there is one: under break-glass of all, otherwise of what the grants cover."""
    if allowed.broken is not None:
        everything = objects_by_tag(connection, tag, MAX_OBJECTS + 1)
        return [_Seen(stored=stored, grant=None) for stored in everything]
    covered = coverage(connection, allowed.grants)
    seen = []
    for stored in objects_by_tag(connection, tag, MAX_OBJECTS + 1, among=covered.among()):
        grant = covered.grant_of(stored, purpose=allowed.purpose, now=now)
        if grant is not None:
            seen.append(_Seen(stored=stored, grant=grant))
    return seen


def _record(
    credential: Credential,
    region: str,
    look: Look,
    target: str,
    allowed: _Allowed,
    found: _Found,
    now: datetime,
) -> UUID:
    """Commit the record of a look that goes on, and what it takes; only then may anything be opened."""
    details: dict[str, JsonValue] = {
        "target": target,
        "representation": look.representation,
        "objects": [str(one.stored.object_id) for one in found.seen],
    }
    grants = sorted({str(one.grant.grant_id) for one in found.seen if one.grant is not None})
    if grants:
        details["grants"] = list(grants)
    if allowed.broken is not None:
        details["break_glass"] = str(allowed.broken.break_glass_id)
    if found.has_more:
        details["more"] = True
    if found.is_outside:
        details["code"] = OUTSIDE_GRANTS
    act = RecordedAct(
        actor=credential.actor,
        actor_role=allowed.role.value,
        action="resolve",
        outcome="denied" if found.is_outside else "granted",
        details=details,
        purpose=allowed.purpose,
    )

    def also(connection: psycopg.Connection[Any], record_id: UUID) -> None:
        _before_append(connection, allowed, found, record_id, now)

    try:
        return record_counted(
            credential=credential,
            region=region,
            act=act,
            subjects=[one.stored.subject_id for one in found.seen],
            target={"target": target, "representation": look.representation},
            now=now,
            also=also,
        )
    except (BreakGlassMissingError, GrantMissingError) as error:
        _record_refusal(credential, region, look, target, error, now)
        raise


def _before_append(
    connection: psycopg.Connection[Any],
    allowed: _Allowed,
    found: _Found,
    record_id: UUID,
    now: datetime,
) -> None:
    """What is counted with a look, in the transaction of its record: what is raised here undoes both."""
    if allowed.broken is not None:
        # Its human may have ended it since it was looked for.
        objects = len(found.seen)
        if not note_look(connection, allowed.broken, record_id=record_id, objects=objects, now=now):
            raise _missing()
        return
    seen = [
        (one.grant.grant_id, one.stored.object_id) for one in found.seen if one.grant is not None
    ]
    # Somebody may have taken a grant back since it was looked for.
    if not note_uses(connection, human=allowed.human, record_id=record_id, seen=seen, now=now):
        raise _no_grant()


def _open_all(region: str, tenant_id: UUID, found: Sequence[StoredObject]) -> list[Revealed]:
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


def _redacted(region: str, tenant_id: UUID, found: _Found) -> list[Redacted]:
    """The redacted texts, after the look was recorded. No original is opened here, whatever is missing."""
    shown = []
    for one in found.seen:
        with tenant_scope(region_alias(region), tenant_id, snapshot=True) as connection:
            permit = refuse_while_restore_pending(connection, region)
            try:
                refuse_unless_readable(connection, [one.stored.subject_id])
                opened = open_rendering(permit=permit, tenant_id=tenant_id, stored=one.stored)
            except (SubjectErasedError, ContentGoneError):
                continue
        shown.append(
            Redacted(
                object_id=one.stored.object_id,
                interaction_id=one.stored.record_id,
                role=one.stored.role,
                content=opened.content,
                detector=opened.detector,
            )
        )
    if found.is_unscanned:
        raise NotScannedError(
            "What is under this hash was not scanned yet, or could not be. Ask again in a minute."
        )
    if not shown:
        raise ContentNotFoundError("Nothing that you may see is found under this hash.")
    return shown


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


def tag_of(region: str, tenant_id: UUID, content_hash: str) -> bytes:
    """The lookup tag: made from a SHA-256 that the caller took of the content, or given as such.

    Raises ContentHashError.
    """
    match = _HASH.fullmatch(content_hash)
    if match is None:
        raise ContentHashError("Give `sha256:` or `tag:` and 64 lower-case hex digits.")
    digest = bytes.fromhex(match[2])
    if match[1] == "tag":
        return digest
    return lookup_tag(region=region, tenant_id=tenant_id, content_sha256=digest)
