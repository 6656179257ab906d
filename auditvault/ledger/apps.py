"""The ledger app."""

from __future__ import annotations

from django.apps import AppConfig


class LedgerConfig(AppConfig):
    """Entries, tiles and heads, in the region databases."""

    name = "auditvault.ledger"
    label = "ledger"
    default_auto_field = "django.db.models.BigAutoField"
