"""Envelope, key wrapping and keyed tags. Primitives come from `cryptography`; nothing is invented here."""
