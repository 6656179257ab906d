"""The requests app."""

from __future__ import annotations

from django.apps import AppConfig


class PrivacyRequestsConfig(AppConfig):
    """Requests about people's data, in the region databases."""

    name = "auditvault.privacy.requests"
    label = "privacy_requests"
    default_auto_field = "django.db.models.BigAutoField"
