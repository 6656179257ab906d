"""The legal holds app."""

from __future__ import annotations

from django.apps import AppConfig


class PrivacyHoldsConfig(AppConfig):
    """Legal holds, in the region databases."""

    name = "auditvault.privacy.holds"
    label = "privacy_holds"
    default_auto_field = "django.db.models.BigAutoField"
