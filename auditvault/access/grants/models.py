"""Grants and their uses. Schema and permitted changes stand in `sql/`."""

from __future__ import annotations

from django.db import models


class StoredGrant(models.Model):
    """What one human may see of a case; made by an approval, it changes by being revoked alone."""

    pk = models.CompositePrimaryKey("tenant_id", "grant_id")
    tenant_id = models.UUIDField()
    grant_id = models.UUIDField()
    approval_id = models.UUIDField()
    human_id = models.UUIDField()
    holder = models.TextField()
    case_ref = models.TextField()
    terms = models.BinaryField()
    approver = models.TextField()
    starts_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True)
    revoker = models.TextField(null=True)  # noqa: DJ001  # NULL is "nobody"

    class Meta:
        managed = False
        db_table = "access_grant"


class GrantUse(models.Model):
    """That a content was seen under a grant: which, and the access record that says so."""

    pk = models.CompositePrimaryKey("tenant_id", "grant_id", "record_id", "object_id")
    tenant_id = models.UUIDField()
    grant_id = models.UUIDField()
    record_id = models.UUIDField()
    object_id = models.UUIDField()
    used_at = models.DateTimeField()

    class Meta:
        managed = False
        db_table = "access_grant_use"
