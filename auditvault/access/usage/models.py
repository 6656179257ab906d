"""Counts of looks. The schema stands in `sql/`; all but the limits is changed by functions alone."""

from __future__ import annotations

from django.db import models


class LookCount(models.Model):
    """What one caller looked at on one day (UTC); kept for 35 days, as their own baseline."""

    pk = models.CompositePrimaryKey("tenant_id", "who", "day")
    tenant_id = models.UUIDField()
    who = models.TextField()
    day = models.DateField()
    looks = models.IntegerField()
    misses = models.IntegerField()
    is_refused = models.BooleanField()
    miss_window_at = models.DateTimeField(null=True)
    window_misses = models.IntegerField()

    class Meta:
        managed = False
        db_table = "look_count"


class LookSubject(models.Model):
    """Whom one caller looked at on one day; kept for two days."""

    pk = models.CompositePrimaryKey("tenant_id", "who", "day", "subject_id")
    tenant_id = models.UUIDField()
    who = models.TextField()
    day = models.DateField()
    subject_id = models.UUIDField()

    class Meta:
        managed = False
        db_table = "look_subject"


class LookAlerted(models.Model):
    """Since when nothing more is said of a caller's unusual act of one kind."""

    pk = models.CompositePrimaryKey("tenant_id", "who", "kind")
    tenant_id = models.UUIDField()
    who = models.TextField()
    kind = models.TextField()
    window_at = models.DateTimeField()

    class Meta:
        managed = False
        db_table = "look_alerted"


class LookLimit(models.Model):
    """A tenant's own daily budget of subjects, in versions; the newest counts."""

    pk = models.CompositePrimaryKey("tenant_id", "version")
    tenant_id = models.UUIDField()
    version = models.IntegerField()
    set_at = models.DateTimeField()
    record_id = models.UUIDField()
    subjects_per_day = models.IntegerField()

    class Meta:
        managed = False
        db_table = "look_limit"
