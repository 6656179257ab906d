"""Schema of this app; long SQL stands in `sql/`, loaded by name."""
