"""Looking for personal data in what was taken in: claimed in batches by workers, never in a request.

Order, and what a crash leaves (docs/explanation/what-a-crash-leaves.md):

1. Objects that the detector has not seen are claimed, for ten minutes.    Crash: claimed again when the claim ran out;
                                                                           given up at the third time.
2. The entry `access.scan` names them: a machine looks.                    Crash: a record of a look that was none.
3. They are opened, each where its subject can be read in that moment.     Crash: the same; nothing is kept of them.
4. They are analysed, in memory, in no transaction.                        Crash: the same.
5. What was found is sealed and put down where the claim still holds,      Crash: before the commit as 4; after it that
   with the content rendered without it; one transaction for each object.  object is done.

A machine's look is recorded as a person's is: before it, in the tenant's access log, one entry for a batch, with the
objects and the detector. If it cannot be written, nothing is opened.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import psycopg
from django.db import DatabaseError

from auditvault.access.events.services import Act as RecordedAct
from auditvault.access.events.services import record_act
from auditvault.access.holdings import tenants_of_region
from auditvault.core.errors import AuditvaultError
from auditvault.core.tlog.canonical import JsonValue
from auditvault.ledger.scope import region_alias, tenant_scope
from auditvault.privacy.detection.analyser import (
    MOST_BYTES,
    Analyser,
    ContentTooLargeToScanError,
    detector_version,
)
from auditvault.privacy.detection.engine import versions
from auditvault.privacy.detection.findings import Finding, as_json
from auditvault.privacy.detection.mentions import mentioned
from auditvault.privacy.detection.rendering import Placeholders, render
from auditvault.vault.erasures.pending import (
    Permit,
    RestorePendingError,
    refuse_while_restore_pending,
)
from auditvault.vault.hash_only import stated_by
from auditvault.vault.kinds import KindRules
from auditvault.vault.mentions import Tagged, note_mentions, tags_of_mentions
from auditvault.vault.opening import (
    ContentGoneError,
    StoredObject,
    is_large,
    objects_by_id,
    open_stored,
)
from auditvault.vault.renderings import Value, number_values, seal_rendering
from auditvault.vault.scans import cek_of, claim_scans, seal_findings, settle_scan
from auditvault.vault.services import lookup_tag
from auditvault.vault.subjects import SubjectErasedError, refuse_unless_readable

log = logging.getLogger("auditvault.privacy")

BATCH = 32
"""Objects of one claim, and of one record."""
TOO_LARGE = ContentTooLargeToScanError.code
HASH_ONLY = "scan_hash_only"
FAILED = "scan_failed"
_EVERYTHING = datetime(1970, 1, 2, tzinfo=UTC)


class _Seen(NamedTuple):
    """A claimed object, and its content or why there is none to analyse; neither where it is to be let go of."""

    object_id: UUID
    stored: StoredObject | None = None
    content: bytes | None = None
    code: str | None = None


def scan_region(
    region: str,
    analyser: Analyser,
    *,
    within: timedelta | None = None,
    budget: timedelta,
    now: Callable[[], datetime],
) -> int:
    """Look at what is new in the region, for every tenant in turn; returns how many objects were settled.

    `within` bounds how long ago an object was recorded; all of them where it is None. After `budget` no further batch
    is begun. A tenant whose batch fails does not keep the others; its objects are claimed again later.
    """
    end, settled = time.monotonic() + budget.total_seconds(), 0
    since = now() - within if within else _EVERYTHING
    waiting = sorted(tenants_of_region(region))
    while waiting and time.monotonic() < end:
        for tenant_id in list(waiting):
            if time.monotonic() >= end:
                break
            try:
                done = scan_batch(region, tenant_id, analyser, since=since, now=now())
            except RestorePendingError:
                return settled
            except (AuditvaultError, DatabaseError) as error:
                log.warning(
                    "a scan in %s was put off: %s",
                    region,
                    getattr(error, "code", type(error).__name__),
                )
                done = 0
            settled += done
            if not done:
                waiting.remove(tenant_id)
    return settled


def scan_batch(
    region: str, tenant_id: UUID, analyser: Analyser, *, since: datetime, now: datetime
) -> int:
    """Look at a batch of one tenant's objects; returns how many were settled.

    Raises AccessNotRecordedError where the look could not be recorded, RestorePendingError; nothing was opened then.
    """
    claim = uuid4()
    wanted = _claim(region, tenant_id, claim, since)
    if not wanted:
        return 0
    record_act(region=region, tenant_id=tenant_id, act=_act(wanted), now=now)
    seen = _open(region, tenant_id, wanted)
    findings = _analysed(analyser, [one for one in seen if one.content is not None])
    return _settle(region, tenant_id, claim, seen, findings)


def _claim(region: str, tenant_id: UUID, claim: UUID, since: datetime) -> list[UUID]:
    """Step 1."""
    with tenant_scope(region_alias(region), tenant_id) as connection:
        refuse_while_restore_pending(connection, region)
        return claim_scans(
            connection, detector=detector_version(), claim=claim, since=since, most=BATCH
        )


def _act(wanted: Sequence[UUID]) -> RecordedAct:
    """Step 2: what is recorded."""
    details: dict[str, JsonValue] = {
        "detector": detector_version(),
        "objects": [str(object_id) for object_id in wanted],
    }
    return RecordedAct(
        actor="service", actor_role=None, action="scan", outcome="granted", details=details
    )


def _open(region: str, tenant_id: UUID, wanted: Sequence[UUID]) -> list[_Seen]:
    """Step 3. At most MOST_BYTES are opened at once; what is over that waits for the next batch."""
    seen: list[_Seen] = []
    size = 0
    with tenant_scope(region_alias(region), tenant_id) as connection:
        permit = refuse_while_restore_pending(connection, region)
        found = objects_by_id(connection, wanted)
        # What is not found any more took its claim along.
        for stored in (found[object_id] for object_id in wanted if object_id in found):
            size += len(stored.envelope)
            if size > MOST_BYTES and seen:
                seen.append(_Seen(stored.object_id))
            else:
                seen.append(_look(permit, tenant_id, stored))
    return seen


def _look(permit: Permit, tenant_id: UUID, stored: StoredObject) -> _Seen:
    if is_large(stored):
        return _Seen(stored.object_id, stored, code=TOO_LARGE)
    try:
        refuse_unless_readable(permit.connection, [stored.subject_id])
        content = open_stored(permit=permit, tenant_id=tenant_id, stored=stored).content
    except SubjectErasedError:
        return _Seen(stored.object_id)
    except ContentGoneError as error:
        return _Seen(stored.object_id, stored, code=error.code)
    return _opened(permit.region, tenant_id, stored, content)


def _opened(region: str, tenant_id: UUID, stored: StoredObject, content: bytes) -> _Seen:
    def tag_of(digest: bytes) -> bytes:
        return lookup_tag(region=region, tenant_id=tenant_id, content_sha256=digest)

    if stated_by(content, stored.tag, tag_of):
        return _Seen(stored.object_id, stored, code=HASH_ONLY)
    if len(content) > MOST_BYTES:
        return _Seen(stored.object_id, stored, code=TOO_LARGE)
    return _Seen(stored.object_id, stored, content)


def _analysed(analyser: Analyser, seen: Sequence[_Seen]) -> dict[UUID, list[Finding] | None]:
    """Step 4: what was found in each; None where its analysis failed, which keeps none of the others."""
    contents = [one.content or b"" for one in seen]
    try:
        return dict(zip([one.object_id for one in seen], analyser.analyse(contents), strict=True))
    except Exception as error:  # noqa: BLE001  # whatever a content does to a recogniser
        log.warning(
            "a batch of %d contents is analysed one by one: %s", len(seen), type(error).__name__
        )
    return dict(_one_by_one(analyser, seen))


def _one_by_one(
    analyser: Analyser, seen: Sequence[_Seen]
) -> Iterator[tuple[UUID, list[Finding] | None]]:
    for one in seen:
        try:
            yield one.object_id, analyser.analyse([one.content or b""])[0]
        except Exception as error:  # noqa: BLE001
            log.warning("object %s was not analysed: %s", one.object_id, type(error).__name__)
            yield one.object_id, None


def _settle(
    region: str,
    tenant_id: UUID,
    claim: UUID,
    seen: Sequence[_Seen],
    findings: dict[UUID, list[Finding] | None],
) -> int:
    """Step 5, each object in a transaction of its own; returns how many claims held that were not let go of.

    So who removes objects meanwhile waits for one of them, and never in a circle.
    """
    settled, rules = 0, KindRules(region=region, tenant_id=tenant_id)
    for one in seen:
        made = _made(region, tenant_id, one, findings.get(one.object_id), rules)
        with tenant_scope(region_alias(region), tenant_id) as connection:
            held = _put_down(connection, region, tenant_id, claim, one, made)
        settled += held and made is not None
    return settled


class _Made(NamedTuple):
    """What is to be put down, all but the numbers: those are the database's."""

    found: list[Finding]
    envelope: bytes
    cek: bytes
    """Of the object, for the rendering."""
    values: list[Value]
    mentions: list[Tagged]
    """Tags of who is named in it."""


