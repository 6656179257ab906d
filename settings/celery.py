"""The Celery application: one queue a region, JSON only, the database is the truth.

Messages say "look now" and nothing else. Due work is a row that a worker claims with FOR UPDATE SKIP LOCKED, so
a lost message costs a delay and a doubled one costs nothing.
"""

from __future__ import annotations

import os
from typing import Any

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings.dev")

from django.conf import settings

TICK_SECONDS = 10.0
SWEEP_SECONDS = 600.0
# Longer than the longest task: a message is redelivered only when its worker is gone.
VISIBILITY_TIMEOUT_SECONDS = 4 * 3600

app = Celery("auditvault")


def _beat_schedule(regions: list[str]) -> dict[str, dict[str, Any]]:
    return {
        f"{name}-{region}": {
            "task": task,
            "schedule": seconds,
            "args": [region],
            "options": {"queue": f"region-{region}", "expires": TICK_SECONDS * 6},
        }
        for name, task, seconds in (
            ("tick", "auditvault.evidence.tasks.run_due_jobs", TICK_SECONDS),
            ("alerts", "auditvault.access.alerts.tasks.deliver_alerts", TICK_SECONDS),
            ("holds", "auditvault.privacy.tasks.enforce_holds", TICK_SECONDS),
            ("requests", "auditvault.privacy.tasks.carry_out_requests", TICK_SECONDS),
            ("listings", "auditvault.privacy.tasks.sweep_old_listings", SWEEP_SECONDS),
            ("scan", "auditvault.privacy.tasks.scan_contents", TICK_SECONDS),
            ("retention", "auditvault.privacy.tasks.run_retention", TICK_SECONDS),
        )
        for region in regions
    }


app.conf.update(
    broker_url=settings.BROKER_URL,
    broker_connection_retry_on_startup=True,
    broker_transport_options={"visibility_timeout": VISIBILITY_TIMEOUT_SECONDS},
    task_serializer="json",
    accept_content=["json"],
    result_backend=None,
    task_ignore_result=True,
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    worker_hijack_root_logger=False,
    worker_send_task_events=False,
    task_create_missing_queues=True,
    timezone="UTC",
    enable_utc=True,
    beat_schedule=_beat_schedule(settings.REGIONS),
    beat_schedule_filename=str(settings.HOME / "beat-schedule"),
)
app.autodiscover_tasks(["auditvault.evidence", "auditvault.access.alerts", "auditvault.privacy"])
