"""Backups: PostgreSQL's own tools driven, their output sealed as it streams, and the way back.

Rules kept: docs/spec/backup.md. No dump touches a disk in clear; no password stands in an argument list; a part that
has a manifest is complete. Nothing here decides what an erasure undid by a restore means: the region is left pending.
"""
