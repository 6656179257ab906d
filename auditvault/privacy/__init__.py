"""Workflows about people's data: legal holds, requests, retention."""
