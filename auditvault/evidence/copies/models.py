"""Progress of copying, made by SQL (`sql/`): the migration owns the schema, the model says what it is.

Private to this app: other rooms call `services`, `checking` and `progress`.
"""

from __future__ import annotations

from django.db import models


class CopyProgress(models.Model):
    """How far a log was copied into one store. It saves work and proves nothing."""

    pk = models.CompositePrimaryKey("tenant_id", "log_id", "store")
    tenant_id = models.UUIDField()
    log_id = models.IntegerField()
    store = models.BinaryField()
    size = models.BigIntegerField()
    checkpoint = models.TextField(null=True)  # noqa: DJ001  # NULL is "none yet"
    signed_at = models.DateTimeField(null=True)

    class Meta:
        managed = False
        db_table = "evidence_copy"
