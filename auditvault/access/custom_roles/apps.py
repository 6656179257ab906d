"""The custom roles app."""

from __future__ import annotations

from django.apps import AppConfig


class CustomRolesConfig(AppConfig):
    """What each tenant's own roles allow, in the control database."""

    name = "auditvault.access.custom_roles"
    label = "access_custom_roles"
    default_auto_field = "django.db.models.BigAutoField"
