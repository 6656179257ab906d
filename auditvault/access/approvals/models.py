"""Approvals. Schema and permitted changes stand in `sql/`."""

from __future__ import annotations

from django.db import models


class StoredApproval(models.Model):
    """A plan that somebody asked to have approved; `plan` and who asked never change."""

    pk = models.CompositePrimaryKey("tenant_id", "approval_id")
    tenant_id = models.UUIDField()
    approval_id = models.UUIDField()
    operation = models.TextField()
    case_ref = models.TextField()
    plan = models.BinaryField()
    plan_digest = models.BinaryField()
    requested_by = models.UUIDField()
    requester = models.TextField()
    requested_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    state = models.TextField()
    approved_by = models.UUIDField(null=True)
    approver = models.TextField(null=True)  # noqa: DJ001  # NULL is "nobody", as below
    approved_at = models.DateTimeField(null=True)
    ended_by = models.UUIDField(null=True)
    ender = models.TextField(null=True)  # noqa: DJ001
    ended_at = models.DateTimeField(null=True)

    class Meta:
        managed = False
        db_table = "access_approval"
