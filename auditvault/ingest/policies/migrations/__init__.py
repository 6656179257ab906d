"""Migrations of the payload policies app."""
