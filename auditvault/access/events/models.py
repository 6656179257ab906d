"""Access records. Schema and partitions stand in `sql/`."""

from __future__ import annotations

from django.db import models


class AccessEvent(models.Model):
    """One act that was recorded before it happened; `header` is the committed truth."""

    pk = models.CompositePrimaryKey("tenant_id", "record_id")
    tenant_id = models.UUIDField()
    record_id = models.UUIDField()
    recorded_at = models.DateTimeField()
    action = models.TextField()
    outcome = models.TextField()
    actor = models.TextField()
    actor_role = models.TextField(null=True)  # noqa: DJ001  # NULL is "none", as below
    purpose_code = models.TextField(null=True)  # noqa: DJ001
    case_ref = models.TextField(null=True)  # noqa: DJ001
    opening = models.BinaryField()
    header = models.BinaryField()

    class Meta:
        managed = False
        db_table = "access_event"
