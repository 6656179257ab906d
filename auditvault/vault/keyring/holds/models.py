"""Tables of holds and destructions: ids only. Schema, triggers and functions stand in `sql/`."""

from __future__ import annotations

from django.db import models


class Hold(models.Model):
    """Keys that are not to be destroyed: a tenant's, a subject's, or one."""

    hold_id = models.UUIDField(primary_key=True)
    tenant_id = models.UUIDField()
    subject_id = models.UUIDField(null=True)
    key_id = models.UUIDField(null=True)
    reference = models.UUIDField()
    placed_at = models.DateTimeField()

    class Meta:
        managed = False
        db_table = "keyring_hold"


class Destruction(models.Model):
    """A subject whose keys are being or were destroyed, and who gets no further one."""

    pk = models.CompositePrimaryKey("tenant_id", "subject_id")
    tenant_id = models.UUIDField()
    subject_id = models.UUIDField()
    erasure_id = models.UUIDField()
    begun_at = models.DateTimeField()
    destroyed_at = models.DateTimeField(null=True)

    class Meta:
        managed = False
        db_table = "keyring_destruction"


class KeyringErasureState(models.Model):
    """The last record of the erasure ledger that was carried out on this keyring."""

    only_row = models.BooleanField(primary_key=True, default=True)
    idx = models.BigIntegerField()
    hash = models.BinaryField()

    class Meta:
        managed = False
        db_table = "keyring_erasure_state"
