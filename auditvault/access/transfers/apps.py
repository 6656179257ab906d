"""The transfers app."""

from __future__ import annotations

from django.apps import AppConfig


class TransfersConfig(AppConfig):
    """Transfer bases, in the region databases."""

    name = "auditvault.access.transfers"
    label = "access_transfers"
    default_auto_field = "django.db.models.BigAutoField"
