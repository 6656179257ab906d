"""The ingest app."""

from __future__ import annotations

from django.apps import AppConfig


class IngestConfig(AppConfig):
    """OTLP and REST in; owns no table."""

    name = "auditvault.ingest"
    label = "ingest"
    default_auto_field = "django.db.models.BigAutoField"
