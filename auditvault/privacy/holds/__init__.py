"""Legal holds of a region: placed at once, released by two."""
