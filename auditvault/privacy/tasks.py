"""What the broker's messages call: look for due work in one region. A message says nothing else."""

from __future__ import annotations

from celery import shared_task

from auditvault.privacy.holds.enforcing import enforce_region


@shared_task(name="auditvault.privacy.tasks.enforce_holds", ignore_result=True)
def enforce_holds(region: str) -> None:
    """Bring the keyring to what the region's holds say; a second message finds nothing to do."""
    enforce_region(region)
