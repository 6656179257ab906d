"""Spans of time as they are typed: 30m, 12h, 7d."""

from __future__ import annotations

import re
from datetime import timedelta

from django.core.management.base import CommandError

_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def span_of(text: str) -> timedelta:
    """The span; raises CommandError."""
    match = re.fullmatch(r"([1-9][0-9]{0,5})([mhd])", text)
    if match is None:
        raise CommandError(f"{text!r} is no span: give a number and m, h or d, such as 8h.")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})
