"""A connection for each thread, kept open, and looked at before each request (docs/adr/0011-connections.md).

Django's own look is a query. A server that has gone away has closed the socket, and a closed socket can be read from
at once; an idle one that is alive has nothing to say. Asking the operating system costs a hundredth of a query.
"""

from __future__ import annotations

import select

import psycopg
from django.db.backends.postgresql import base


class DatabaseWrapper(base.DatabaseWrapper):
    """Django's, with a look that asks nothing of the server."""

    def is_usable(self) -> bool:
        """Whether the server has neither closed the connection nor begun to say why it will."""
        raw = self.connection
        if not isinstance(raw, psycopg.Connection) or raw.closed or raw.broken:
            return False
        poll = select.poll()
        poll.register(raw.fileno(), select.POLLIN)
        return not poll.poll(0)
