"""Wrapped keys, in a database of their own. Only `vault` comes here."""
