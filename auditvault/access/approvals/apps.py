"""The approvals app."""

from __future__ import annotations

from django.apps import AppConfig


class ApprovalsConfig(AppConfig):
    """Approvals, in the region databases."""

    name = "auditvault.access.approvals"
    label = "access_approvals"
    default_auto_field = "django.db.models.BigAutoField"
