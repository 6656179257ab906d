"""Tables of the log, made by SQL (`sql/`): the migrations own the schema, the models read it.

Private to this app: other rooms call `services` and `selectors`.
"""

from __future__ import annotations

from django.db import models


class Log(models.Model):
    """One append-only log: one for each (tenant, kind) in a region."""

    log_id = models.IntegerField(primary_key=True)
    tenant_id = models.UUIDField()
    kind = models.TextField()
    origin = models.TextField(unique=True)
    partition_entries = models.BigIntegerField()
    created_at = models.DateTimeField()

    class Meta:
        managed = False
        db_table = "ledger_log"


class Head(models.Model):
    """Where a log ends: its size, the compact range at that size, and the last leaf."""

    pk = models.CompositePrimaryKey("tenant_id", "log_id")
    tenant_id = models.UUIDField()
    log_id = models.IntegerField()
    size = models.BigIntegerField()
    range = models.BinaryField()
    last_leaf = models.BinaryField()
    last_at = models.DateTimeField()

    class Meta:
        managed = False
        db_table = "ledger_head"


class StoredEntry(models.Model):
    """One entry: its bytes, its leaf hash, and the record it commits to."""

    pk = models.CompositePrimaryKey("tenant_id", "log_id", "idx")
    tenant_id = models.UUIDField()
    log_id = models.IntegerField()
    idx = models.BigIntegerField()
    record_id = models.UUIDField()
    leaf_hash = models.BinaryField()
    entry = models.BinaryField()

    class Meta:
        managed = False
        db_table = "ledger_entry"


class Tile(models.Model):
    """256 hashes of one level, and the root above them (C2SP tlog-tiles)."""

    pk = models.CompositePrimaryKey("tenant_id", "log_id", "level", "n", "width")
    tenant_id = models.UUIDField()
    log_id = models.IntegerField()
    level = models.SmallIntegerField()
    n = models.BigIntegerField()
    width = models.SmallIntegerField()
    hashes = models.BinaryField()
    root = models.BinaryField()

    class Meta:
        managed = False
        db_table = "ledger_tile"


class StoredCheckpoint(models.Model):
    """A checkpoint as the signer signed it."""

    pk = models.CompositePrimaryKey("tenant_id", "log_id", "size", "signed_at")
    tenant_id = models.UUIDField()
    log_id = models.IntegerField()
    size = models.BigIntegerField()
    root = models.BinaryField()
    note = models.TextField()
    signed_at = models.DateTimeField()

    class Meta:
        managed = False
        db_table = "ledger_checkpoint"


class StoredCosignature(models.Model):
    """What one witness said of one checkpoint, verified when it was stored."""

    pk = models.CompositePrimaryKey("tenant_id", "log_id", "witness", "size", "cosigned_at")
    tenant_id = models.UUIDField()
    log_id = models.IntegerField()
    size = models.BigIntegerField()
    root = models.BinaryField()
    witness = models.BinaryField()
    cosigned_at = models.DateTimeField()
    line = models.TextField()

    class Meta:
        managed = False
        db_table = "ledger_cosignature"


class StoredPrune(models.Model):
    """Header of an entry `log.pruned`, and the entry; `header` is the committed truth."""

    pk = models.CompositePrimaryKey("tenant_id", "log_id", "previous")
    tenant_id = models.UUIDField()
    log_id = models.IntegerField()
    previous = models.BigIntegerField()
    minimum = models.BigIntegerField()
    idx = models.BigIntegerField()
    record_id = models.UUIDField()
    last_at = models.DateTimeField()
    cutoff = models.DateTimeField()
    entry = models.BinaryField()
    opening = models.BinaryField()
    header = models.BinaryField()

    class Meta:
        managed = False
        db_table = "ledger_prune"


class Pruned(models.Model):
    """A prune that was carried out: entries below `minimum` are gone."""

    pk = models.CompositePrimaryKey("tenant_id", "log_id", "minimum")
    tenant_id = models.UUIDField()
    log_id = models.IntegerField()
    minimum = models.BigIntegerField()
    last_at = models.DateTimeField()
    pruned_at = models.DateTimeField()
    entries = models.BigIntegerField()
    headers = models.BigIntegerField()
    size_bytes = models.BigIntegerField()

    class Meta:
        managed = False
        db_table = "ledger_pruned"


class ScheduledJob(models.Model):
    """Work that comes round: the row is the truth, the broker's message only says "look now"."""

    name = models.TextField(primary_key=True)
    interval_seconds = models.IntegerField()
    due_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    outcome = models.TextField(null=True)  # noqa: DJ001  # NULL is "not run yet"
    detail = models.JSONField(null=True)

    class Meta:
        managed = False
        db_table = "scheduled_job"
