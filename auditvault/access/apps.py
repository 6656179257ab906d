"""The access app."""

from __future__ import annotations

from django.apps import AppConfig


class AccessConfig(AppConfig):
    """People, tenants and tokens, in the control database."""

    name = "auditvault.access"
    label = "access"
    default_auto_field = "django.db.models.BigAutoField"
