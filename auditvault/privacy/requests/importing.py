"""Many requests at once, from a table: all of them are taken in, or none.

Each line is looked at by itself before anything is written, and a line that will not do is said by its number and a
code: what stands in it is repeated nowhere. A crash before the one commit leaves nothing, and after it everything;
whoever got no answer looks at the list before sending the table again.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from auditvault.access.credentials import Credential
from auditvault.core.errors import AuditvaultError
from auditvault.core.policy.erasure import Kind
from auditvault.core.policy.regimes import REGIMES
from auditvault.core.policy.roles import Act
from auditvault.privacy.requests.services import (
    Calendar,
    NewRequest,
    check_request,
    take_in_all,
)
from auditvault.privacy.requests.store import RequestRecord
from auditvault.privacy.requests.wording import RequestInvalidError
from auditvault.vault.kinds import KindRules

COLUMNS = (
    "kind",
    "regime",
    "received_at",
    "country",
    "subdivision",
    "zone",
    "identifier_kind",
    "identifier",
)
"""Of the first line, in this order. `subdivision` may be empty."""
MAX_LINES = 1000
MAX_TOLD = 100
"""Lines that are told of; the others are not looked at before these are corrected."""
_LIMIT = 4096


@dataclass(frozen=True, slots=True)
class RefusedLine:
    """A line that will not do: its number, the first line being 1, and why, as a code."""

    line: int
    code: str


class ImportRefusedError(AuditvaultError):
    """The table has lines that will not do, or is none; nothing was written."""

    code: ClassVar[str] = "privacy_import_invalid"

    def __init__(self, message: str, lines: tuple[RefusedLine, ...] = ()) -> None:
        super().__init__(message)
        self.lines = lines


def import_requests(
    *, region: str, credential: Credential, table: bytes, now: datetime
) -> list[RequestRecord]:
    """Take every line's request in: CSV (RFC 4180) with commas, in UTF-8 with or without a byte order mark.

    Raises:
        AccessDeniedError, SeparationError, HumanRequiredError: the caller may not.
        ImportRefusedError: nothing was written.
    """
    credential.role_for(Act.PREPARE_ERASURE)
    credential.require_human()
    rules = KindRules(region=region, tenant_id=credential.tenant_id)
    asked: list[NewRequest] = []
    refused: list[RefusedLine] = []
    for line, cells in list(_lines(table)):
        if len(refused) == MAX_TOLD:
            break
        try:
            each = _asked(cells)
            check_request(each, now)
            for kind, value in each.identifiers:
                rules.named(kind, value)
        except AuditvaultError as error:
            refused.append(RefusedLine(line, error.code))
        else:
            asked.append(each)
    if refused:
        raise ImportRefusedError(
            "Some lines will not do; see `lines`. Nothing was taken in.", tuple(refused)
        )
    if not asked:
        raise ImportRefusedError("There is no line after the first.")
    return take_in_all(region=region, credential=credential, asked=asked, now=now)


def _lines(table: bytes) -> Iterator[tuple[int, list[str]]]:
    """Each line that is not empty, after the first, with the number of its first line in the file."""
    try:
        text = table.decode("utf-8-sig")
    except UnicodeDecodeError:
        # The cause is dropped: it would carry the table.
        raise ImportRefusedError("The table is not UTF-8.") from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        if tuple(next(reader, ())) != COLUMNS:
            raise ImportRefusedError(f"The first line must be {','.join(COLUMNS)}")
        count, begun = 0, reader.line_num + 1
        for cells in reader:
            count += bool(cells)
            if count > MAX_LINES:
                raise ImportRefusedError(f"A table has at most {MAX_LINES:,} requests.")
            if cells:
                yield begun, cells
            begun = reader.line_num + 1
    except csv.Error:
        place = (RefusedLine(reader.line_num, "request_invalid"),)
        raise ImportRefusedError("A line is no CSV; see `lines`.", place) from None


def _asked(cells: list[str]) -> NewRequest:
    if len(cells) != len(COLUMNS) or any(len(cell) > _LIMIT for cell in cells):
        raise RequestInvalidError("The line has more or fewer cells than the first one.")
    kind, regime, received_at, country, subdivision, zone, named, value = cells
    if regime not in REGIMES:
        raise RequestInvalidError("The regime is none of those that are known.")
    try:
        return NewRequest(
            kind=Kind(kind),
            regime=regime,
            identifiers=((named, value),),
            received_at=datetime.fromisoformat(received_at),
            calendar=Calendar(country=country, zone=zone, subdivision=subdivision or None),
        )
    except ValueError:
        # The cause is dropped: it would carry what stands there.
        raise RequestInvalidError("The kind or the instant is none.") from None
