"""What bandit finds in the program has been looked at: at its place, with ruff's mark for the same rule, or here.

ruff has bandit's rules under the letter S, and a line that it is to pass over says so (`noqa: S608`). bandit itself
has rules that ruff lacks and follows values that ruff does not, so it is asked too; what it finds on a marked line is
known.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]

# Rules that say nothing about this program.
NOT_ASKED = {
    "B404": "importing subprocess is no finding; what is started is looked at by B602, B605 and B607",
    "B603": "programs are started from lists, never through a shell",
}
# file -> rule -> why it is none, where ruff has nothing to mark.
KNOWN = {
    "auditvault/access/humans.py": {"B105": "an SQL statement under a name that looks like a word"},
    "auditvault/access/identity/adapters.py": {"B105": "what a page says about a password"},
    "auditvault/cli/main.py": {"B105": "a description of the command that makes tokens"},
    "auditvault/cli/up/sockets.py": {"B108": "a directory of our own in it, with a name nobody can guess or take"},
    "auditvault/cli/up/postgres.py": {"B105": "empty until one is made"},
    "settings/base.py": {"B105": "how often a password may be reset or a sign-in fail"},
    "auditvault/vault/providers/transit.py": {"B106": "an empty one, so that the library reads none from a file"},
}  # fmt: skip


def found_in(*places: str) -> list[dict[str, Any]]:
    """bandit's findings, each with rule, file, lines and text."""
    done = subprocess.run(
        [sys.executable, "-m", "bandit", "-q", "-f", "json", "-s", ",".join(NOT_ASKED), "-r", *places],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )  # fmt: skip
    report = json.loads(done.stdout)
    assert report["errors"] == []
    found: list[dict[str, Any]] = report["results"]
    return found


def is_marked(found: dict[str, Any]) -> bool:
    """Whether a line of the finding has ruff's mark for the same rule."""
    lines = (ROOT / found["filename"]).read_text(encoding="utf-8").splitlines()
    rule = "S" + found["test_id"][1:]
    first, last = found["line_range"][0], found["line_range"][-1]
    return any(re.search(rf"# noqa:[^#]*\b{rule}\b", line) for line in lines[first - 1 : last])


def is_known(found: dict[str, Any]) -> bool:
    return found["test_id"] in KNOWN.get(found["filename"], {}) or is_marked(found)


def test_bandit_finds_nothing_that_was_not_looked_at() -> None:
    found = found_in("auditvault", "settings", "deploy")

    new = [(f["filename"], f["line_number"], f["test_id"], f["issue_text"]) for f in found]
    assert [place for place, finding in zip(new, found, strict=True) if not is_known(finding)] == []
    asked_for = {(f["filename"], f["test_id"]) for f in found}
    assert {(path, rule) for path, rules in KNOWN.items() for rule in rules} <= asked_for


def test_bandit_would_find_something(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text(
        "import pickle\nimport hashlib\npickle.loads(b'')\nhashlib.md5(b'')\n"
    )

    assert {found["test_id"] for found in found_in(str(tmp_path))} >= {"B301", "B324"}
