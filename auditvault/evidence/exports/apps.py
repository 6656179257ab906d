"""The exports app."""

from __future__ import annotations

from django.apps import AppConfig


class EvidenceExportsConfig(AppConfig):
    """Exports and their encrypted parts, in the region databases."""

    name = "auditvault.evidence.exports"
    label = "evidence_exports"
    default_auto_field = "django.db.models.BigAutoField"
