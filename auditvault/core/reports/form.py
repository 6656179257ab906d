"""The file of a report: a body whose SHA-256 anybody can take with standard tools, and the footer auditors ask for.

Rules kept: docs/spec/report.md. Pure: bytes and values. The footer is not hashed; what it says is in the access record
that it names.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from auditvault.core.tlog.canonical import JsonValue, canonical_bytes

REPORT_VERSION = "auditvault/report/1"
FOOTER_MARK = "#footer"
# What a spreadsheet may take for a formula, full-width forms included (OWASP, "CSV Injection").
_FORMULA = tuple("=+-@\uff1d\uff0b\uff0d\uff20")
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")
# Lines of a file are rows: nothing within a cell ends one. U+0085, U+2028 and U+2029 do so for some readers.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")

Row = Mapping[str, JsonValue]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogHead:
    """Where a log that the report was made from ended."""

    origin: str
    kind: str
    size: int
    root: bytes

    def members(self) -> dict[str, JsonValue]:
        """For a footer."""
        return {
            "origin": self.origin,
            "kind": self.kind,
            "size": self.size,
            "root": self.root.hex(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What a report says."""

    report: str
    tenant: str
    region: str
    columns: Sequence[str]
    rows: Sequence[Row]
    """Each has every column and nothing else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Footer:
    """Who ran it, over what, and what it was made from (IPE: information produced by the entity)."""

    actor: str
    role: str
    filters: Mapping[str, JsonValue]
    at: str
    """RFC 3339, UTC."""
    rows: int
    logs: Sequence[LogHead]
    sha256: str
    access_record: str
    facts: Mapping[str, JsonValue] = field(default_factory=dict)
    """What else the report says as a whole."""

    def members(self) -> dict[str, JsonValue]:
        """As canonical JSON has them."""
        return {
            "actor": self.actor,
            "role": self.role,
            "filters": dict(self.filters),
            "at": self.at,
            "rows": self.rows,
            "logs": [head.members() for head in self.logs],
            "sha256": self.sha256,
            "access_record": self.access_record,
            "facts": dict(self.facts),
        }


def json_body(contents: Contents) -> bytes:
    """The body in canonical JSON, which has no line break."""
    return canonical_bytes(
        {
            "v": REPORT_VERSION,
            "report": contents.report,
            "tenant": contents.tenant,
            "region": contents.region,
            "columns": list(contents.columns),
            "rows": [_ordered(contents, row) for row in contents.rows],
        }
    )


def csv_body(contents: Contents) -> bytes:
    """The body in CSV (RFC 4180), one row a line, the columns' names first."""
    rows = ([cell(value) for value in _ordered(contents, row).values()] for row in contents.rows)
    return _csv([list(contents.columns), *rows])


def body_digest(body: bytes) -> str:
    """SHA-256 of a body in hex."""
    return sha256(body).hexdigest()


def json_file(body: bytes, footer: Footer) -> bytes:
    """One JSON document in three lines, the second of which is the body."""
    return b'{"body":\n' + body + b'\n,"footer":' + canonical_bytes(footer.members()) + b"}\n"


def csv_file(body: bytes, footer: Footer) -> bytes:
    """The body, then lines that begin with `#footer,`, which no line of a body does."""
    lines = [
        FOOTER_MARK.encode() + b"," + _csv([[name, cell(value)]])
        for name, value in footer.members().items()
    ]
    return body + b"".join(lines)


def cell(value: JsonValue) -> str:
    """A value as a cell: never a formula, and never more than one line."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    text = value if isinstance(value, str) else canonical_bytes(value).decode()
    text = _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    if text.lstrip().startswith(_FORMULA) and not _NUMBER.fullmatch(text):
        return "'" + text
    return text


def _ordered(contents: Contents, row: Row) -> dict[str, JsonValue]:
    if set(row) != set(contents.columns):
        raise ValueError("a row has the report's columns")
    return {name: row[name] for name in contents.columns}


def _csv(lines: Sequence[Sequence[str]]) -> bytes:
    text = io.StringIO()
    # Every cell is quoted: a reader that splits at another character finds no cell of its own making.
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\r\n").writerows(lines)
    return text.getvalue().encode()
