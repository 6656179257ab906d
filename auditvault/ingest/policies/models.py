"""Payload policies. The schema stands in `sql/`."""

from __future__ import annotations

from django.db import models


class StoredPolicy(models.Model):
    """One version of a tenant's payload policy, or of the region's own under the nil UUID."""

    pk = models.CompositePrimaryKey("tenant_id", "version")
    tenant_id = models.UUIDField()
    version = models.IntegerField()
    set_at = models.DateTimeField()
    record_id = models.UUIDField()
    document = models.BinaryField()

    class Meta:
        managed = False
        db_table = "payload_policy"
