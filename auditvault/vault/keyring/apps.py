"""The keyring app."""

from __future__ import annotations

from django.apps import AppConfig


class KeyringConfig(AppConfig):
    """Wrapped keys, in the keyring databases."""

    name = "auditvault.vault.keyring"
    label = "keyring"
    default_auto_field = "django.db.models.BigAutoField"
