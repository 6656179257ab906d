"""The payload policies app."""

from __future__ import annotations

from django.apps import AppConfig


class PayloadPoliciesConfig(AppConfig):
    """Payload policies, in the region databases."""

    name = "auditvault.ingest.policies"
    label = "ingest_policies"
    default_auto_field = "django.db.models.BigAutoField"
