"""Migrations of the access reviews app."""
