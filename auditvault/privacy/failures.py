"""What keeps a request, a part of one, or a run from going on, and is waited for: the next look tries again."""

from __future__ import annotations

import psycopg
from django.db import DatabaseError

from auditvault.core.errors import AuditvaultError

FAILURES = (AuditvaultError, DatabaseError, psycopg.Error, OSError)


def code_of(error: BaseException) -> str:
    """The error's own code; of one that is not ours, that storage does not answer."""
    return error.code if isinstance(error, AuditvaultError) else "database_unavailable"
