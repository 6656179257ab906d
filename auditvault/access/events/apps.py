"""The access events app."""

from __future__ import annotations

from django.apps import AppConfig


class AccessEventsConfig(AppConfig):
    """Access records, in the region databases."""

    name = "auditvault.access.events"
    label = "access_events"
    default_auto_field = "django.db.models.BigAutoField"
