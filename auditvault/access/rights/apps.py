"""The rights app."""

from __future__ import annotations

from django.apps import AppConfig


class RightsConfig(AppConfig):
    """Ends of roles, members of tenants, tokens' successors and humans' former ids, in the control database."""

    name = "auditvault.access.rights"
    label = "access_rights"
    default_auto_field = "django.db.models.BigAutoField"
