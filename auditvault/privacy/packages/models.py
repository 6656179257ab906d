"""Tables of copies. Schema, constraints and functions stand in `sql/`."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models


class PackageOrder(models.Model):
    """Whom a copy is encrypted to; never changed."""

    pk = models.CompositePrimaryKey("tenant_id", "request_id")
    tenant_id = models.UUIDField()
    request_id = models.UUIDField()
    certificate = models.BinaryField()
    locked_key = models.BinaryField(null=True)
    ordered_by = models.UUIDField()
    ordered_at = models.DateTimeField()

    class Meta:
        managed = False
        db_table = "privacy_package_order"


class Package(models.Model):
    """One region's file, as ciphertext."""

    pk = models.CompositePrimaryKey("tenant_id", "request_id")
    tenant_id = models.UUIDField()
    request_id = models.UUIDField()
    home = models.TextField()
    manifest = models.BinaryField()
    ordered_by = models.UUIDField()
    locked_key = models.BinaryField(null=True)
    subject_ids = ArrayField(models.UUIDField())
    state = models.TextField()
    code = models.TextField(null=True)  # noqa: DJ001  # NULL is "none"
    tries = models.IntegerField()
    next_try_at = models.DateTimeField()
    contents = models.BigIntegerField(null=True)
    body = models.BinaryField(null=True)
    digest = models.BinaryField(null=True)
    made_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(null=True)
    delivered_at = models.DateTimeField(null=True)

    class Meta:
        managed = False
        db_table = "privacy_package"


class PackageLink(models.Model):
    """What opens the way to a file once."""

    pk = models.CompositePrimaryKey("tenant_id", "link_id")
    tenant_id = models.UUIDField()
    link_id = models.UUIDField()
    request_id = models.UUIDField()
    secret_hash = models.BinaryField()
    made_by = models.UUIDField()
    made_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)

    class Meta:
        managed = False
        db_table = "privacy_package_link"
