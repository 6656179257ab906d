"""Tables of legal holds. Schema, triggers and functions stand in `sql/`."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models


class LegalHold(models.Model):
    """What must stay; changed only by its release."""

    pk = models.CompositePrimaryKey("tenant_id", "hold_id")
    tenant_id = models.UUIDField()
    hold_id = models.UUIDField()
    kind = models.TextField()
    scope = models.BinaryField()
    scope_digest = models.BinaryField()
    cases = ArrayField(models.TextField(), null=True)
    first_record = models.UUIDField(null=True)
    end_record = models.UUIDField(null=True)
    reference = models.TextField()
    placed_by = models.UUIDField()
    custodian = models.UUIDField()
    review_on = models.DateField()
    reason_object = models.UUIDField()
    placed_at = models.DateTimeField()
    released_at = models.DateTimeField(null=True)
    released_by = models.UUIDField(null=True)

    class Meta:
        managed = False
        db_table = "legal_hold"


class LegalHoldMember(models.Model):
    """A subject, a record, or a trace that a hold names."""

    pk = models.CompositePrimaryKey("tenant_id", "hold_id", "member")
    tenant_id = models.UUIDField()
    hold_id = models.UUIDField()
    member = models.UUIDField()

    class Meta:
        managed = False
        db_table = "legal_hold_member"


class LegalCaseRecord(models.Model):
    """A record that was put to a case."""

    pk = models.CompositePrimaryKey("tenant_id", "record_id", "case_ref")
    tenant_id = models.UUIDField()
    case_ref = models.TextField()
    record_id = models.UUIDField()
    put_at = models.DateTimeField()

    class Meta:
        managed = False
        db_table = "legal_case_record"
