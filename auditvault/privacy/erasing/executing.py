"""One region's part of a request: destroying what is ordered, and looking afterwards whether anything is left.

What is to go stands in the manifest, which is read where the request is kept, with the request: it has to be the one
that was approved and is being carried out. A row of this region orders nothing by itself.

Order, and what a crash leaves behind:

1. Whoever the manifest names, whoever the identifiers lead to by now, and who is one person with them is destroyed,
   some hundred at a time (`vault.shred.destroy`, which says what a crash inside it leaves).  Crash: some are gone. The
   part is still ordered, and the next look goes on with the others.
2. The part is noted as done, with its counts, and the entry, in one transaction.  Crash: still ordered; nobody is left
   to destroy, and the counts, which come from the erasures themselves, are the same.
3. The verification is noted, with its entry, in one transaction.  Crash: it is made again.

Two workers at one part destroy the same, one after the other, and one of them notes it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar
from uuid import UUID

import psycopg

from auditvault.core.errors import AuditvaultError
from auditvault.core.policy.erasure import State
from auditvault.core.policy.manifest import Manifest, RegionFound, objects_digest
from auditvault.core.tlog.canonical import JsonValue
from auditvault.ledger.admin.services import admin_log, new_record_id, record_in
from auditvault.ledger.scope import region_alias, retention_connection, tenant_scope
from auditvault.privacy.erasing.discovery import named, request_and_names
from auditvault.privacy.erasing.store import (
    Outcome,
    Part,
    PartState,
    holds_over,
    listed,
    manifest_of,
    note_part,
    note_verified,
    part_of,
)
from auditvault.privacy.failures import FAILURES, code_of
from auditvault.privacy.requests.store import RequestRecord, Tag
from auditvault.vault.erasures.reading import erasures_for
from auditvault.vault.finding import look_for_left, people_named, same_people, standing
from auditvault.vault.shred import KeysHeldError, destroy, finish_unfinished

log = logging.getLogger("auditvault.privacy")

ENTRY_TYPE_CARRIED_OUT = "erasure.carried_out"
ENTRY_TYPE_VERIFIED = "erasure.verified"
AT_ONCE = 200
"""Subjects in one record of the erasure ledger."""
LONGEST_WAIT = timedelta(hours=1)


class PartNotOrderedError(AuditvaultError):
    """Where the request is kept, nobody has approved what this part would do, or it is not being carried out."""

    code: ClassVar[str] = "erasure_not_ordered"


class ListingDamagedError(AuditvaultError):
    """The list of objects is not the one that the manifest means: nobody can say whether something of it is left."""

    code: ClassVar[str] = "manifest_listing_damaged"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Order:
    """What is to be done, as the region that keeps the request says it."""

    record: RequestRecord
    manifest: Manifest
    found: RegionFound
    tags: list[Tag]


def carry_out_region(region: str, now: datetime) -> int:
    """Do what waits in the region, of every tenant; how many parts changed. One that fails does not keep the others."""
    rows = retention_connection(region).execute("SELECT * FROM privacy_parts_due()").fetchall()
    changed = 0
    for tenant_id, request_id in rows:
        try:
            changed += carry_out(region=region, tenant_id=tenant_id, request_id=request_id, now=now)
        except FAILURES:
            log.exception("the part of request %s in %s did not go on", request_id, region)
    return changed


def carry_out(*, region: str, tenant_id: UUID, request_id: UUID, now: datetime) -> bool:
    """Do what a part is waiting for; whether it changed. Raises what keeps it from being noted."""
    with tenant_scope(region_alias(region), tenant_id) as connection:
        part = part_of(connection, request_id)
    if part is None or part.state not in {PartState.ORDERED, PartState.DONE}:
        return False
    order = _order(region, tenant_id, part)
    if part.state is PartState.DONE:
        return order.record.request.state is State.VERIFYING and _verify(
            region, tenant_id, part, order
        )
    if order.record.request.state is not State.EXECUTING:
        return False
    return _note(region, tenant_id, part, _outcome(region, tenant_id, part, order, now))


def wait_after(tries: int) -> timedelta:
    """How long a part rests that was tried so often: a minute, doubled each time, an hour at most."""
    return min(timedelta(minutes=2 ** min(tries, 10)), LONGEST_WAIT)


def _order(region: str, tenant_id: UUID, part: Part) -> _Order:
    """Raises PartNotOrderedError, ManifestNotFoundError, ManifestError, or what the other region's database raises."""
    record, naming = request_and_names(part.home, tenant_id, part.request_id)
    request = record.request
    if not request.has_begun or request.approved_manifest != part.manifest:
        raise PartNotOrderedError("What this part would do was not approved, or was not begun.")
    with tenant_scope(region_alias(part.home), tenant_id) as connection:
        manifest = manifest_of(connection, part.request_id, request.approved_manifest)
    if (manifest.request_id, manifest.tenant_id) != (part.request_id, tenant_id):
        raise PartNotOrderedError("That manifest is of another request.")
    return _Order(
        record=record,
        manifest=manifest,
        found=manifest.part(region),
        tags=naming.get(region, []),
    )


