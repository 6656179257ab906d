"""The erasures app."""

from __future__ import annotations

from django.apps import AppConfig


class ErasuresConfig(AppConfig):
    """Which erasures were begun and carried out, in the region databases."""

    name = "auditvault.vault.erasures"
    label = "vault_erasures"
    default_auto_field = "django.db.models.BigAutoField"
