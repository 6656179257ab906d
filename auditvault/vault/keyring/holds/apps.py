"""The holds app."""

from __future__ import annotations

from django.apps import AppConfig


class HoldsConfig(AppConfig):
    """Holds and destructions of keys, in the keyring databases."""

    name = "auditvault.vault.keyring.holds"
    label = "keyring_holds"
    default_auto_field = "django.db.models.BigAutoField"
