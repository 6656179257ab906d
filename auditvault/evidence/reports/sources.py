"""What reports are made from: one read-only snapshot of the region's database, and one of the control database.

The two are taken one after the other. A right that is given between them is in one and not in the other; the footer's
instant is before both.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias
from uuid import UUID

import psycopg

from auditvault.access.events.selectors import Header, access_headers
from auditvault.access.holdings import usernames
from auditvault.core.errors import AuditvaultError
from auditvault.core.reports.catalogue import Filters
from auditvault.core.reports.form import Row
from auditvault.core.tlog.canonical import JsonValue

MAX_RECORDS = 50_000
"""Access records that one report is made from. A file of more is nobody's to read; a period narrows it."""


class ReportTooLargeError(AuditvaultError):
    """More records match than one report is made from."""

    code = "report_too_large"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Everything that a report may look at."""

    tenant_id: UUID
    region: str
    now: datetime
    filters: Filters
    records: psycopg.Connection[Any]
    """In the tenant's scope of the region."""
    staff: psycopg.Connection[Any]

    def access_records(self, *, actions: Collection[str] = (), **narrower: str) -> list[Header]:
        """Headers that match the filters, newest first; `narrower` are equalities beside them.

        Raises ReportTooLargeError.
        """
        wanted = {**self.filters.as_values(), **narrower}
        found = access_headers(
            self.records, Filters(**wanted), limit=MAX_RECORDS + 1, actions=actions
        )
        if len(found) > MAX_RECORDS:
            raise ReportTooLargeError(
                f"More than {MAX_RECORDS:,} access records match. Give a shorter period."
            )
        return found

    def usernames(self, headers: Collection[Header]) -> dict[str, str]:
        """Actor -> username, for the actors of these records."""
        return usernames(self.staff, {str(header["actor"]) for header in headers})


Made: TypeAlias = tuple[list[Row], dict[str, JsonValue]]
"""Rows, and what is said about the report as a whole."""
Report: TypeAlias = Callable[[Sources], Made]


def instant(at: datetime | None) -> str | None:
    """RFC 3339 in UTC, to the second."""
    return at.strftime("%Y-%m-%dT%H:%M:%SZ") if at else None
