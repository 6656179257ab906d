"""The api app."""

from __future__ import annotations

from django.apps import AppConfig
from django.core.checks import register


class ApiConfig(AppConfig):
    """The HTTP interface for machines."""

    name = "auditvault.api"
    label = "api"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the system checks, which need every app."""
        from auditvault.api.checks import views_without_demands

        register(views_without_demands)
