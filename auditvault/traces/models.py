"""Headers of interactions. Schema and partitions stand in `sql/`; fields in docs/spec/header.md."""

from __future__ import annotations

from django.db import models


class Header(models.Model):
    """One interaction: `header` is the committed truth, the other columns are its projection for search."""

    pk = models.CompositePrimaryKey("tenant_id", "record_id")
    tenant_id = models.UUIDField()
    record_id = models.UUIDField()
    trace_id = models.BinaryField()
    span_id = models.BinaryField()
    parent_span_id = models.BinaryField(null=True)
    revision = models.IntegerField()
    started_at = models.DateTimeField()
    duration_ns = models.BigIntegerField(null=True)
    operation = models.TextField()
    status = models.TextField()
    name = models.TextField(null=True)  # noqa: DJ001  # NULL is "not said", as for each below
    provider = models.TextField(null=True)  # noqa: DJ001
    model = models.TextField(null=True)  # noqa: DJ001
    input_tokens = models.BigIntegerField(null=True)
    output_tokens = models.BigIntegerField(null=True)
    service = models.TextField(null=True)  # noqa: DJ001
    environment = models.TextField(null=True)  # noqa: DJ001
    feature = models.TextField(null=True)  # noqa: DJ001
    error_type = models.TextField(null=True)  # noqa: DJ001
    opening = models.BinaryField()
    header = models.BinaryField()

    class Meta:
        managed = False
        db_table = "traces_header"
