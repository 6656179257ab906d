"""What the service does of a request by itself: from its approval to its certificate.

Runs in the region that keeps the request, and asks the others for their parts. Each step looks at the request, at the
parts, and takes an edge of the table or none; so it may be run at any time, by several workers at once, and again after
a crash. Orders go out before the edge that says so: a crash in between leaves parts that wait for it.

A region that does not answer is waited for; what the others can do, they do.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any
from uuid import UUID

import psycopg

from auditvault.core.ids import uuid7
from auditvault.core.policy.erasure import Action, Kind, ManifestDriftedError, State
from auditvault.core.policy.manifest import Manifest
from auditvault.core.tlog.canonical import JsonValue
from auditvault.ledger.scope import region_alias, retention_connection, tenant_scope
from auditvault.ledger.services import format_instant
from auditvault.privacy.erasing.certifying import sign_certificate
from auditvault.privacy.erasing.discovery import named, request_and_names
from auditvault.privacy.erasing.executing import left_to_destroy, wait_after
from auditvault.privacy.erasing.noticing import recipients_told, tell_recipients
from auditvault.privacy.erasing.store import (
    Part,
    PartState,
    forget_listings,
    insert_certificate,
    manifest_of,
    order_part,
    part_of,
)
from auditvault.privacy.failures import FAILURES, code_of
from auditvault.privacy.requests.services import Also, advance_request, write_nothing
from auditvault.privacy.requests.store import (
    RequestNotFoundError,
    RequestRecord,
    Tag,
    request_of,
)
from auditvault.vault.epochs import past_recall_at
from auditvault.vault.finding import people_named, standing

log = logging.getLogger("auditvault.privacy")

_AT_AN_END = frozenset(
    {State.CERTIFIED, State.CLOSED, State.REFUSED, State.WITHDRAWN, State.DUPLICATE}
)


def drive_region(region: str, now: datetime) -> int:
    """Take every request that the region keeps as far as it goes; how many steps. One does not keep the others."""
    rows = retention_connection(region).execute("SELECT * FROM privacy_requests_underway()")
    steps = 0
    for tenant_id, request_id in rows.fetchall():
        try:
            steps += drive(region=region, tenant_id=tenant_id, request_id=request_id, now=now)
        except FAILURES as error:
            log.warning("request %s in %s waits: %s", request_id, region, code_of(error))
    return steps


def drive(*, region: str, tenant_id: UUID, request_id: UUID, now: datetime) -> int:
    """Take one request as far as it goes by itself; how many steps that were.

    Raises what keeps it where it is: ManifestDriftedError, RequestOvertakenError, ErasureKeyError, or what a database
    raises.
    """
    steps = 0
    while True:
        record, naming = request_and_names(region, tenant_id, request_id)
        step = _STEPS.get(record.request.state)
        if record.request.kind is not Kind.ERASURE or step is None:
            return steps
        with tenant_scope(region_alias(region), tenant_id) as connection:
            manifest = manifest_of(connection, request_id, record.request.approved_manifest)
        if not step(_Underway(region, record, naming, manifest, now)):
            return steps
        steps += 1


def sweep_listings(region: str) -> int:
    """Forget lists of the region that no manifest means any more; how many requests' they were."""
    rows = retention_connection(region).execute("SELECT * FROM privacy_old_listings()").fetchall()
    swept = 0
    for tenant_id, request_id, home, listing_id in rows:
        try:
            if _is_meant(home, region, tenant_id, request_id, listing_id):
                continue
            with tenant_scope(region_alias(region), tenant_id) as connection:
                swept += bool(forget_listings(connection, request_id))
        except FAILURES:
            log.exception("what is listed for request %s in %s was not swept", request_id, region)
    return swept


def _is_meant(home: str, region: str, tenant_id: UUID, request_id: UUID, listing_id: UUID) -> bool:
    try:
        with tenant_scope(region_alias(home), tenant_id) as connection:
            request = request_of(connection, request_id).request
            if request.state in _AT_AN_END or request.manifest is None:
                return False
            manifest = manifest_of(connection, request_id, request.manifest)
    except RequestNotFoundError:
        return False
    return manifest.part(region).listing_id == listing_id


