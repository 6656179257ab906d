"""What the service does of a request for a copy by itself: from its order to its delivery.

Runs in the region that keeps the request. Each step takes an edge of the table or none, so it may be run at any time,
by several workers, and again after a crash; orders go out before the edge that says so. A region that does not answer
is waited for. The request is certified once each region's file was fetched, and never without one.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from auditvault.core.policy.erasure import Action, State
from auditvault.core.policy.manifest import Manifest
from auditvault.core.tlog.canonical import JsonValue
from auditvault.ledger.scope import region_alias, retention_connection, tenant_scope
from auditvault.privacy.erasing.store import manifest_of
from auditvault.privacy.failures import FAILURES, code_of
from auditvault.privacy.packages import store
from auditvault.privacy.packages.ordering import COPIES
from auditvault.privacy.packages.store import Order, Package
from auditvault.privacy.requests.services import advance_request
from auditvault.privacy.requests.store import RequestRecord, request_of

log = logging.getLogger("auditvault.privacy")

_THERE = frozenset({"made", "delivered"})
_MOST_STEPS = 12


class _Underway(NamedTuple):
    region: str
    record: RequestRecord
    manifest: Manifest
    order: Order
    now: datetime

    def take(self, action: Action, details: Mapping[str, JsonValue] | None = None) -> bool:
        digest = self.record.request.approved_manifest if action is Action.BEGIN else None
        advance_request(
            region=self.region,
            tenant_id=self.record.tenant_id,
            request_id=self.record.request_id,
            action=action,
            now=self.now,
            manifest=digest,
            details=details,
        )
        return True

    def packages(self) -> dict[str, Package]:
        """Of the regions that have one; raises what a region's database raises."""
        found = {}
        for part in self.manifest.regions:
            with tenant_scope(region_alias(part.region), self.record.tenant_id) as connection:
                package = store.package_of(connection, self.record.request_id)
            if package is not None:
                found[part.region] = package
        return found

    def want(self) -> None:
        """Order a file in each region that answers and has none, or whose time to try again has come."""
        for part in self.manifest.regions:
            try:
                with tenant_scope(region_alias(part.region), self.record.tenant_id) as connection:
                    store.called(
                        connection,
                        "SELECT privacy_package_want(%s, %s, %s, %s, %s, %s)",
                        self.record.request_id,
                        self.region,
                        self.record.request.approved_manifest,
                        self.order.ordered_by,
                        self.order.locked_key,
                        list(part.subject_ids),
                    )
            except FAILURES:
                log.warning("request %s waits for %s", self.record.request_id, part.region)


def drive_region(region: str, now: datetime) -> int:
    """Take every request for a copy that the region keeps as far as it goes; how many steps."""
    connection = retention_connection(region)
    connection.execute("SELECT privacy_packages_forget()")
    rows = connection.execute("SELECT * FROM privacy_copies_underway()").fetchall()
    steps = 0
    for tenant_id, request_id in rows:
        try:
            steps += drive(region=region, tenant_id=tenant_id, request_id=request_id, now=now)
        except FAILURES as error:
            log.warning("request %s in %s waits: %s", request_id, region, code_of(error))
    return steps


def packages_due(region: str) -> list[tuple[UUID, UUID]]:
    """Tenant and request of every file of the region that is to be made now."""
    rows = retention_connection(region).execute("SELECT * FROM privacy_packages_due()").fetchall()
    return [(tenant_id, request_id) for tenant_id, request_id in rows]


def drive(*, region: str, tenant_id: UUID, request_id: UUID, now: datetime) -> int:
    """Take one request as far as it goes; how many steps. Raises what keeps it where it is."""
    for steps in range(_MOST_STEPS):
        with tenant_scope(region_alias(region), tenant_id) as connection:
            record = request_of(connection, request_id)
            order = store.order_of(connection, request_id)
            if record.request.kind not in COPIES or order is None:
                return steps
            manifest = manifest_of(connection, request_id, record.request.approved_manifest)
        if not _step(_Underway(region, record, manifest, order, now)):
            return steps
    return _MOST_STEPS


def _step(underway: _Underway) -> bool:
    state = underway.record.request.state
    if state is State.SCHEDULED:
        return underway.take(Action.BEGIN)
    if state is State.EXECUTING:
        return _execute(underway)
    if state is State.FAILED_RETRY:
        return _retry(underway)
    if state is State.VERIFYING:
        return _confirm(underway)
    if state is State.NOTIFYING:
        return _certify(underway)
    return False


def _execute(underway: _Underway) -> bool:
    underway.want()
    packages = underway.packages()
    if len(packages) < len(underway.manifest.regions):
        return False
    if all(package.state in _THERE for package in packages.values()):
        return underway.take(
            Action.FINISH, {"contents": sum(each.contents or 0 for each in packages.values())}
        )
    failed = {name: each for name, each in packages.items() if each.state == "failed"}
    if failed and all(each.state in {"failed", *_THERE} for each in packages.values()):
        return underway.take(
            Action.FAIL, {"regions": {name: each.code or "" for name, each in failed.items()}}
        )
    return False


def _retry(underway: _Underway) -> bool:
    failed = [each for each in underway.packages().values() if each.state == "failed"]
    if any(each.next_try_at > underway.now for each in failed):
        return False
    return underway.take(Action.RETRY)


def _confirm(underway: _Underway) -> bool:
    """Each region's file is there, and is the one that was made."""
    for part in underway.manifest.regions:
        with tenant_scope(region_alias(part.region), underway.record.tenant_id) as connection:
            if not store.is_whole(connection, underway.record.request_id):
                return False
    return underway.take(Action.CONFIRM)


def _certify(underway: _Underway) -> bool:
    packages = underway.packages()
    if len(packages) < len(underway.manifest.regions):
        return False
    if any(each.delivered_at is None for each in packages.values()):
        return False
    digests = {name: (each.digest or b"").hex() for name, each in packages.items()}
    return underway.take(Action.CERTIFY, {"packages": {**digests}})
