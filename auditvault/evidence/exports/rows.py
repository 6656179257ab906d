"""Headers as lines of a file, each with who took it away, in which export, and when."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from auditvault.core.policy.spreadsheets import csv_line
from auditvault.core.tlog.canonical import JsonValue, canonical_bytes

Form = Literal["csv", "jsonl"]
COLUMNS = (
    "id", "trace_id", "span_id", "parent_span_id", "started_at", "ended_at", "operation", "status", "provider",
    "model_requested", "model_responded", "model", "service_name", "environment", "feature", "error_type",
    "input_tokens", "output_tokens", "total_tokens", "cost_usd",
)  # fmt: skip
WATERMARK = ("export", "exported_by", "exported_at")


@dataclass(frozen=True, slots=True, kw_only=True)
class Watermark:
    """What stands in every row."""

    export: str
    exported_by: str
    exported_at: str

    def members(self) -> dict[str, JsonValue]:
        """By name."""
        return {
            "export": self.export,
            "exported_by": self.exported_by,
            "exported_at": self.exported_at,
        }


def render(headers: Iterable[Mapping[str, JsonValue]], *, form: Form, mark: Watermark) -> bytes:
    """One part: CSV with its own first line, or JSON Lines."""
    if form == "jsonl":
        return b"".join(
            canonical_bytes({"header": dict(each), "watermark": mark.members()}) + b"\n"
            for each in headers
        )
    lines = [csv_line([*COLUMNS, *WATERMARK])]
    lines += [
        csv_line([*(_cell(each.get(name)) for name in COLUMNS), *map(str, mark.members().values())])
        for each in headers
    ]
    return "".join(lines).encode()


def _cell(value: JsonValue) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else canonical_bytes(value).decode()
