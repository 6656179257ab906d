"""The attribute table: `attributes.csv`, read and checked once, when the module is imported.

A row says for one attribute key where its value goes. A wrong table is a wrong allow-list, so a row
that is not understood stops the start; it is never skipped.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from importlib import resources
from typing import Final, Literal, TypeAlias, cast, get_args

from auditvault.core.errors import AuditvaultError
from auditvault.ingest.dialects.fields import ATTRIBUTE_FIELDS, CONTENT_OWNERS, SPAN_FIELDS

Place: TypeAlias = Literal[
    "header",
    "quoted",
    "content",
    "family",
    "mapping",
    "identifier",
    "claim",
    "error",
    "parameters",
    "usage",
]
Rank: TypeAlias = Literal["strong", "weak"]

DIALECTS: Final = frozenset(
    {
        "genai_current",
        "genai_deprecated",
        "openinference",
        "openllmetry",
        "langfuse",
        "vercel",
        "mlflow",
        "auditvault",
        "seed",
        "resource",
    }
)
IDENTIFIER_KINDS: Final = frozenset({"user", "session", "email", "phone"})
"""The kinds that an attribute can be for every tenant (docs/spec/subjects.md section 1)."""
_TARGETS: Final[dict[str, frozenset[str]]] = {
    "header": frozenset(ATTRIBUTE_FIELDS),
    "quoted": frozenset(ATTRIBUTE_FIELDS),
    "content": frozenset(CONTENT_OWNERS) - {"attributes", "events", "error_message"},
    "family": frozenset(CONTENT_OWNERS) - {"attributes", "events", "error_message"},
    "mapping": frozenset({"prompt_variables"}),
    "identifier": IDENTIFIER_KINDS,
    "claim": frozenset({"prompt", "input", "output"}),
    "error": frozenset({"message", "stacktrace"}),
    "parameters": frozenset({""}),
    "usage": frozenset({""}),
}


class DialectTableError(AuditvaultError):
    """The attribute table in the package is wrong; the service must not start with it."""

    code = "dialect_table_invalid"


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One attribute key, or for `family` and `mapping` the prefix before the index or name."""

    key: str
    dialects: frozenset[str]
    place: Place
    target: str
    """Header field, content role, identifier kind, claim role or error member.

    Empty for `parameters` and `usage`.
    """
    rank: Rank
    """`weak`: deprecated, or a fallback; used only where no strong source filled the field."""


def parse_rows(text: str) -> tuple[Row, ...]:
    """Read the table from CSV text with a header line.

    Raises DialectTableError on any row that is not understood.
    """
    rows = tuple(
        _row(number, raw) for number, raw in enumerate(csv.DictReader(text.splitlines()), 2)
    )
    seen: set[tuple[str, bool]] = set()
    for row in rows:
        identity = (row.key, row.place in {"family", "mapping"})
        if identity in seen:
            raise DialectTableError(f"attribute table: {row.key} stands in it twice")
        seen.add(identity)
    return rows


def _row(number: int, raw: dict[str, str]) -> Row:
    dialects = frozenset((raw.get("dialects") or "").split())
    place, target, rank = raw.get("place", ""), raw.get("target", ""), raw.get("rank", "")
    if not raw.get("key") or not dialects or not dialects <= DIALECTS:
        raise DialectTableError(f"attribute table, line {number}: no key or an unknown dialect")
    if place not in get_args(Place) or rank not in get_args(Rank):
        raise DialectTableError(f"attribute table, line {number}: unknown place or rank")
    if target not in _TARGETS[place] or target in SPAN_FIELDS:
        raise DialectTableError(f"attribute table, line {number}: {place} has no target {target!r}")
    return Row(
        key=raw["key"],
        dialects=dialects,
        place=cast("Place", place),
        target=target,
        rank=cast("Rank", rank),
    )


ROWS: Final = parse_rows(
    resources.files("auditvault.ingest.dialects").joinpath("attributes.csv").read_text("utf-8")
)
"""The table, in the file's order."""
