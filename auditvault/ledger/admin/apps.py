"""The admin records app."""

from __future__ import annotations

from django.apps import AppConfig


class LedgerAdminConfig(AppConfig):
    """Headers of the entries of `admin` logs, in the region databases."""

    name = "auditvault.ledger.admin"
    label = "ledger_admin"
    default_auto_field = "django.db.models.BigAutoField"
