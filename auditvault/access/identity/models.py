"""Counters that slow guessing down, and links that let one person in once. Staff data, in the control database."""

from __future__ import annotations

from django.conf import settings
from django.db import models


class Counter(models.Model):
    """A value of Django's cache. Keys are hashed: no name and no address stands here."""

    key_hash = models.BinaryField(max_length=32, primary_key=True)
    value = models.JSONField()
    expires_at = models.DateTimeField(null=True, db_index=True)


class EntryLink(models.Model):
    """A link with which one person can set their password once: an invitation, or a reset."""

    class Kind(models.TextChoices):
        INVITATION = "invitation"
        RESET = "reset"

    token_hash = models.BinaryField(max_length=32, unique=True)
    kind = models.CharField(max_length=10, choices=Kind.choices)
    person = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="entry_links"
    )
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)


class ProvidedRole(models.Model):
    """A role that a person has because a group of theirs at an identity provider gives it."""

    person = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="provided_roles"
    )
    provider_id = models.CharField(max_length=31)
    tenant_slug = models.CharField(max_length=63)
    region = models.CharField(max_length=31)
    role = models.CharField(max_length=31)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["person", "provider_id", "tenant_slug", "region", "role"],
                name="one_row_per_provided_role",
            )
        ]
