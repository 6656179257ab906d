"""What the broker's messages call: look for due work in one region. A message says nothing else."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import UUID

from celery import shared_task
from django.conf import settings

from auditvault.privacy.erasing.driving import drive_region, sweep_listings
from auditvault.privacy.erasing.executing import carry_out_region
from auditvault.privacy.failures import FAILURES, code_of
from auditvault.privacy.holds.enforcing import enforce_region
from auditvault.privacy.packages.driving import drive_region as drive_copies
from auditvault.privacy.packages.driving import packages_due
from auditvault.privacy.requests.carrying_out import carry_out_due
from auditvault.privacy.requests.telling import tell_due
from auditvault.privacy.retention.running import run_region

if TYPE_CHECKING:
    from auditvault.privacy.detection.findings import Finding

log = logging.getLogger("auditvault.privacy")

_MOST_ROUNDS = 10


@shared_task(name="auditvault.privacy.tasks.enforce_holds", ignore_result=True)
def enforce_holds(region: str) -> None:
    """Bring the keyring to what the region's holds say; a second message finds nothing to do."""
    enforce_region(region)


@shared_task(name="auditvault.privacy.tasks.carry_out_requests", ignore_result=True)
def carry_out_requests(region: str) -> None:
    """Take requests, and parts of them, as far as they go; what waits for another region goes on at its next look."""
    tell_due(region, datetime.now(UTC))
    for _ in range(_MOST_ROUNDS):
        now = datetime.now(UTC)
        if not drive_region(region, now) + carry_out_region(region, now):
            break
    carry_out_due(region, datetime.now(UTC))
    drive_copies(region, datetime.now(UTC))
    for tenant_id, request_id in packages_due(region):
        _make_package(region, tenant_id, request_id)
    drive_copies(region, datetime.now(UTC))


def _make_package(region: str, tenant_id: UUID, request_id: UUID) -> None:
    # Imported here: what renders contents is large, which a worker that makes no copies does without.
    from auditvault.privacy.packages.making import make

    try:
        now = datetime.now(UTC)
        make(region=region, tenant_id=tenant_id, request_id=request_id, now=now, analyse=_analyse)
    except FAILURES as error:
        log.warning("the package of %s in %s waits: %s", request_id, region, code_of(error))


def _analyse(content: bytes) -> list[Finding]:
    # Imported here, as in `scan_contents`: only what nobody has looked through yet needs the model.
    from auditvault.privacy.detection.rounds import the_analyser

    return the_analyser().analyse([content])[0]


@shared_task(name="auditvault.privacy.tasks.sweep_old_listings", ignore_result=True)
def sweep_old_listings(region: str) -> None:
    """Forget lists of objects that no manifest means: each costs a look at the region that keeps its request."""
    sweep_listings(region)


@shared_task(name="auditvault.privacy.tasks.scan_contents", ignore_result=True)
def scan_contents(region: str) -> None:
    """Look for personal data in what nobody has looked at, for some seconds; several workers share the work."""
    if settings.SCAN_CONTENTS:
        # Imported here: the model and what runs it are 200 MB, which a worker that scans nothing does without.
        from auditvault.privacy.detection.rounds import look

        look(region)


@shared_task(name="auditvault.privacy.tasks.run_retention", ignore_result=True)
def run_retention(region: str) -> None:
    """Start the day's retention runs, and go on with those that were begun."""
    run_region(region, lambda: datetime.now(UTC))
