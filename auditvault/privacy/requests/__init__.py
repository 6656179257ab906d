"""Requests about a person's data: taken in, moved on, timed."""
