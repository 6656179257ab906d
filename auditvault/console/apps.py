"""The console app."""

from __future__ import annotations

from django.apps import AppConfig


class ConsoleConfig(AppConfig):
    """The web interface for people."""

    name = "auditvault.console"
    label = "console"
    default_auto_field = "django.db.models.BigAutoField"
