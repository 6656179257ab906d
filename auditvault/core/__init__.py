"""The pure core: bytes and values in, values or exceptions out.

Standard library and `cryptography` only. No Django, no clock, no environment, no I/O.
"""