def _made(
    region: str, tenant_id: UUID, one: _Seen, found: list[Finding] | None, rules: KindRules
) -> _Made | str | None:
    """Sealed findings and what is to be replaced, or a code; nothing of what is let go of."""
    if one.stored is None or one.code is not None:
        return one.code
    if found is None:
        return FAILED
    placeholders = Placeholders()
    try:
        envelope = seal_findings(
            region=region,
            tenant_id=tenant_id,
            stored=one.stored,
            detector=described(),
            findings=as_json(found),
        )
        cek = cek_of(region, tenant_id, one.stored)
        # Rendered twice: which values there are is known afterwards, and their numbers then.
        render(one.content or b"", found, placeholders)
    except ContentGoneError as error:
        return error.code
    except Exception as error:  # noqa: BLE001  # whatever a content does to a renderer
        log.warning("object %s was not rendered: %s", one.object_id, type(error).__name__)
        return FAILED
    mentions = tags_of_mentions(
        region=region, tenant_id=tenant_id, identifiers=mentioned(placeholders.replaced, rules)
    )
    return _Made(found, envelope, cek, placeholders.values(), mentions)


def _put_down(
    connection: psycopg.Connection[Any],
    region: str,
    tenant_id: UUID,
    claim: UUID,
    one: _Seen,
    made: _Made | str | None,
) -> bool:
    """Findings, rendering and numbers, or a code, in the caller's transaction; whether the claim held."""
    if one.stored is None or not isinstance(made, _Made):
        version = one.stored.version if one.stored else 0
        code = made if isinstance(made, str) else None
        return settle_scan(
            connection, claim=claim, object_id=one.object_id, version=version, code=code
        )
    numbers = number_values(
        connection,
        region=region,
        tenant_id=tenant_id,
        claim=claim,
        stored=one.stored,
        values=made.values,
    )
    if numbers is None:
        return False
    note_mentions(connection, claim=claim, stored=one.stored, tags=made.mentions)
    rendering = seal_rendering(
        region=region,
        tenant_id=tenant_id,
        stored=one.stored,
        cek=made.cek,
        detector=detector_version(),
        content=render(one.content or b"", made.found, Placeholders(numbers)),
    )
    return settle_scan(
        connection,
        claim=claim,
        object_id=one.object_id,
        version=one.stored.version,
        envelope=made.envelope,
        rendering=rendering,
    )


def described() -> dict[str, JsonValue]:
    """The detector, as each result names it: its version, the model, and the model's licence."""
    return {"version": detector_version(), **versions()}
