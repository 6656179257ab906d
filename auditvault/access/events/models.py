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


class LookupUse(models.Model):
    """How many lookups a caller, or under an empty name the tenant, made in a window. Changed by a function alone."""

    pk = models.CompositePrimaryKey("tenant_id", "caller")
    tenant_id = models.UUIDField()
    caller = models.TextField()
    window_at = models.DateTimeField()
    used = models.IntegerField()
    is_refused = models.BooleanField()

    class Meta:
        managed = False
        db_table = "lookup_use"
