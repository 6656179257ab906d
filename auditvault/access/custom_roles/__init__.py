"""Roles of a tenant's own making."""
