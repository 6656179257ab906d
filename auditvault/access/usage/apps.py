"""The usage app."""

from __future__ import annotations

from django.apps import AppConfig


class AccessUsageConfig(AppConfig):
    """Counts of looks, and limits of tenants, in the region databases."""

    name = "auditvault.access.usage"
    label = "access_usage"
    default_auto_field = "django.db.models.BigAutoField"
