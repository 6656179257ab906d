"""Tables of erasure requests that are carried out. Schema, constraints and functions stand in `sql/`."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models


class Manifest(models.Model):
    """What was frozen for a request; never changed."""

    pk = models.CompositePrimaryKey("tenant_id", "request_id", "digest")
    tenant_id = models.UUIDField()
    request_id = models.UUIDField()
    digest = models.BinaryField()
    body = models.BinaryField()
    frozen_at = models.DateTimeField()

    class Meta:
        managed = False
        db_table = "privacy_manifest"


class Listing(models.Model):
    """The objects that a manifest means in this region."""

    pk = models.CompositePrimaryKey("tenant_id", "listing_id")
    tenant_id = models.UUIDField()
    listing_id = models.UUIDField()
    request_id = models.UUIDField()
    home = models.TextField()
    made_at = models.DateTimeField()

    class Meta:
        managed = False
        db_table = "privacy_listing"


class ListingObject(models.Model):
    """One of them, and where it was found."""

    pk = models.CompositePrimaryKey("tenant_id", "listing_id", "object_id")
    tenant_id = models.UUIDField()
    listing_id = models.UUIDField()
    object_id = models.UUIDField()
    tag = models.BinaryField()

    class Meta:
        managed = False
        db_table = "privacy_listing_object"


class Part(models.Model):
    """How far a request is in this region."""

    pk = models.CompositePrimaryKey("tenant_id", "request_id")
    tenant_id = models.UUIDField()
    request_id = models.UUIDField()
    home = models.TextField()
    manifest = models.BinaryField()
    state = models.TextField()
    code = models.TextField(null=True)  # noqa: DJ001  # NULL is "none"
    holds = ArrayField(models.UUIDField())
    tries = models.IntegerField()
    next_try_at = models.DateTimeField()
    ordered_at = models.DateTimeField()
    destroyed = models.BigIntegerField(null=True)
    keys = models.BigIntegerField(null=True)
    idxs = ArrayField(models.BigIntegerField())
    hashes = ArrayField(models.BinaryField())
    done_at = models.DateTimeField(null=True)
    checked = models.BigIntegerField(null=True)
    remaining = models.BigIntegerField(null=True)
    opened = models.BigIntegerField(null=True)
    arrived = models.BigIntegerField(null=True)
    verified_at = models.DateTimeField(null=True)

    class Meta:
        managed = False
        db_table = "privacy_part"


class Certificate(models.Model):
    """What was signed for a request."""

    pk = models.CompositePrimaryKey("tenant_id", "request_id")
    tenant_id = models.UUIDField()
    request_id = models.UUIDField()
    certificate_id = models.UUIDField()
    body = models.BinaryField()
    issued_at = models.DateTimeField()

    class Meta:
        managed = False
        db_table = "privacy_certificate"
