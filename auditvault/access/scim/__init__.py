"""People and groups that a tenant's identity provider makes, and what its groups give."""
