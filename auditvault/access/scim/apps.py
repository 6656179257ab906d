"""The SCIM app."""

from __future__ import annotations

from django.apps import AppConfig


class ScimConfig(AppConfig):
    """SCIM clients, their users and their groups, in the control database."""

    name = "auditvault.access.scim"
    label = "access_scim"
    default_auto_field = "django.db.models.BigAutoField"
