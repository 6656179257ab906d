"""Access reviews. The schema stands in `sql/`."""

from __future__ import annotations

from django.db import models


class StoredReview(models.Model):
    """A list of who can see content, as it was when somebody froze it."""

    pk = models.CompositePrimaryKey("tenant_id", "review_id")
    tenant_id = models.UUIDField()
    review_id = models.UUIDField()
    quarter = models.TextField()
    opened_at = models.DateTimeField()
    opened_by = models.UUIDField()
    opener = models.TextField()
    list = models.BinaryField()
    list_sha256 = models.BinaryField()

    class Meta:
        managed = False
        db_table = "access_review"


class SignOff(models.Model):
    """What somebody decided of each line."""

    pk = models.CompositePrimaryKey("tenant_id", "review_id")
    tenant_id = models.UUIDField()
    review_id = models.UUIDField()
    signed_at = models.DateTimeField()
    signed_by = models.UUIDField()
    signer = models.TextField()
    decisions = models.BinaryField()
    record_id = models.UUIDField()

    class Meta:
        managed = False
        db_table = "access_review_sign_off"
