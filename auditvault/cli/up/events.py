"""What the supervisor says: one readable line an event, or one JSON object a line."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime

_NAME_WIDTH = 10


class Events:
    """Writes to standard output; a reader that went away never stops the service."""

    def __init__(self, *, as_json: bool = False, quiet: bool = False) -> None:
        self._as_json = as_json
        self._quiet = quiet

    def say(self, source: str, message: str, **fields: object) -> None:
        """One event; `fields` are added to the JSON form only."""
        now = datetime.now(UTC)
        if self._as_json:
            at = now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
            self._write(json.dumps({"at": at, "source": source, "message": message, **fields}))
            return
        stamp = now.astimezone().strftime("%H:%M:%S")
        for line in message.splitlines() or [""]:
            self._write(f"{stamp} {source:<{_NAME_WIDTH}} | {line}")

    def plain(self, text: str) -> None:
        """Text for people, without a stamp; nothing in JSON mode."""
        if not self._as_json:
            self._write(text)

    def relay(self, source: str, line: str) -> None:
        """A line that a child wrote into its log."""
        if self._as_json:
            self.say(source, line, relayed=True)
        else:
            self._write(f"         {source:<{_NAME_WIDTH}} | {line}")

    def _write(self, line: str) -> None:
        if self._quiet:
            return
        try:
            print(line, flush=True)
        except OSError:
            self._quiet = True
            # The interpreter flushes once more at exit; that must not fail either.
            sys.stdout = None
