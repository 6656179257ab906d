"""The pruning app."""

from __future__ import annotations

from django.apps import AppConfig


class EvidencePruningConfig(AppConfig):
    """The function that drops what was pruned, in the region databases."""

    name = "auditvault.evidence.pruning"
    label = "evidence_pruning"
    default_auto_field = "django.db.models.BigAutoField"
