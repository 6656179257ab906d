"""The copies app."""

from __future__ import annotations

from django.apps import AppConfig


class CopiesConfig(AppConfig):
    """How far each log was copied, in the region databases."""

    name = "auditvault.evidence.copies"
    label = "evidence_copies"
    default_auto_field = "django.db.models.BigAutoField"
