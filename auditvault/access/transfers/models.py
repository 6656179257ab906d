"""Transfer bases and their ends. Schema stands in `sql/`; nobody changes either."""

from __future__ import annotations

from django.db import models


class StoredBasis(models.Model):
    """Why content may leave this region for another; the digest is over everything that was recorded."""

    pk = models.CompositePrimaryKey("tenant_id", "basis_id")
    tenant_id = models.UUIDField()
    basis_id = models.UUIDField()
    kind = models.TextField()
    reference = models.TextField()
    region = models.TextField()
    to_region = models.TextField()
    valid_from = models.DateTimeField()
    valid_until = models.DateTimeField()
    recorded_by = models.UUIDField()
    recorder = models.TextField()
    recorded_at = models.DateTimeField()

    class Meta:
        managed = False
        db_table = "transfer_basis"


class StoredBasisEnd(models.Model):
    """That somebody ended one before its time."""

    pk = models.CompositePrimaryKey("tenant_id", "basis_id")
    tenant_id = models.UUIDField()
    basis_id = models.UUIDField()
    ender = models.TextField()
    ended_at = models.DateTimeField()

    class Meta:
        managed = False
        db_table = "transfer_basis_end"
