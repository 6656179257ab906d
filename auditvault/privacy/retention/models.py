"""The table of retention policies. Schema, constraints and functions stand in `sql/`."""

from __future__ import annotations

from django.db import models


class RetentionPolicyVersion(models.Model):
    """A policy's document, as it was set; never changed."""

    pk = models.CompositePrimaryKey("tenant_id", "version")
    tenant_id = models.UUIDField()
    version = models.IntegerField()
    document = models.BinaryField()
    old = models.BinaryField(null=True)
    approval_id = models.UUIDField(null=True)
    approved_at = models.DateTimeField(null=True)
    in_force_at = models.DateTimeField()
    record_id = models.UUIDField()
    set_at = models.DateTimeField()

    class Meta:
        managed = False
        db_table = "retention_policy"
