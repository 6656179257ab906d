"""What the broker's messages call: look for alerts that are due in one region. A message says nothing else."""

from __future__ import annotations

from datetime import UTC, datetime

from celery import shared_task

from auditvault.access.alerts.delivery import deliver_due


@shared_task(name="auditvault.access.alerts.tasks.deliver_alerts", ignore_result=True)
def deliver_alerts(region: str) -> None:
    """Deliver what is due; a second message finds nothing to do."""
    deliver_due(region, clock=lambda: datetime.now(UTC))
