"""Cells that no spreadsheet program takes for formulas."""

from __future__ import annotations

import csv
import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditvault.core.policy.spreadsheets import csv_line, guarded

FORMULAS = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "=cmd|' /C calc'!A0",
    " =1",
    "\u00a0=1",
    "\ufeff=1",
    "\uff1d1",
    "a,=1",
    "a;=1",
    "a\n=1",
    'a",=1',
    "a\t@x",
]


@pytest.mark.parametrize("cell", FORMULAS)
def test_no_cell_begins_a_formula_whichever_separator_is_guessed(cell):
    written = guarded(cell)
    for piece in re.split(r"[,;\t|\r\n\"]", written):
        assert not re.match(r"[\s\u00a0\ufeff]*[=+\-@\uff1d]", piece), written


@pytest.mark.parametrize("cell", ["", "gpt-4o", "2026-11-25T00:00:00Z", "a=b", "a - b", "x@y"])
def test_what_begins_no_formula_stays_as_it_is(cell):
    assert guarded(cell) == cell


@given(st.lists(st.text(), min_size=1, max_size=5))
def test_a_line_is_one_row_with_the_guarded_cells(cells):
    line = csv_line(cells)
    (row,) = csv.reader(io.StringIO(line, newline=""))
    assert row == [guarded(cell) for cell in cells]
    assert not any(re.match(r"[=+\-@\t\r]", cell) for cell in row)
