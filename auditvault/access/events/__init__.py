"""Access records, kept in the region of what was looked at."""
