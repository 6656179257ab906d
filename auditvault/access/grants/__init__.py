"""Grants: content of one case for one human, for hours (docs/spec/grants.md)."""
