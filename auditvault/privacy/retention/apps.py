"""The retention app."""

from __future__ import annotations

from django.apps import AppConfig


class PrivacyRetentionConfig(AppConfig):
    """Retention policies, in the region databases."""

    name = "auditvault.privacy.retention"
    label = "privacy_retention"
    default_auto_field = "django.db.models.BigAutoField"
