"""The attribute table: checked at import, and agreeing with the documentation and the research."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

from auditvault.ingest.dialects.fields import (
    ATTRIBUTE_FIELDS,
    CONTENT_OWNERS,
    SPAN_FIELDS,
    USAGE_MEMBERS,
)
from auditvault.ingest.dialects.table import ROWS, DialectTableError, parse_rows

ROOT = Path(__file__).resolve().parents[3]
HEADER_LINE = "key,dialects,place,target,rank"
OURS = {
    "genai_current",
    "genai_deprecated",
    "openinference",
    "openllmetry",
    "langfuse",
    "seed",
    "other",
}


def documented_fields() -> dict[str, str]:
    text = (ROOT / "docs/spec/header.md").read_text(encoding="utf-8")
    section = text.partition("## Fields")[2].partition("## Times")[0]
    return dict(re.findall(r"^\| `(\w+)` \| (\w+) \|", section, re.MULTILINE))


def researched() -> list[dict[str, str]]:
    with (ROOT / "tests/vectors/otlp/attribute_map.csv").open(encoding="utf-8") as file:
        return [row for row in csv.DictReader(file) if row["dialect"] in OURS]


@pytest.mark.parametrize(
    "line",
    [
        ",genai_current,header,provider,strong",
        "a.b,,header,provider,strong",
        "a.b,martian,header,provider,strong",
        "a.b,genai_current,nowhere,provider,strong",
        "a.b,genai_current,header,provider,maybe",
        "a.b,genai_current,header,trace_id,strong",
        "a.b,genai_current,header,no_such_field,strong",
        "a.b,genai_current,content,attributes,strong",
        "a.b,genai_current,identifier,customer,strong",
        "a.b,genai_current,header",
    ],
)
def test_a_row_that_is_not_understood_stops_the_start(line: str) -> None:
    with pytest.raises(DialectTableError):
        parse_rows(f"{HEADER_LINE}\n{line}\n")


def test_a_key_that_stands_twice_stops_the_start() -> None:
    line = "a.b,genai_current,header,provider,strong"
    with pytest.raises(DialectTableError):
        parse_rows(f"{HEADER_LINE}\n{line}\n{line}\n")


def test_nothing_that_carries_content_is_a_header_field() -> None:
    content = {row["key"] for row in researched() if row["carries_content"] != "no"}
    assert [
        row.key for row in ROWS if row.place in {"header", "quoted"} and row.key in content
    ] == []


def test_every_personal_identifier_of_our_dialects_is_one_or_is_sealed() -> None:
    places = {row.key: row.place for row in ROWS}
    personal = {row["key"] for row in researched() if row["carries_content"] == "pii"}
    assert {places.get(key, "sealed") for key in personal} == {"identifier", "sealed"}


def test_every_header_field_can_be_filled_and_is_documented() -> None:
    targets = {row.target for row in ROWS if row.place == "header"}
    assert set(USAGE_MEMBERS.values()) <= targets
    assert targets == set(ATTRIBUTE_FIELDS)
    assert set(ATTRIBUTE_FIELDS) | SPAN_FIELDS == set(documented_fields())


def test_every_check_is_the_documented_one() -> None:
    documented = documented_fields()
    documented["operation"] = "operation"
    assert {name: documented[name] for name in ATTRIBUTE_FIELDS} == ATTRIBUTE_FIELDS


def test_every_role_is_documented() -> None:
    text = (ROOT / "docs/spec/header.md").read_text()
    assert [role for role in CONTENT_OWNERS if f"`{role}`" not in text] == []


def test_the_reference_page_lists_the_table() -> None:
    text = (ROOT / "docs/reference/dialects.md").read_text()
    lines = set(text.splitlines())
    missing = [
        row.key
        for row in ROWS
        if f"| `{row.key}` | {', '.join(sorted(row.dialects))} | {row.place} | "
        f"{f'`{row.target}`' if row.target else ''} | {row.rank} |" not in lines
    ]
    assert missing == []
