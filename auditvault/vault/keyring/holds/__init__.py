"""Holds on keys and destruction of keys: what the database refuses and what it does, in the keyring databases."""
