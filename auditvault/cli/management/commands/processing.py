"""`auditvault processing`: the record of processing activities of a tenant in a region."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import psycopg
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from auditvault.access.rights_log import OPERATOR_ACTOR
from auditvault.access.tenants import TenantRequestError, tenant_in
from auditvault.core.errors import AuditvaultError
from auditvault.privacy.processing import Ask, processing_record

_MOST_DAYS = 3660


class Command(BaseCommand):
    """Prints it as Markdown, to be completed by whoever answers for it, or as JSON."""

    help = (
        "The record of processing activities (GDPR article 30) of a tenant in a region, made from what was sent and "
        "from how the service is set. Aggregates alone; that it was made is recorded in the access log first."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Which place, and how far back."""
        parser.add_argument("--region", required=True, choices=settings.REGIONS)
        parser.add_argument("--tenant", required=True, help="short name")
        parser.add_argument("--days", type=int, default=90, help="how far back (default: 90)")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Make it and print it."""
        if not 1 <= options["days"] <= _MOST_DAYS:
            raise CommandError(f"--days is between 1 and {_MOST_DAYS}.")
        try:
            tenant_id = tenant_in(slug=options["tenant"], region=options["region"])
            found = processing_record(
                ask=Ask(region=options["region"], tenant_id=tenant_id, days=options["days"]),
                actor=OPERATOR_ACTOR,
                now=datetime.now(UTC),
            )
        except TenantRequestError as error:
            raise CommandError(error.message) from error
        except AuditvaultError as error:
            raise CommandError(f"{error.message} ({error.code})") from error
        except (DatabaseError, psycopg.Error) as error:
            raise CommandError("A database is away or busy. Run it again.") from error
        text = json.dumps(found) if options["json"] else "\n".join(_page(options["tenant"], found))
        self.stdout.write(text)


def _page(tenant: str, found: Mapping[str, Any]) -> Iterator[str]:
    period = found["period"]
    yield f"# Record of processing activities: {tenant} in {found['region']}"
    yield f"\nOf what was sent from {period['from']} to {period['before']}."
    yield "\n## Activities\n"
    yield from _table(found["activities"])
    if found["activities_left_out"]:
        yield f"\n{found['activities_left_out']} more rows are left out; look at fewer days."
    for title, part in (
        ("Data subjects", "data_subjects"),
        ("Categories of data", "data_categories"),
    ):
        yield f"\n## {title}\n"
        yield from _table(
            [{"kind": kind, "number": number} for kind, number in found[part].items()]
        )
    yield "\n## Recipients\n"
    recipients = found["recipients"]
    yield from _table(
        [
            {"recipient": each, "gets": "what is asked of its models"}
            for each in recipients["processors"]
        ]
    )
    if recipients["copies"]:
        yield f"\nCopies of the log, without contents: {recipients['copies']}"
    yield "\n## Transfers to other regions\n"
    yield from _table(found["transfers"])
    yield "\n## Time limits\n"
    limits = found["time_limits"]
    if limits is None:
        yield "No retention policy is in force: everything is kept."
    else:
        yield from _table(limits["rules"])
    yield "\n## Measures\n"
    yield from _table([{"measure": name, "is": value} for name, value in found["measures"].items()])
    yield f"\nMade at {found['made_at']}; access record {found['access_record']}."


def _table(rows: list[dict[str, Any]]) -> Iterator[str]:
    if not rows:
        yield "None."
        return
    columns = list(dict.fromkeys(name for row in rows for name in row))
    yield "| " + " | ".join(name.replace("_", " ") for name in columns) + " |"
    yield "|" + "---|" * len(columns)
    for row in rows:
        yield "| " + " | ".join(_cell(row.get(name)) for name in columns) + " |"


def _cell(value: Any) -> str:
    """A sender's text must not make cells or markup of its own."""
    text = "" if value is None else str(value)
    return "".join(f"\\{each}" if each in "\\|`*_[]<>&#" else each for each in text)
