"""The access reviews app."""

from __future__ import annotations

from django.apps import AppConfig


class ReviewsConfig(AppConfig):
    """Access reviews, in the region databases."""

    name = "auditvault.evidence.reviews"
    label = "evidence_reviews"
    default_auto_field = "django.db.models.BigAutoField"
