"""The access windows app."""

from __future__ import annotations

from django.apps import AppConfig


class AccessWindowsConfig(AppConfig):
    """What callers do too often for an access record of each, in the region databases."""

    name = "auditvault.access.windows"
    label = "access_windows"
    default_auto_field = "django.db.models.BigAutoField"
