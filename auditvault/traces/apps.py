"""The traces app."""

from __future__ import annotations

from django.apps import AppConfig


class TracesConfig(AppConfig):
    """Headers of interactions, in the region databases."""

    name = "auditvault.traces"
    label = "traces"
    default_auto_field = "django.db.models.BigAutoField"
