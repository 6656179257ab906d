"""A report's file: its hash can be taken with standard tools, and a spreadsheet finds nothing to run in it."""

from __future__ import annotations

import csv
import io
import json
import subprocess
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditvault.core.reports.form import (
    Contents,
    Footer,
    LogHead,
    body_digest,
    cell,
    csv_body,
    csv_file,
    json_body,
    json_file,
)

COLUMNS = ("actor", "count", "note")
TEXT = st.text(st.characters(exclude_categories=["Cs"]))


def contents(*rows):
    return Contents(
        report="looks",
        tenant="t",
        region="eu",
        columns=COLUMNS,
        rows=[dict(zip(COLUMNS, row, strict=True)) for row in rows],
    )


def footer(body, rows):
    return Footer(
        actor="token:1",
        role="auditor",
        filters={"case": "INC-1"},
        at="2026-11-25T00:00:00.000000Z",
        rows=rows,
        logs=[LogHead(origin="o", kind="access", size=7, root=bytes(32))],
        sha256=body_digest(body),
        access_record="r",
    )


def shell(command, data):
    done = subprocess.run(["sh", "-c", command], input=data, capture_output=True, check=True)
    return done.stdout.decode().split()[0]


def test_a_json_reports_hash_is_that_of_its_second_line_by_standard_tools():
    body = json_body(contents(("user:ä", 3, None)))
    file = json_file(body, footer(body, 1))
    said = json.loads(file)
    assert shell("sed -n 2p | tr -d '\\n' | sha256sum", file) == said["footer"]["sha256"]
    assert said["body"]["rows"] == [{"actor": "user:ä", "count": 3, "note": None}]


def test_a_csv_reports_hash_is_that_of_what_is_no_footer_by_standard_tools():
    body = csv_body(contents(("#footer,", 3, "#footer,sha256,0"), ("b", 1, None)))
    file = csv_file(body, footer(body, 2))
    found = dict(
        line[1:]
        for line in csv.reader(io.StringIO(file.decode()))
        if line[0] == "#footer" and len(line) == 3
    )
    assert shell("grep -v '^#footer,' | sha256sum", file) == found["sha256"]


@given(st.lists(st.tuples(TEXT, st.integers(-(2**53) + 1, 2**53 - 1), TEXT)))
def test_whatever_a_report_says_its_hash_is_of_everything_before_the_footer(rows):
    made = contents(*rows)
    for body, file in (
        (json_body(made), json_file(json_body(made), footer(json_body(made), len(rows)))),
        (csv_body(made), csv_file(csv_body(made), footer(csv_body(made), len(rows)))),
    ):
        assert body in file
    lines = json_file(json_body(made), footer(b"", 0)).split(b"\n")
    assert len(lines) == 4
    assert sha256(lines[1]).hexdigest() == body_digest(json_body(made))
    body = csv_body(made)
    assert (
        b"".join(
            line
            for line in csv_file(body, footer(body, 0)).splitlines(keepends=True)
            if not line.startswith(b"#footer,")
        )
        == body
    )


@given(st.lists(st.tuples(TEXT, st.integers(0, 9), TEXT)))
def test_a_csv_report_has_a_line_for_each_row(rows):
    body = csv_body(contents(*rows)).decode()
    assert len(body.splitlines()) == len(rows) + 1
    assert len(list(csv.reader(io.StringIO(body)))) == len(rows) + 1


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+1+1",
        "-1+1",
        "@SUM(A1)",
        '=HYPERLINK("http://x")',
        "  =1",
        "\uff1d1",
        "\uff0b1",
        "-cmd|' /C calc'!A0",
    ],
)
def test_no_cell_is_a_formula(text):
    assert cell(text).startswith("'")


@given(TEXT)
def test_no_cell_begins_with_what_a_spreadsheet_runs(text):
    found = cell(text)
    assert not found.lstrip().startswith(("=", "+", "@", "\t", "\r", "\n"))
    assert not found.startswith("-") or float(found) <= 0


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, ""),
        (True, "true"),
        (-3, "-3"),
        ("-0.50", "-0.50"),
        ("a\nb", "a\\u000ab"),
        ([1, "a"], '[1,"a"]'),
    ],
)
def test_other_values_are_shown_as_they_are(value, shown):
    assert cell(value) == shown


def test_a_row_without_a_column_is_no_row():
    with pytest.raises(ValueError, match="columns"):
        json_body(
            Contents(report="r", tenant="t", region="eu", columns=COLUMNS, rows=[{"actor": "a"}])
        )
