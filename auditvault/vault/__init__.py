"""The privacy vault: seal, open, and the keyring. Only this room touches keys."""
