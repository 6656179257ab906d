"""Migrations of the packages app."""
