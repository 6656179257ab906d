"""Tables of requests. Schema, constraints and functions stand in `sql/`."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models


class PrivacyRequest(models.Model):
    """Where a request is; moved by a function alone."""

    pk = models.CompositePrimaryKey("tenant_id", "request_id")
    tenant_id = models.UUIDField()
    request_id = models.UUIDField()
    kind = models.TextField()
    regime = models.TextField()
    regime_version = models.TextField()
    received_at = models.DateTimeField()
    acknowledge_by = models.DateField(null=True)
    answer_by = models.DateField()
    extended_by = models.DateField(null=True)
    due_at = models.DateTimeField()
    extended_due_at = models.DateTimeField(null=True)
    words_object = models.UUIDField(null=True)
    state = models.TextField()
    step = models.IntegerField()
    hands = ArrayField(models.UUIDField())
    is_identified = models.BooleanField()
    manifest = models.BinaryField(null=True)
    approved_manifest = models.BinaryField(null=True)
    approved_by = models.UUIDField(null=True)
    has_begun = models.BooleanField()
    is_extended = models.BooleanField()

    class Meta:
        managed = False
        db_table = "privacy_request"


class PrivacyRequestTag(models.Model):
    """A keyed tag of what names the person."""

    pk = models.CompositePrimaryKey("tenant_id", "request_id", "kind", "tag")
    tenant_id = models.UUIDField()
    request_id = models.UUIDField()
    kind = models.TextField()
    tag = models.BinaryField()
    normalisation = models.SmallIntegerField()

    class Meta:
        managed = False
        db_table = "privacy_request_tag"


class PrivacyRequestStep(models.Model):
    """One step of the timeline."""

    pk = models.CompositePrimaryKey("tenant_id", "request_id", "step")
    tenant_id = models.UUIDField()
    request_id = models.UUIDField()
    step = models.IntegerField()
    action = models.TextField()
    from_state = models.TextField(null=True)  # noqa: DJ001  # NULL is "none"
    to_state = models.TextField()
    actor = models.TextField()
    record_id = models.UUIDField()
    taken_at = models.DateTimeField()

    class Meta:
        managed = False
        db_table = "privacy_request_step"


class PrivacyRequestRegionTag(models.Model):
    """A keyed tag of what names the person in another region."""

    pk = models.CompositePrimaryKey("tenant_id", "request_id", "region", "kind", "tag")
    tenant_id = models.UUIDField()
    request_id = models.UUIDField()
    region = models.TextField()
    kind = models.TextField()
    tag = models.BinaryField()
    normalisation = models.SmallIntegerField()

    class Meta:
        managed = False
        db_table = "privacy_request_region_tag"


class PrivacyRequestTold(models.Model):
    """At which part of a request's time somebody was told."""

    pk = models.CompositePrimaryKey("tenant_id", "request_id", "due_at", "part")
    tenant_id = models.UUIDField()
    request_id = models.UUIDField()
    due_at = models.DateTimeField()
    part = models.SmallIntegerField()

    class Meta:
        managed = False
        db_table = "privacy_request_told"


class PrivacyRestriction(models.Model):
    """Whom a request restricts; written by two functions alone."""

    pk = models.CompositePrimaryKey("tenant_id", "request_id", "subject_id")
    tenant_id = models.UUIDField()
    request_id = models.UUIDField()
    subject_id = models.UUIDField()
    restricted_at = models.DateTimeField()
    lifted_at = models.DateTimeField(null=True)
    lifted_by = models.UUIDField(null=True)

    class Meta:
        managed = False
        db_table = "privacy_restriction"


class PrivacyRuling(models.Model):
    """What was decided about an objection; written by one function alone."""

    pk = models.CompositePrimaryKey("tenant_id", "request_id")
    tenant_id = models.UUIDField()
    request_id = models.UUIDField()
    ruling = models.TextField()
    follow_up = models.UUIDField(null=True)
    ruled_by = models.UUIDField()
    record_id = models.UUIDField()
    ruled_at = models.DateTimeField()

    class Meta:
        managed = False
        db_table = "privacy_ruling"
