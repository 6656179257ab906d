"""CSV that a spreadsheet program opens as text and not as formulas.

A cell that begins with `=`, `+`, `-`, `@`, a tab or a carriage return is a formula to spreadsheet programs, and what a
sender wrote would run on the desk of whoever opens the file (OWASP: CSV injection). Such a cell gets an apostrophe in
front. Programs that guess another separator see the start of a cell in the middle of ours, so the same is looked for
after separators and line breaks inside a cell. Every cell is quoted.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_STARTS = re.compile(
    r"(^|[,;\t|\r\n\"'])([ \u00a0\ufeff\u200b]*)(?=[=+\-@\t\r\uff1d\uff0b\uff0d\uff20])"
)


def guarded(cell: str) -> str:
    """The cell with an apostrophe before whatever a spreadsheet program would take for a formula's beginning."""
    return _STARTS.sub(r"\1\2'", cell)


def csv_line(cells: Sequence[str]) -> str:
    """One line of a CSV file (RFC 4180), every cell guarded and quoted."""
    return ",".join('"' + guarded(cell).replace('"', '""') + '"' for cell in cells) + "\r\n"
