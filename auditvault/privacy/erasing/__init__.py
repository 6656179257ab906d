"""Requests for erasure carried out: what is found, frozen, destroyed in each region, verified and certified."""
