"""The break-glass app."""

from __future__ import annotations

from django.apps import AppConfig


class BreakGlassConfig(AppConfig):
    """Break-glass and the looks under it, in the region databases."""

    name = "auditvault.access.break_glass"
    label = "access_break_glass"
    default_auto_field = "django.db.models.BigAutoField"
