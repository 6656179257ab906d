"""Tables of the vault: ciphertext and keyed tags. Schema and partitions stand in `sql/`. Private to this app."""

from __future__ import annotations

from django.db import models


class Subject(models.Model):
    """A data subject, a session without a known person, or the tenant itself."""

    pk = models.CompositePrimaryKey("tenant_id", "subject_id")
    tenant_id = models.UUIDField()
    subject_id = models.UUIDField()
    kind = models.TextField()
    state = models.TextField()
    created_at = models.DateTimeField()

    class Meta:
        managed = False
        db_table = "vault_subject"


class Identifier(models.Model):
    """A keyed tag of something that names a subject, with the name itself sealed beside it."""

    pk = models.CompositePrimaryKey("tenant_id", "kind", "tag")
    tenant_id = models.UUIDField()
    kind = models.TextField()
    tag = models.BinaryField()
    subject_id = models.UUIDField()
    object_id = models.UUIDField(null=True)
    key_id = models.UUIDField(null=True)
    wrapped_cek = models.BinaryField(null=True)
    envelope = models.BinaryField(null=True)
    normalisation = models.SmallIntegerField()
    created_at = models.DateTimeField()

    class Meta:
        managed = False
        db_table = "vault_identifier"


class VaultObject(models.Model):
    """One sealed content of one subject."""

    pk = models.CompositePrimaryKey("tenant_id", "object_id")
    tenant_id = models.UUIDField()
    object_id = models.UUIDField()
    record_id = models.UUIDField()
    subject_id = models.UUIDField()
    key_id = models.UUIDField()
    data_class = models.TextField()
    role = models.TextField()
    version = models.IntegerField()
    tag = models.BinaryField()
    wrapped_cek = models.BinaryField()
    envelope = models.BinaryField()

    class Meta:
        managed = False
        db_table = "vault_object"


class Piece(models.Model):
    """Some of the frames of a large content; the head stands in its object's row."""

    pk = models.CompositePrimaryKey("tenant_id", "object_id", "version", "number")
    tenant_id = models.UUIDField()
    object_id = models.UUIDField()
    version = models.IntegerField()
    number = models.IntegerField()
    sealed = models.BinaryField()

    class Meta:
        managed = False
        db_table = "vault_piece"


class SubjectRecord(models.Model):
    """Whose a record is, where no object of its own says so."""

    pk = models.CompositePrimaryKey("tenant_id", "record_id")
    tenant_id = models.UUIDField()
    record_id = models.UUIDField()
    subject_id = models.UUIDField()

    class Meta:
        managed = False
        db_table = "vault_record"


class TagAlias(models.Model):
    """A further hash under which an object is found."""

    pk = models.CompositePrimaryKey("tenant_id", "tag", "object_id")
    tenant_id = models.UUIDField()
    tag = models.BinaryField()
    object_id = models.UUIDField()

    class Meta:
        managed = False
        db_table = "vault_tag_alias"


class IdentifierKind(models.Model):
    """A kind of identifier that the tenant declared."""

    pk = models.CompositePrimaryKey("tenant_id", "kind")
    tenant_id = models.UUIDField()
    kind = models.TextField()
    normalisation = models.TextField()
    phone_region = models.TextField(null=True)  # noqa: DJ001  # no number has an empty country
    record_id = models.UUIDField()
    declared_at = models.DateTimeField()

    class Meta:
        managed = False
        db_table = "vault_identifier_kind"


class SubjectLink(models.Model):
    """A subject's place in a group of subjects that are one person; its newest row counts."""

    pk = models.CompositePrimaryKey("tenant_id", "link_number")
    tenant_id = models.UUIDField()
    link_number = models.BigIntegerField()
    subject_id = models.UUIDField()
    group_id = models.UUIDField()
    linked_at = models.DateTimeField()

    class Meta:
        managed = False
        db_table = "vault_subject_link"


class Scan(models.Model):
    """Who looked for personal data in an object, and what was found, sealed."""

    pk = models.CompositePrimaryKey("tenant_id", "object_id")
    tenant_id = models.UUIDField()
    object_id = models.UUIDField()
    version = models.IntegerField()
    detector = models.TextField()
    state = models.TextField()
    attempts = models.IntegerField()
    claim = models.UUIDField(null=True)
    claimed_until = models.DateTimeField(null=True)
    code = models.TextField(null=True)  # noqa: DJ001  # where nothing failed there is none
    envelope = models.BinaryField(null=True)
    settled_at = models.DateTimeField(null=True)

    class Meta:
        managed = False
        db_table = "vault_scan"


class Rendering(models.Model):
    """A content with what is personal replaced, sealed."""

    pk = models.CompositePrimaryKey("tenant_id", "object_id")
    tenant_id = models.UUIDField()
    object_id = models.UUIDField()
    version = models.IntegerField()
    detector = models.TextField()
    envelope = models.BinaryField()
    made_at = models.DateTimeField()

    class Meta:
        managed = False
        db_table = "vault_rendering"


class Placeholder(models.Model):
    """Which number a replaced value of an object has among what is its subject's."""

    pk = models.CompositePrimaryKey("tenant_id", "object_id", "entity", "tag")
    tenant_id = models.UUIDField()
    object_id = models.UUIDField()
    entity = models.TextField()
    tag = models.BinaryField()
    subject_id = models.UUIDField()
    number = models.IntegerField()

    class Meta:
        managed = False
        db_table = "vault_placeholder"


class PresentDetector(models.Model):
    """With which detector the tenant's workers look."""

    tenant_id = models.UUIDField(primary_key=True)
    detector = models.TextField()
    since_at = models.DateTimeField()

    class Meta:
        managed = False
        db_table = "vault_detector"


class Mention(models.Model):
    """A keyed tag of somebody who was found in an object."""

    pk = models.CompositePrimaryKey("tenant_id", "object_id", "kind", "tag")
    tenant_id = models.UUIDField()
    object_id = models.UUIDField()
    kind = models.TextField()
    tag = models.BinaryField()

    class Meta:
        managed = False
        db_table = "vault_mention"
