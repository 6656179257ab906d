"""Exports. The schema stands in `sql/`; rows are changed by functions alone."""

from __future__ import annotations

from django.db import models


class Export(models.Model):
    """What somebody asked to take away, and how far that has come."""

    pk = models.CompositePrimaryKey("tenant_id", "export_id")
    tenant_id = models.UUIDField()
    export_id = models.UUIDField()
    human = models.UUIDField()
    actor = models.TextField()
    request = models.BinaryField()
    certificate = models.BinaryField()
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    state = models.TextField()
    attempts = models.IntegerField()
    due_at = models.DateTimeField()
    cursor = models.TextField(null=True)  # noqa: DJ001  # NULL is "from the beginning"
    row_count = models.IntegerField()
    part_count = models.IntegerField()

    class Meta:
        managed = False
        db_table = "evidence_export"


class ExportPart(models.Model):
    """One encrypted part of an export; gone once it is fetched or expired."""

    pk = models.CompositePrimaryKey("tenant_id", "export_id", "number")
    tenant_id = models.UUIDField()
    export_id = models.UUIDField()
    number = models.IntegerField()
    row_count = models.IntegerField()
    sha256 = models.BinaryField()
    body = models.BinaryField()

    class Meta:
        managed = False
        db_table = "evidence_export_part"
