"""Approvals: plans that somebody asked for, as they are stored and decided (docs/spec/approvals.md)."""
