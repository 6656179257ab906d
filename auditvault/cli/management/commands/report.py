"""`auditvault report`: who may, who did, as a file for auditors, recorded before it is given out."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from auditvault.access.credentials import Credential
from auditvault.access.tokens import authenticate
from auditvault.core.errors import AuditvaultError
from auditvault.core.reports.catalogue import CATALOGUE, ReportName, read_filters, report_named
from auditvault.evidence.reports.running import Order, Person, ReportFile, run_report

_MOST_BYTES = 4096


class Command(BaseCommand):
    """Runs a report as whoever the token is; there is no report without one."""

    help = (
        "Run a report on one place, and print its file or write it with --output. Recorded in the access log first. "
        "Needs a token in AUDITVAULT_TOKEN; its roles decide. A person's own report (subject_looks) reads the "
        "identifier from --file or standard input, so that it is in no process list."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """The report, its filters, and the form of the file."""
        add = parser.add_argument
        add("name", choices=[name.value for name in ReportName], metavar="NAME", help="which one")
        add("--region", required=True)
        add("--filter", action="append", default=[], metavar="NAME=VALUE", help="may be repeated")
        add("--kind", help="of a person's own report: the kind of identifier, such as email")
        add("--file", type=Path, help="of a person's own report: a file with the identifier")
        add("--staff-names", metavar="CASE", help="name staff in it, for this case; needs --reason")
        add("--reason", help="why staff are named, in at least 15 characters; it is sealed")
        forms = parser.add_mutually_exclusive_group()
        forms.add_argument("--json", action="store_true", help="JSON (the default)")
        forms.add_argument("--csv", action="store_true", help="CSV, for a spreadsheet")
        add("-o", "--output", type=Path, help="the file; it must not exist")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Run it, and print the file as it is, to the byte."""
        output: Path | None = options["output"]
        if output is not None and output.exists():
            raise CommandError("The output exists already. Reports are not written over.")
        now = datetime.now(UTC)
        try:
            made = run_report(
                credential=_credential(options["region"], now),
                region=options["region"],
                order=_order(options),
                now=now,
            )
        except AuditvaultError as error:
            raise CommandError(error.message) from error
        except (DatabaseError, psycopg.Error) as error:
            # Only its kind: a database's message may repeat values.
            raise CommandError("A database is away or busy. Nothing was given out.") from error
        if output is None:
            self.stdout.write(made.content.decode(), ending="")
        else:
            _write(output, made)
            self.stdout.write(json.dumps(_summary(made, output)))


def _credential(region: str, now: datetime) -> Credential:
    token = os.environ.get("AUDITVAULT_TOKEN")
    if not token:
        raise CommandError("Put a token into AUDITVAULT_TOKEN: a report is run by somebody.")
    found = authenticate(token, now=now)
    if region not in found.regions:
        raise CommandError("The token is not for that region.")
    return found


def _order(options: dict[str, Any]) -> Order:
    name = report_named(options["name"])
    staff = None
    if options["staff_names"] is not None:
        staff = (options["staff_names"], options["reason"] or "")
    return Order(
        name=name,
        filters=read_filters(_pairs(options["filter"]), allowed=CATALOGUE[name].filters),
        format="csv" if options["csv"] else "json",
        person=_person(options) if name is ReportName.SUBJECT_LOOKS else None,
        staff_named_for=staff,
    )


def _pairs(given: Sequence[str]) -> dict[str, str]:
    pairs = [item.partition("=") for item in given]
    if any(not sign for _, sign, _ in pairs) or len({name for name, _, _ in pairs}) < len(pairs):
        raise CommandError("Give filters as NAME=VALUE, each once.")
    return {name: value for name, _, value in pairs}


def _person(options: dict[str, Any]) -> Person:
    if options["kind"] is None:
        raise CommandError("Say with --kind what kind of identifier you give.")
    path: Path | None = options["file"]
    try:
        if path is not None:
            with path.open("rb") as source:
                raw = source.read(_MOST_BYTES + 1)
        else:
            raw = sys.stdin.buffer.read(_MOST_BYTES + 1)
        value = raw.decode().removesuffix("\n").removesuffix("\r")
    except OSError:
        raise CommandError("The file with the identifier cannot be read.") from None
    except UnicodeError:
        # Not chained: the error carries the bytes.
        raise CommandError("The identifier is not UTF-8.") from None
    return Person(kind=options["kind"], value=value)


def _write(path: Path, made: ReportFile) -> None:
    try:
        # Who looked at what is for the eyes of whoever ran it.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(made.content)
    except OSError as error:
        raise CommandError(f"The report cannot be written: {error.strerror}") from error


def _summary(made: ReportFile, path: Path) -> dict[str, Any]:
    return {
        "file": str(path),
        "rows": made.rows,
        "sha256": made.sha256,
        "access_record": str(made.access_record),
    }
