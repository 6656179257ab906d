"""The vault app."""

from __future__ import annotations

from django.apps import AppConfig

from auditvault.vault.providers.of_region import open_all


class VaultConfig(AppConfig):
    """Subjects and sealed objects, in the region databases."""

    name = "auditvault.vault"
    label = "vault"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Refuse to start with a key provider that cannot be used."""
        open_all()
