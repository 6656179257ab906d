"""Tables of erasures: ids only. Schema and functions stand in `sql/`."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models


class Erasure(models.Model):
    """One erasure; its place in the erasure ledger once nothing is left."""

    pk = models.CompositePrimaryKey("tenant_id", "erasure_id")
    tenant_id = models.UUIDField()
    erasure_id = models.UUIDField()
    reference = models.UUIDField()
    subject_ids = ArrayField(models.UUIDField())
    begun_at = models.DateTimeField()
    idx = models.BigIntegerField(null=True, unique=True)
    hash = models.BinaryField(null=True)
    done_at = models.DateTimeField(null=True)
    found = models.BigIntegerField(null=True)

    class Meta:
        managed = False
        db_table = "vault_erasure"


class ErasureState(models.Model):
    """The last record of the erasure ledger that was carried out here, and a restore that was seen."""

    only_row = models.BooleanField(primary_key=True, default=True)
    idx = models.BigIntegerField()
    hash = models.BinaryField()
    pending_since = models.DateTimeField(null=True)
    pending_reason = models.TextField(null=True)  # noqa: DJ001  # no reason is not an empty one

    class Meta:
        managed = False
        db_table = "erasure_state"
