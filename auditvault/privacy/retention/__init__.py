"""Retention policies of a tenant in a region: set by one, shortened by two, previewed."""
