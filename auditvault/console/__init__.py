"""The web interface for people: server-rendered pages that call the services the API calls."""