@dataclass(frozen=True, slots=True)
class _Underway:
    """A request, with everything that a step looks at."""

    region: str
    record: RequestRecord
    naming: Mapping[str, list[Tag]]
    manifest: Manifest
    """The approved one: its bytes were compared with the digest when they were read."""
    now: datetime

    def take(
        self,
        action: Action,
        *,
        manifest: bytes | None = None,
        details: Mapping[str, JsonValue] | None = None,
        also: Also = write_nothing,
    ) -> bool:
        advance_request(
            region=self.region,
            tenant_id=self.record.tenant_id,
            request_id=self.record.request_id,
            action=action,
            now=self.now,
            manifest=manifest,
            details=details,
            also=also,
        )
        return True

    def in_region(self, region: str, act: Callable[[psycopg.Connection[Any]], Any]) -> Any:
        with tenant_scope(region_alias(region), self.record.tenant_id) as connection:
            return act(connection)

    def parts(self) -> dict[str, Part]:
        """The parts that are ordered, by region; one that does not answer is not there."""
        found: dict[str, Part] = {}
        for each in self.manifest.regions:
            try:
                part = self.in_region(
                    each.region, lambda connection: part_of(connection, self.record.request_id)
                )
            except FAILURES:
                log.warning("request %s waits for %s", self.record.request_id, each.region)
                continue
            if part is not None:
                found[each.region] = part
        return found

    def order(self, region: str) -> None:
        self.in_region(
            region,
            lambda connection: order_part(
                connection,
                self.record.request_id,
                home=self.region,
                manifest=self.record.request.approved_manifest or b"",
            ),
        )

    def is_all(self, parts: Mapping[str, Part], *states: PartState) -> bool:
        return len(parts) == len(self.manifest.regions) and all(
            part.state in states for part in parts.values()
        )


def _begin(underway: _Underway) -> bool:
    """Raises ManifestDriftedError where somebody was approved who is not the person any more, by a split."""
    tenant_id = underway.record.tenant_id
    for part in underway.manifest.regions:
        tags = named(underway.naming.get(part.region, []))
        with tenant_scope(region_alias(part.region), tenant_id) as connection:
            people = set(people_named(connection, tenant_id, tags))
            people |= _gone_before(connection, part.subject_ids)
        strangers = set(part.subject_ids) - people
        if strangers and not underway.record.request.has_begun:
            raise ManifestDriftedError(
                "Somebody of the manifest is not the person any more. Give it another scope."
            )
    return underway.take(Action.BEGIN, manifest=underway.record.request.approved_manifest)


def _gone_before(connection: psycopg.Connection[Any], subjects: tuple[UUID, ...]) -> set[UUID]:
    """Those that are erased already: nothing leads to them, and nothing is done to them."""
    return set(subjects) - set(standing(connection, subjects))


def _execute(underway: _Underway) -> bool:
    parts = underway.parts()
    for each in underway.manifest.regions:
        part = parts.get(each.region)
        if part is None or part.state is PartState.LEFT:
            try:
                underway.order(each.region)
            except FAILURES:
                log.warning("request %s waits for %s", underway.record.request_id, each.region)
    done = (PartState.DONE, PartState.VERIFIED)
    if underway.is_all(parts, *done):
        return underway.take(
            Action.DESTROY_KEYS,
            details={
                "objects": sum(part.destroyed or 0 for part in parts.values()),
                "keys": sum(part.keys or 0 for part in parts.values()),
            },
        )
    if not underway.is_all(parts, *done, PartState.FAILED, PartState.HELD):
        return False
    failed = {name: part for name, part in parts.items() if part.state is PartState.FAILED}
    if failed:
        return underway.take(
            Action.FAIL,
            details={"regions": {name: part.code or "" for name, part in failed.items()}},
        )
    holds = sorted({str(each) for part in parts.values() for each in part.holds})
    return underway.take(Action.HOLD, details={"holds": [*holds]})


def _resume(underway: _Underway) -> bool:
    """Once no hold covers anything that is left; a part that was never ordered has nothing to wait for here."""
    held = {name for name, part in underway.parts().items() if part.state is PartState.HELD}
    if any(_is_held(underway, region) for region in held):
        return False
    for region in held:
        underway.order(region)
    return underway.take(Action.RESUME)


