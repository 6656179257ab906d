"""Django's PostgreSQL backend, with connections that are kept for as long as they live."""
