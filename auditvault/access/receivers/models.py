"""Receivers of alerts. No data of a data subject is here."""

from __future__ import annotations

import uuid

from django.contrib.postgres.fields import ArrayField
from django.db import models


class Receiver(models.Model):
    """A webhook, or a role whose people get an e-mail. One that is removed stays, so that deliveries have a name."""

    receiver_id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tenant = models.ForeignKey("access.Tenant", on_delete=models.PROTECT, related_name="receivers")
    # Empty: of every region of the tenant's, and alerts of every kind.
    regions = ArrayField(models.CharField(max_length=31), default=list, blank=True)
    kinds = ArrayField(models.CharField(max_length=64), default=list, blank=True)
    # Of these two exactly one says something.
    role = models.CharField(max_length=31, blank=True)
    url = models.CharField(max_length=2000, blank=True)
    # Sealed; see `secrets`. The one before holds beside it until the instant, so that a change loses no message.
    secret = models.BinaryField(null=True)
    secret_before = models.BinaryField(null=True)
    before_until = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    removed_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()
        constraints = [
            models.CheckConstraint(
                condition=models.Q(role="", url__startswith="http", secret__isnull=False)
                | models.Q(url="", secret__isnull=True) & ~models.Q(role=""),
                name="a_role_or_a_url",
            )
        ]
