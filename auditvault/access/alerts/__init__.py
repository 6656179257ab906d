"""Alerts: what somebody must hear of at once, recorded with what it is about and delivered until it has arrived."""
