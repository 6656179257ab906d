"""The receivers app."""

from __future__ import annotations

from django.apps import AppConfig


class AccessReceiversConfig(AppConfig):
    """Receivers of alerts, in the control database, where staff's addresses are."""

    name = "auditvault.access.receivers"
    label = "access_receivers"
    default_auto_field = "django.db.models.BigAutoField"
