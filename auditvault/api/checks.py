"""System checks about the machine interface (docs/reference/system-checks.md)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, Error
from django.urls import URLPattern, URLResolver, get_resolver

from auditvault.access.demands import demands_of

# Views of others' that ask for what they need themselves; whose they are, by module.
_OTHERS = ("allauth.", "django.")


def views_without_demands(
    app_configs: Sequence[AppConfig] | None,  # noqa: ARG001  # what a check is called with
    **_kwargs: Any,
) -> list[CheckMessage]:
    """auditvault.E001: a view says nothing about who may call it."""
    return [
        Error(
            f"The view of /{route} does not declare who may call it.",
            hint="Give it `demands` (auditvault/access/demands.py).",
            id="auditvault.E001",
        )
        for route, view in each_view(get_resolver().url_patterns)
        if not view.__module__.startswith(_OTHERS) and not demands_of(view)
    ]


def each_view(
    patterns: Sequence[URLPattern | URLResolver], prefix: str = ""
) -> Iterator[tuple[str, Any]]:
    """Route and view of every path, in order."""
    for pattern in patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from each_view(pattern.url_patterns, route)
        else:
            yield route, pattern.callback
