"""How a command that asks a service says what became of it: in words or as JSON, with an exit status."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from django.core.management.base import BaseCommand
from django.db import DatabaseError

from auditvault.core.errors import AuditvaultError

REFUSED, UNAVAILABLE = 1, 2
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def answered(
    command: BaseCommand,
    options: dict[str, Any],
    act: Callable[[], dict[str, Any]],
    as_text: Callable[[dict[str, Any]], str],
) -> None:
    """Act, and print what it gives; leaves with status 1 where it is refused, 2 where it could not be tried."""
    try:
        found = act()
    except AuditvaultError as error:
        status, code, message = REFUSED, error.code, error.message
    except (DatabaseError, psycopg.Error) as error:
        # Only its kind: a database's message may repeat values.
        status, code = UNAVAILABLE, type(error).__name__
        message = "A database is away or cannot be written. Try again."
    else:
        command.stdout.write(json.dumps(found) if options["json"] else as_text(found))
        return
    if options["json"]:
        command.stdout.write(json.dumps({"error": code, "message": message}))
    else:
        command.stderr.write(message)
    sys.exit(status)


def moment(text: str) -> datetime:
    """An instant as ISO 8601; UTC where no zone is named."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError("not an instant such as 2027-01-31T00:00Z") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def span(text: str) -> timedelta:
    """A number and m, h or d, such as 30d."""
    match = re.fullmatch(r"([1-9][0-9]{0,5})([mhd])", text)
    if match is None:
        raise argparse.ArgumentTypeError("a number and m, h or d, such as 30d")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def span_or_none(text: str) -> timedelta:
    """The same, or 0."""
    return timedelta() if text == "0" else span(text)
