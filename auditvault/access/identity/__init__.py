"""Signing in: accounts, second factors, sessions, invitations and other people's identity providers."""
