"""The alerts app."""

from __future__ import annotations

from django.apps import AppConfig


class AccessAlertsConfig(AppConfig):
    """Alerts and their deliveries, in the region databases."""

    name = "auditvault.access.alerts"
    label = "access_alerts"
    default_auto_field = "django.db.models.BigAutoField"
