"""The erasing app."""

from __future__ import annotations

from django.apps import AppConfig


class PrivacyErasingConfig(AppConfig):
    """Manifests, the parts of a request in its regions, and certificates, in the region databases."""

    name = "auditvault.privacy.erasing"
    label = "privacy_erasing"
    default_auto_field = "django.db.models.BigAutoField"
