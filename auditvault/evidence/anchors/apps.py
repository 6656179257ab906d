"""The anchors app."""

from __future__ import annotations

from django.apps import AppConfig


class AnchorsConfig(AppConfig):
    """Time stamps over the logs' checkpoints, in the region databases."""

    name = "auditvault.evidence.anchors"
    label = "evidence_anchors"
    default_auto_field = "django.db.models.BigAutoField"
