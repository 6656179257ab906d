"""Transfer bases: why content of one region may be read from another."""
