"""Alerts. The schema stands in `sql/`."""

from __future__ import annotations

from django.db import models


class Alert(models.Model):
    """Something that somebody must hear of; its id is that of its record in the tenant's admin log."""

    pk = models.CompositePrimaryKey("tenant_id", "alert_id")
    tenant_id = models.UUIDField()
    alert_id = models.UUIDField()
    raised_at = models.DateTimeField()
    kind = models.TextField()
    details = models.BinaryField()

    class Meta:
        managed = False
        db_table = "access_alert"


class Delivery(models.Model):
    """An alert on its way to one receiver; of the nil receiver, to finding out who they are. Changed by functions."""

    pk = models.CompositePrimaryKey("tenant_id", "alert_id", "receiver_id", "recipient_id")
    tenant_id = models.UUIDField()
    alert_id = models.UUIDField()
    receiver_id = models.UUIDField()
    recipient_id = models.UUIDField()
    state = models.TextField()
    attempts = models.IntegerField()
    due_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    outcome = models.TextField(null=True)  # noqa: DJ001  # NULL is "none yet"

    class Meta:
        managed = False
        db_table = "access_alert_delivery"