def _is_held(underway: _Underway, region: str) -> bool:
    found, tags = underway.manifest.part(region), underway.naming.get(region, [])
    return bool(left_to_destroy(region, underway.record.tenant_id, found, tags).holds)


def _retry(underway: _Underway) -> bool:
    failed = {
        name: part for name, part in underway.parts().items() if part.state is PartState.FAILED
    }
    if any(part.next_try_at > underway.now for part in failed.values()):
        return False
    for region in failed:
        underway.order(region)
    return underway.take(Action.RETRY)


def _finish(underway: _Underway) -> bool:
    return underway.take(Action.FINISH)


def _judge(underway: _Underway) -> bool:
    """All of it is gone, or what is left is gone through again; the more often, the later."""
    parts = underway.parts()
    if underway.is_all(parts, PartState.VERIFIED):
        return underway.take(
            Action.CONFIRM,
            details={
                "checked": sum(part.checked or 0 for part in parts.values()),
                "arrived": sum(part.arrived or 0 for part in parts.values()),
            },
            also=lambda connection, moved: tell_recipients(
                connection, underway.region, moved, underway.manifest
            ),
        )
    left = {name: part for name, part in parts.items() if part.state is PartState.LEFT}
    if any(not _may_reopen(part, underway.now) for part in left.values()):
        return False
    for region in left:
        underway.order(region)
    if left or any(part.state is PartState.ORDERED for part in parts.values()):
        return underway.take(Action.REOPEN, details={"regions": sorted(left)})
    return False


def _may_reopen(part: Part, now: datetime) -> bool:
    return (
        part.tries <= 1
        or part.verified_at is None
        or now >= part.verified_at + wait_after(part.tries)
    )


def _recall(parts: Mapping[str, Part]) -> tuple[bool, datetime | None]:
    """Whether it is known from when on no backup brings anything back; and from when."""
    latest: datetime | None = None
    for region, part in parts.items():
        if not part.keys or part.done_at is None:
            continue
        found = past_recall_at(region, part.done_at)
        if found is None:
            return False, None
        latest = max(latest, found) if latest else found
    return True, latest


def _pass_backups(underway: _Underway) -> bool:
    parts = underway.parts()
    if len(parts) != len(underway.manifest.regions):
        return False
    is_known, at = _recall(parts)
    if not is_known or (at is not None and at > underway.now):
        return False
    return underway.take(
        Action.PASS_BACKUPS, details={"past_recall_at": format_instant(at) if at else None}
    )


def _certify(underway: _Underway) -> bool:
    """The lists go first: a certificate is the last that is written of a request."""
    parts = underway.parts()
    is_known, at = _recall(parts)
    if not is_known or not underway.is_all(parts, PartState.VERIFIED):
        return False
    certificate_id = uuid7(underway.now)
    record = underway.record
    told = underway.in_region(
        underway.region,
        lambda connection: recipients_told(connection, record, underway.manifest),
    )
    if told is None:
        return False
    body = sign_certificate(
        region=underway.region,
        record=record,
        manifest=underway.manifest,
        parts=parts,
        certificate_id=certificate_id,
        past_recall_at=at,
        recipients=told,
        now=underway.now,
    )
    for each in underway.manifest.regions:
        underway.in_region(
            each.region, lambda connection: forget_listings(connection, record.request_id)
        )

    def store(connection: psycopg.Connection[Any], _moved: RequestRecord) -> None:
        insert_certificate(
            connection, record.tenant_id, record.request_id, certificate_id, body, underway.now
        )

    return underway.take(
        Action.CERTIFY,
        details={"certificate": sha256(body).hexdigest()},
        also=store,
    )


_STEPS: dict[State, Callable[[_Underway], bool]] = {
    State.SCHEDULED: _begin,
    State.EXECUTING: _execute,
    State.HELD: _resume,
    State.FAILED_RETRY: _retry,
    State.KEYS_DESTROYED: _finish,
    State.VERIFYING: _judge,
    State.BACKUP_PENDING: _pass_backups,
    State.NOTIFYING: _certify,
}