def _outcome(region: str, tenant_id: UUID, part: Part, order: _Order, now: datetime) -> Outcome:
    try:
        # One that a crash left half-way is gone through first: its subjects are nobody's to look for any more.
        finish_unfinished(region=region, at=now)
        left = left_to_destroy(region, tenant_id, order.found, order.tags)
        if left.holds:
            return Outcome(state=PartState.HELD, holds=left.holds)
        for subjects in _chunks(left.subjects):
            destroy(
                region=region,
                tenant_id=tenant_id,
                subjects=subjects,
                reference=part.request_id,
                at=now,
            )
        return _done(region, tenant_id, part)
    except KeysHeldError as error:
        return Outcome(state=PartState.HELD, holds=sorted(error.references))
    except FAILURES as error:
        log.exception("the part of request %s in %s failed", part.request_id, region)
        return Outcome(state=PartState.FAILED, code=code_of(error), wait=wait_after(part.tries))


@dataclass(frozen=True, slots=True)
class ToDestroy:
    """Whom nobody has erased yet, and the holds that cover something of theirs."""

    subjects: list[UUID]
    holds: list[UUID]


def left_to_destroy(region: str, tenant_id: UUID, found: RegionFound, tags: list[Tag]) -> ToDestroy:
    """Whoever is not erased yet: of the manifest, and whoever the identifiers lead to since it was frozen."""
    with tenant_scope(region_alias(region), tenant_id) as connection:
        people = same_people(connection, tenant_id, found.subject_ids)
        people |= set(people_named(connection, tenant_id, named(tags)))
        subjects = standing(connection, sorted(people))
        return ToDestroy(subjects, holds_over(connection, subjects) if subjects else [])


def _chunks(subjects: list[UUID]) -> Iterator[list[UUID]]:
    for start in range(0, len(subjects), AT_ONCE):
        yield subjects[start : start + AT_ONCE]


def _done(region: str, tenant_id: UUID, part: Part) -> Outcome:
    with tenant_scope(region_alias(region), tenant_id) as connection:
        done = erasures_for(connection, region, part.request_id)
    return Outcome(
        state=PartState.DONE,
        destroyed=sum(each.objects for each in done),
        keys=sum(each.keys for each in done),
        records=[(each.idx, each.hash) for each in done],
    )


def _note(region: str, tenant_id: UUID, part: Part, outcome: Outcome) -> bool:
    admin = admin_log(region, tenant_id)
    with tenant_scope(region_alias(region), tenant_id) as connection:
        if not note_part(connection, part.request_id, outcome):
            return False
        if outcome.state is PartState.DONE:
            details: dict[str, JsonValue] = {
                **_named(part),
                "objects": outcome.destroyed or 0,
                "keys": outcome.keys or 0,
                "records": [
                    {"i": index, "hash": digest.hex()} for index, digest in outcome.records
                ],
            }
            record_in(
                connection,
                admin,
                record_id=new_record_id(connection),
                action=ENTRY_TYPE_CARRIED_OUT,
                details=details,
            )
    return True


def _verify(region: str, tenant_id: UUID, part: Part, order: _Order) -> bool:
    """Look for everything that the manifest lists and for everybody that was destroyed, and note what is left."""
    admin = admin_log(region, tenant_id)
    with tenant_scope(region_alias(region), tenant_id) as connection:
        objects = listed(connection, order.found.listing_id)
        if objects_digest(object_id for object_id, _ in objects) != order.found.objects_digest:
            raise ListingDamagedError("The list of what was frozen is not the one that was frozen.")
        gone = _destroyed(connection, tenant_id, part, order)
        arrived = set(people_named(connection, tenant_id, named(order.tags))) - gone
    left = look_for_left(region=region, tenant_id=tenant_id, subjects=sorted(gone), listed=objects)
    with tenant_scope(region_alias(region), tenant_id) as connection:
        found: dict[str, int] = {
            "checked": left.checked,
            "remaining": left.remaining,
            "opened": left.opened,
            "arrived": len(arrived),
        }
        if not note_verified(connection, part.request_id, **found):
            return False
        record_in(
            connection,
            admin,
            record_id=new_record_id(connection),
            action=ENTRY_TYPE_VERIFIED,
            details={**_named(part), **found},
        )
    return True


def _destroyed(
    connection: psycopg.Connection[Any], tenant_id: UUID, part: Part, order: _Order
) -> set[UUID]:
    """Everybody who should be gone: of the manifest, of the erasures, and who is one person with any of them."""
    rows = connection.execute(
        "SELECT DISTINCT unnest(subject_ids) FROM vault_erasure WHERE reference = %s",
        (part.request_id,),
    ).fetchall()
    named_there = {*order.found.subject_ids, *(row[0] for row in rows)}
    return same_people(connection, tenant_id, named_there)


def _named(part: Part) -> dict[str, JsonValue]:
    return {
        "request": str(part.request_id),
        "home": part.home,
        "manifest": part.manifest.hex(),
    }
