"""The tables of retention policies and runs. Schema, constraints and functions stand in `sql/`."""

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


class RetentionRun(models.Model):
    """One pass in which what is due is destroyed, and how it ended."""

    pk = models.CompositePrimaryKey("tenant_id", "run_id")
    tenant_id = models.UUIDField()
    run_id = models.UUIDField()
    state = models.TextField()
    paused_at = models.DateTimeField(null=True)
    policy = models.BinaryField()
    version = models.IntegerField()
    as_of = models.DateField()
    plan = models.BinaryField()
    digest = models.BinaryField()
    due = models.BigIntegerField()
    shared = models.BigIntegerField()
    started_at = models.DateTimeField()
    begun_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    outcome = models.TextField(null=True)  # noqa: DJ001  # NULL is "not yet"
    reason = models.TextField(null=True)  # noqa: DJ001  # NULL is "none"
    destroyed = models.BigIntegerField(null=True)
    held = models.BigIntegerField(null=True)
    failed = models.BigIntegerField(null=True)
    gone = models.BigIntegerField(null=True)
    bytes = models.BigIntegerField(null=True)
    remaining = models.BigIntegerField(null=True)
    record_id = models.UUIDField(null=True)

    class Meta:
        managed = False
        db_table = "retention_run"


class RetentionRunItem(models.Model):
    """A content that a run's plan means, and what has become of it."""

    pk = models.CompositePrimaryKey("tenant_id", "run_id", "object_id")
    tenant_id = models.UUIDField()
    run_id = models.UUIDField()
    object_id = models.UUIDField()
    state = models.TextField()
    bytes = models.BigIntegerField()

    class Meta:
        managed = False
        db_table = "retention_run_item"
