"""Migrations of the erasing app."""
