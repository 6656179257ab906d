"""Cursors of lists that are ordered by a UUIDv7, newest first."""

from __future__ import annotations

import base64
import binascii
from uuid import UUID

from auditvault.traces.selectors import CursorError


def page_cursor(last: UUID) -> str:
    """The cursor of the page after the one that ends with `last`."""
    return base64.urlsafe_b64encode(last.bytes).decode().rstrip("=")


def id_of(cursor: str | None) -> UUID | None:
    """The id that a page comes after; None for the first page. Raises CursorError."""
    if cursor is None:
        return None
    try:
        return UUID(bytes=base64.urlsafe_b64decode(f"{cursor}=="))
    except (ValueError, binascii.Error) as error:
        raise CursorError("Use `next_cursor` of the page before, unchanged.") from error
