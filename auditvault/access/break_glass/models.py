"""Break-glass and the looks under it. Schema and permitted changes stand in `sql/`."""

from __future__ import annotations

from django.db import models


class StoredBreakGlass(models.Model):
    """That somebody may look without a grant; it changes by ending early, once, and by being reviewed, once."""

    pk = models.CompositePrimaryKey("tenant_id", "break_glass_id")
    tenant_id = models.UUIDField()
    break_glass_id = models.UUIDField()
    record_id = models.UUIDField()
    human_id = models.UUIDField()
    holder = models.TextField()
    case_ref = models.TextField()
    opened_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    due_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    reviewed_at = models.DateTimeField(null=True)
    reviewed_by = models.UUIDField(null=True)
    reviewer = models.TextField(null=True)  # noqa: DJ001  # NULL is "nobody yet"
    verdict = models.TextField(null=True)  # noqa: DJ001
    review_case = models.TextField(null=True)  # noqa: DJ001

    class Meta:
        managed = False
        db_table = "access_break_glass"


class BreakGlassLook(models.Model):
    """A look under one: the access record that says so, and how many contents it was at."""

    pk = models.CompositePrimaryKey("tenant_id", "break_glass_id", "record_id")
    tenant_id = models.UUIDField()
    break_glass_id = models.UUIDField()
    record_id = models.UUIDField()
    objects_seen = models.IntegerField()
    looked_at = models.DateTimeField()

    class Meta:
        managed = False
        db_table = "access_break_glass_look"


class BreakGlassTold(models.Model):
    """An overdue one that somebody was told of."""

    pk = models.CompositePrimaryKey("tenant_id", "break_glass_id")
    tenant_id = models.UUIDField()
    break_glass_id = models.UUIDField()

    class Meta:
        managed = False
        db_table = "access_break_glass_told"
