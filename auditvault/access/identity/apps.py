"""The identity app."""

from __future__ import annotations

from django.apps import AppConfig


class IdentityConfig(AppConfig):
    """How people prove who they are; its tables are in the control database."""

    name = "auditvault.access.identity"
    label = "access_identity"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """What a session remembers is written when somebody signs in or adds a factor."""
        from auditvault.access.identity import receivers

        receivers.connect()
