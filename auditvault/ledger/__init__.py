"""The append-only log: appending, reading and proving. It knows positions and commitments, never content."""
