"""Copies of a person's data: ordered, made in each region, encrypted to them, and fetched by a link once."""
