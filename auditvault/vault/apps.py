"""The vault app."""

from __future__ import annotations

from django.apps import AppConfig


class VaultConfig(AppConfig):
    """Subjects and sealed objects, in the region databases."""

    name = "auditvault.vault"
    label = "vault"
    default_auto_field = "django.db.models.BigAutoField"
