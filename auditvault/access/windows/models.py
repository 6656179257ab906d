"""Counts of what a caller did in a window. Schema and function stand in `sql/`."""

from __future__ import annotations

from django.db import models


class AccessWindow(models.Model):
    """How often a caller did one thing in the newest window, and in the one before. Changed by a function alone."""

    pk = models.CompositePrimaryKey("tenant_id", "caller", "what")
    tenant_id = models.UUIDField()
    caller = models.TextField()
    what = models.TextField()
    window_at = models.DateTimeField()
    used = models.IntegerField()
    before_at = models.DateTimeField(null=True)
    before_used = models.IntegerField(null=True)

    class Meta:
        managed = False
        db_table = "access_window"
