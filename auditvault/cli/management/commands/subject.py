"""`auditvault subject`: says which subjects are one person, makes them one or two, and declares kinds of identifiers.

What names a person is never an argument: it would stand in the process list and in the shell's history.
"""

from __future__ import annotations

import argparse
import getpass
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn
from uuid import UUID

import psycopg
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from auditvault.access.subjects import KnownPerson, show_named, show_subject
from auditvault.access.tenants import tenant_in
from auditvault.core.errors import AuditvaultError
from auditvault.core.identifiers import MAX_IDENTIFIER
from auditvault.vault.kinds import NORMALISATIONS, KindRule, declare_kind
from auditvault.vault.merging import Linked, merge_subjects, split_subjects

ACTOR = "operator:cli"
REFUSED, UNAVAILABLE = 1, 2
# The longest identifier in UTF-8, and a line's end.
_MOST_BYTES = 4 * MAX_IDENTIFIER + 2


class Command(BaseCommand):
    """Exit status 0: done, or nothing was to be done. 1: refused. 2: could not be tried."""

    help = (
        "Show, merge and split subjects, by their ids; declare kinds of identifiers. Everything is recorded. "
        "Exit status: 0 done or nothing to do, 1 refused, 2 could not be tried."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Four sub-commands; none takes a name of a person."""
        actions = parser.add_subparsers(dest="action", required=True)
        show = actions.add_parser(
            "show", help="which subjects are one person, and by which tags they are known"
        )
        who = show.add_mutually_exclusive_group(required=True)
        who.add_argument(
            "--subject", type=_subject_id, metavar="ID", help="one of the person's subjects"
        )
        who.add_argument(
            "--kind",
            help="a kind of identifier, such as email; the identifier itself is asked for, or read from standard input",
        )
        show.add_argument(
            "--file", type=Path, help="read the identifier from this file instead (with --kind)"
        )
        merge = actions.add_parser(
            "merge", help="two subjects are one person; nothing is sealed anew"
        )
        merge.add_argument("one", type=_subject_id)
        merge.add_argument("other", type=_subject_id)
        split = actions.add_parser("split", help="subjects leave the person they were merged with")
        split.add_argument("leaving", type=_subject_id, nargs="+", metavar="subject")
        for action in (merge, split):
            action.add_argument(
                "--case", required=True, help="what it was decided on, such as INC-1234"
            )
        declare = actions.add_parser("declare", help="declare a kind of identifier, for good")
        declare.add_argument("kind", help="its name, such as customer; phone sets --phone-region")
        declare.add_argument(
            "--as",
            dest="normalisation",
            choices=NORMALISATIONS,
            default="exact",
            help="when two spellings are equal (exact)",
        )
        declare.add_argument(
            "--phone-region",
            metavar="CC",
            help="country of numbers without a country's code, such as DE",
        )
        for action in (show, merge, split, declare):
            _add_place(action)

    def handle(self, *_args: Any, **options: Any) -> None:
        """Do it, and say what became of it."""
        try:
            tenant_id = tenant_in(slug=options["tenant"], region=options["region"])
            place = {"region": options["region"], "tenant_id": tenant_id}
            found = _ACTIONS[options["action"]](place, options)
        except AuditvaultError as error:
            self._fail(options, REFUSED, error.code, error.message)
        except (DatabaseError, psycopg.Error) as error:
            # Not chained, and only its kind: a database's message may repeat values.
            message = "A database is away or busy. Try again."
            self._fail(options, UNAVAILABLE, type(error).__name__, message)
        else:
            self.stdout.write(json.dumps(found) if options["json"] else _as_text(found))

    def _fail(self, options: dict[str, Any], status: int, code: str, message: str) -> NoReturn:
        if options["json"]:
            self.stdout.write(json.dumps({"error": code, "message": message}))
        else:
            self.stderr.write(message)
        sys.exit(status)


def _subject_id(text: str) -> UUID:
    """A subject's id. What else somebody typed is not repeated: it may be a person's name."""
    try:
        return UUID(text)
    except ValueError:
        raise argparse.ArgumentTypeError("not the id of a subject") from None


def _add_place(action: argparse.ArgumentParser) -> None:
    action.add_argument("--tenant", required=True, metavar="SLUG")
    action.add_argument("--region", required=True)
    action.add_argument("--json", action="store_true", help="print one JSON object")


def _show(place: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    now = datetime.now(UTC)
    if options["subject"] is not None:
        person = show_subject(**place, subject_id=options["subject"], actor=ACTOR, now=now)
    else:
        value = _identifier(options["file"])
        person = show_named(**place, kind=options["kind"], value=value, actor=ACTOR, now=now)
    return _person(person)


def _merge(place: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    linked = merge_subjects(
        **place, one=options["one"], other=options["other"], actor=ACTOR, case=options["case"]
    )
    return _linked(linked, "merged" if linked.record_id else "one_already")


def _split(place: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    linked = split_subjects(**place, leaving=options["leaving"], actor=ACTOR, case=options["case"])
    return _linked(linked, "split")


def _declare(place: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    normalisation = "phone" if options["kind"] == "phone" else options["normalisation"]
    rule = KindRule(normalisation, options["phone_region"])
    record_id = declare_kind(**place, kind=options["kind"], rule=rule, actor=ACTOR)
    state = "declared" if record_id else "declared_already"
    return {"state": state, "kind": options["kind"], **rule._asdict(), "record": _text(record_id)}


_ACTIONS = {"show": _show, "merge": _merge, "split": _split, "declare": _declare}


def _identifier(path: Path | None) -> str:
    """One identifier, from a file, from whoever sits there, or from standard input; without the line's end."""
    try:
        if path is not None:
            with path.open("rb") as file:
                raw = file.read(_MOST_BYTES + 1)
        elif sys.stdin.isatty():
            raw = getpass.getpass("identifier: ").encode()
        else:
            raw = sys.stdin.buffer.read(_MOST_BYTES + 1)
        return raw.decode().removesuffix("\n").removesuffix("\r")
    except OSError:
        raise CommandError("The file with the identifier cannot be read.") from None
    except UnicodeError:
        # Not chained: the error carries the bytes.
        raise CommandError("The identifier is not UTF-8.") from None


def _person(person: KnownPerson) -> dict[str, Any]:
    return {
        "state": "shown",
        "subjects": [
            {
                "subject": str(one.subject_id),
                "kind": one.kind,
                "state": one.state,
                "created_at": one.created_at.isoformat(),
                "names": [
                    {
                        "kind": name.kind,
                        "tag": name.tag.hex(),
                        "normalisation": name.normalisation,
                    }
                    for name in one.names
                ],
            }
            for one in person.subjects
        ],
        "records": person.records,
        "access_record": str(person.access_record),
    }


def _linked(linked: Linked, state: str) -> dict[str, Any]:
    group = [str(subject_id) for subject_id in linked.group]
    return {"state": state, "group": group, "record": _text(linked.record_id)}


def _text(record_id: UUID | None) -> str | None:
    return str(record_id) if record_id else None


def _as_text(found: dict[str, Any]) -> str:
    lines = [_IN_WORDS[found["state"]]]
    for one in found.get("subjects", ()):
        lines.append(f"subject  {one['subject']}  {one['kind']}, {one['state']}")
        lines += [f"         {name['kind']:<10} tag:{name['tag']}" for name in one["names"]]
    lines += [f"subject  {subject}" for subject in found.get("group", ())]
    if "records" in found:
        lines.append(f"records  {found['records']:,}")
    record = found.get("record") or found.get("access_record")
    if record:
        lines.append(f"recorded as {record}")
    return "\n".join(lines)


_IN_WORDS = {
    "shown": "ONE PERSON",
    "merged": "MERGED: one person now",
    "one_already": "NOTHING TO DO: they are one person",
    "split": "SPLIT: these stay",
    "declared": "DECLARED",
    "declared_already": "NOTHING TO DO: declared so before",
}
