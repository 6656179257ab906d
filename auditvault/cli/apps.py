"""The cli app."""

from __future__ import annotations

from django.apps import AppConfig


class CliConfig(AppConfig):
    """The command line."""

    name = "auditvault.cli"
    label = "cli"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the checks of a production site."""
        from auditvault.cli.deployment_checks import register_checks

        register_checks()
