"""A header as people read it: one line of the list, one bar of the waterfall, one table of fields.

Every text here came from a sender. It is passed on as text; templates escape it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from auditvault.core.tlog.canonical import JsonValue
from auditvault.traces.selectors import SpanNode

# What a reader wants to tell apart first; everything else is a step.
_KINDS = {
    "chat": "llm",
    "text_completion": "llm",
    "generate_content": "llm",
    "execute_tool": "tool",
    "invoke_agent": "agent",
    "create_agent": "agent",
    "retrieval": "retrieval",
    "rerank": "retrieval",
    "embeddings": "retrieval",
    "guardrail": "check",
    "evaluation": "check",
}
_LABELS = {
    "llm": "LLM",
    "tool": "tool",
    "agent": "agent",
    "retrieval": "retrieval",
    "check": "check",
    "step": "step",
}
# Deeper spans are not moved further to the right: their depth stands in words.
MAX_INDENT = 12
# So that a span of no length can be seen; in percent of the trace.
_THINNEST = 0.5
_TICKS = 4
_NS = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanLine:
    """What the list and the details say about one interaction."""

    id: str
    trace_id: str
    span_id: str
    name: str
    name_is_sealed: bool
    operation: str
    kind: str
    kind_label: str
    model: str
    provider: str
    service: str
    environment: str
    status: str
    error_type: str
    started_at: datetime | None
    duration_ns: int | None
    input_tokens: int | None
    output_tokens: int | None
    revision: int
    contents: Sequence[dict[str, Any]]

    @property
    def content_bytes(self) -> int:
        """How much is sealed, in bytes."""
        return sum(int(content.get("size_bytes", 0)) for content in self.contents)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A line of the waterfall; `x` and `width` are percent of the trace, and None where no time is known."""

    line: SpanLine
    depth: int
    indent: int
    missing_parent: bool
    x: str | None
    width: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Waterfall:
    """A trace on one axis."""

    bars: list[Bar]
    duration_ns: int
    ticks: list[int]
    """Times of the axis in nanoseconds from the beginning, first and last included."""
    started_at: datetime | None
    errors: int


def line_of(header: dict[str, JsonValue]) -> SpanLine:
    """The line of a header (docs/spec/header.md); what it does not say stays empty."""
    operation = _text(header, "operation") or "other"
    kind = _KINDS.get(operation, "step")
    contents = header.get("contents")
    return SpanLine(
        id=_text(header, "id"),
        trace_id=_text(header, "trace_id"),
        span_id=_text(header, "span_id"),
        name=_text(header, "name", "tool_name", "agent_name") or operation,
        name_is_sealed="name" not in header,
        operation=operation,
        kind=kind,
        kind_label=_LABELS[kind],
        model=_text(header, "model_responded", "model_requested", "model"),
        provider=_text(header, "provider"),
        service=_text(header, "service_name"),
        environment=_text(header, "environment"),
        status=_text(header, "status") or "unset",
        error_type=_text(header, "error_type"),
        started_at=instant(_nanoseconds(header, "started_at")),
        duration_ns=_duration(header),
        input_tokens=_count(header, "input_tokens"),
        output_tokens=_count(header, "output_tokens"),
        revision=_count(header, "revision") or 0,
        contents=[item for item in contents if isinstance(item, dict)]
        if isinstance(contents, list)
        else [],
    )


def waterfall(nodes: Sequence[SpanNode]) -> Waterfall:
    """The bars of a trace, in tree order."""
    times = [_interval(node.header) for node in nodes]
    known = [interval for interval in times if interval]
    begin = min((start for start, _ in known), default=0)
    length = max(max((end for _, end in known), default=0) - begin, 1)
    lines = [line_of(node.header) for node in nodes]
    bars = []
    for node, line, interval in zip(nodes, lines, times, strict=True):
        x, width = _place(interval, begin, length) if interval else (None, None)
        bars.append(
            Bar(
                line=line,
                depth=node.depth,
                indent=min(node.depth, MAX_INDENT),
                missing_parent=node.missing_parent,
                x=x,
                width=width,
            )
        )
    return Waterfall(
        bars=bars,
        duration_ns=length,
        ticks=[length * tick // _TICKS for tick in range(_TICKS + 1)],
        started_at=instant(begin) if known else None,
        errors=sum(line.status == "error" for line in lines),
    )


def fields_of(header: dict[str, JsonValue]) -> list[tuple[str, str]]:
    """Every field of the header but the contents, by name, as text; a list or object as JSON."""
    return [
        (name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=1))
        for name, value in sorted(header.items())
        if name != "contents"
    ]


def instant(nanoseconds: int | None) -> datetime | None:
    """The instant, to the microsecond; None where it is not known."""
    if nanoseconds is None:
        return None
    whole = datetime.fromtimestamp(nanoseconds // _NS, UTC)
    return whole.replace(microsecond=nanoseconds % _NS // 1000)


def _place(interval: tuple[int, int], begin: int, length: int) -> tuple[str, str]:
    start, end = interval
    x = 100 * (start - begin) / length
    width = max(100 * (end - start) / length, _THINNEST)
    return f"{min(x, 100 - _THINNEST):.3f}%", f"{min(width, max(100 - x, _THINNEST)):.3f}%"


def _interval(header: dict[str, JsonValue]) -> tuple[int, int] | None:
    start, end = _nanoseconds(header, "started_at"), _nanoseconds(header, "ended_at")
    if start is None:
        return None
    return start, max(start, end if end is not None else start)


def _duration(header: dict[str, JsonValue]) -> int | None:
    start, end = _nanoseconds(header, "started_at"), _nanoseconds(header, "ended_at")
    return end - start if start is not None and end is not None else None


def _nanoseconds(header: dict[str, JsonValue], name: str) -> int | None:
    value = header.get(name)
    return int(value) if isinstance(value, str) and value.isdecimal() else None


def _count(header: dict[str, JsonValue], name: str) -> int | None:
    value = header.get(name)
    return value if isinstance(value, int) else None


def _text(header: dict[str, JsonValue], *names: str) -> str:
    """The first of these fields that is there."""
    return next((value for name in names if isinstance(value := header.get(name), str)), "")
