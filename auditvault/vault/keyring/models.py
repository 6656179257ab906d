"""Tables of the keyring: wrapped keys and nothing else. Schema stands in `sql/`."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models


class RegionKey(models.Model):
    """The region KEK of one epoch, wrapped by the provider's root key of that epoch."""

    epoch = models.IntegerField(primary_key=True)
    key_id = models.UUIDField(unique=True)
    wrapped = models.BinaryField()
    created_at = models.DateTimeField()
    key_ref = models.TextField(default="")

    class Meta:
        managed = False
        db_table = "keyring_region_key"


class TenantKey(models.Model):
    """A tenant's KEK of one epoch, wrapped by the region KEK."""

    pk = models.CompositePrimaryKey("tenant_id", "epoch")
    tenant_id = models.UUIDField()
    epoch = models.IntegerField()
    key_id = models.UUIDField(unique=True)
    wrapped = models.BinaryField()
    created_at = models.DateTimeField()

    class Meta:
        managed = False
        db_table = "keyring_tenant_key"


class TagSecret(models.Model):
    """The secret behind a tenant's lookup and identifier tags, wrapped by the region KEK."""

    pk = models.CompositePrimaryKey("tenant_id", "version")
    tenant_id = models.UUIDField()
    version = models.IntegerField()
    epoch = models.IntegerField()
    key_id = models.UUIDField(unique=True)
    wrapped = models.BinaryField()
    created_at = models.DateTimeField()

    class Meta:
        managed = False
        db_table = "keyring_tag_secret"


class SubjectKey(models.Model):
    """A subject's data key for one data class, wrapped by the tenant's KEK."""

    pk = models.CompositePrimaryKey("tenant_id", "subject_id", "data_class", "version")
    tenant_id = models.UUIDField()
    subject_id = models.UUIDField()
    data_class = models.TextField()
    version = models.IntegerField()
    key_id = models.UUIDField(unique=True)
    epoch = models.IntegerField()
    wrapped = models.BinaryField()
    created_at = models.DateTimeField()
    retired_at = models.DateTimeField(null=True)

    class Meta:
        managed = False
        db_table = "keyring_subject_key"


class Turn(models.Model):
    """The turn to an epoch: how far it is, what it moved, when what ended was past taking back."""

    to_epoch = models.IntegerField(primary_key=True)
    state = models.TextField()
    old_refs = ArrayField(models.TextField())
    old_keys = ArrayField(models.UUIDField())
    subject_keys = models.BigIntegerField(default=0)
    tag_secrets = models.BigIntegerField(default=0)
    tenant_keys = models.BigIntegerField(default=0)
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    past_recall_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        managed = False
        db_table = "keyring_turn"


class Rotation(models.Model):
    """A new version of one subject's key, by ids of keys alone."""

    rotation_id = models.UUIDField(primary_key=True)
    new_key_id = models.UUIDField()
    old_key_ids = ArrayField(models.UUIDField())
    state = models.TextField()
    rewrapped = models.BigIntegerField(default=0)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)

    class Meta:
        managed = False
        db_table = "keyring_rotation"
