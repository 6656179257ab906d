"""The grants app."""

from __future__ import annotations

from django.apps import AppConfig


class GrantsConfig(AppConfig):
    """Grants and what they were used for, in the region databases."""

    name = "auditvault.access.grants"
    label = "access_grants"
    default_auto_field = "django.db.models.BigAutoField"
