"""The origin: a log's name, the same in its entries, its checkpoints and its signatures' key names.

`<host>/<region>/<random uuid>` by convention (docs/spec/entry.md section 2). Witnesses see origins,
so no tenant's name belongs in one; keeping it out is left to whoever makes logs.
"""

from __future__ import annotations

import re
from typing import ClassVar

from auditvault.core.errors import AuditvaultError

_ORIGIN = re.compile(r"[A-Za-z0-9._:/-]{1,255}")


class OriginError(AuditvaultError):
    """A string cannot be a log's origin."""

    code: ClassVar[str] = "origin_malformed"


def check_origin(origin: str) -> None:
    """Raise OriginError unless `origin` is 1 to 255 characters of `A-Z a-z 0-9 . _ : / -`."""
    if not _ORIGIN.fullmatch(origin):
        raise OriginError("an origin is 1 to 255 characters of A-Z a-z 0-9 . _ : / -")


def region_of(origin: str) -> str:
    """Return what the origins of one region share: all but the last part, or nothing where there is one part."""
    return origin.rpartition("/")[0]
