"""The packages app."""

from __future__ import annotations

from django.apps import AppConfig


class PrivacyPackagesConfig(AppConfig):
    """Orders of copies, the encrypted files, and the links to them, in the region databases."""

    name = "auditvault.privacy.packages"
    label = "privacy_packages"
    default_auto_field = "django.db.models.BigAutoField"
