"""The evidence app."""

from __future__ import annotations

from django.apps import AppConfig


class EvidenceConfig(AppConfig):
    """Verification and scheduled jobs; owns no table."""

    name = "auditvault.evidence"
    label = "evidence"
    default_auto_field = "django.db.models.BigAutoField"
