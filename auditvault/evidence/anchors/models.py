"""Time stamps, made by SQL (`sql/`): the migration owns the schema, the models say what it is.

Private to this app: other rooms call `services` and `selectors`.
"""

from __future__ import annotations

from django.db import models


class StoredTimestamp(models.Model):
    """One stamp over the checkpoints of every log of the region."""

    timestamp_id = models.UUIDField(primary_key=True)
    asked_at = models.DateTimeField()
    gen_time = models.DateTimeField()
    stored_at = models.DateTimeField()
    size = models.BigIntegerField()
    root = models.BinaryField()
    leaves = models.BinaryField()
    response = models.BinaryField()

    class Meta:
        managed = False
        db_table = "evidence_timestamp"


class StampedCheckpoint(models.Model):
    """The first stamp over a size of a log."""

    pk = models.CompositePrimaryKey("tenant_id", "log_id", "size")
    tenant_id = models.UUIDField()
    log_id = models.IntegerField()
    size = models.BigIntegerField()
    timestamp_id = models.UUIDField()
    leaf_index = models.BigIntegerField()

    class Meta:
        managed = False
        db_table = "evidence_stamped"
