"""Log lines that hold no personal data: one JSON object a line, from a short list of fields.

Exceptions are logged by type, code and place. Their messages are not: a database's message quotes the row it
refused, and a library's quotes its input (design rule 3).
"""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import ItemsView
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

from django.views.debug import SafeExceptionReporterFilter

from auditvault.core.errors import AuditvaultError

# Loggers whose messages are written by us or by servers that never quote a request.
_TRUSTED = ("auditvault", "celery", "django.db.backends.base", "granian", "_granian", "kombu")


class JsonLineFormatter(logging.Formatter):
    """Formats a record as one JSON line; messages of loggers outside the trusted list are withheld."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, ASCII, without line breaks."""
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage() if record.name.startswith(_TRUSTED) else "(withheld)",
        }
        facts = getattr(record, "facts", None)
        if isinstance(facts, dict):
            line.update(facts)
        if record.exc_info:
            line.update(_describe(*record.exc_info))
        return json.dumps(line, default=str)


def _describe(
    kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
) -> dict[str, Any]:
    if kind is None:
        return {}
    frames = traceback.extract_tb(trace)
    return {
        "error": f"{kind.__module__}.{kind.__qualname__}",
        "code": error.code if isinstance(error, AuditvaultError) else None,
        "where": [f"{frame.filename.rsplit('/', 3)[-1]}:{frame.lineno}" for frame in frames[-6:]],
    }


class NothingInReports(SafeExceptionReporterFilter):
    """Keeps request data, settings and local variables out of every error report."""

    def is_active(self, request: Any) -> bool:  # noqa: ARG002  # Django's signature
        """Always: there is no request whose values may be shown."""
        return True

    def get_traceback_frame_variables(self, request: Any, tb_frame: Any) -> ItemsView[str, Any]:  # noqa: ARG002
        """No local variable is ever shown."""
        return {}.items()

    def get_post_parameters(self, request: Any) -> dict[str, Any]:  # noqa: ARG002
        """No parameter is ever shown."""
        return {}
