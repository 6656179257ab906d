"""Admin records. The schema stands in `sql/`."""

from __future__ import annotations

from django.db import models


class AdminEvent(models.Model):
    """One record of an `admin` log; `header` is the committed truth."""

    pk = models.CompositePrimaryKey("tenant_id", "record_id")
    tenant_id = models.UUIDField()
    record_id = models.UUIDField()
    recorded_at = models.DateTimeField()
    action = models.TextField()
    opening = models.BinaryField()
    header = models.BinaryField()

    class Meta:
        managed = False
        db_table = "admin_event"
