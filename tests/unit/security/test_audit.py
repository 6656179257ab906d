"""`make audit` says whether it could ask: no answer is never taken for "nothing known"."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

PLACE = Path(__file__).resolve().parents[3] / "deploy/lock/audit.py"


@pytest.fixture(scope="module")
def audit() -> ModuleType:
    spec = importlib.util.spec_from_file_location("audit", PLACE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def answering(tmp_path: Path, text: str, status: int) -> tuple[str, str]:
    """A program that answers as pip-audit does."""
    program = tmp_path / "pip_audit.py"
    program.write_text(
        f"import sys\nprint({text!r})\nsys.stderr.write('it is away')\nsys.exit({status})\n"
    )
    return (sys.executable, str(program))


def package(*ids: str) -> str:
    known = [{"id": each, "fix_versions": []} for each in ids]
    return json.dumps({"dependencies": [{"name": "django", "version": "1.0", "vulns": known}]})


@pytest.mark.parametrize(
    ("text", "status", "exit_status", "said"),
    [
        (package(), 0, 0, "1 packages, 0 with known vulnerabilities"),
        (package("PYSEC-1"), 1, 1, "django 1.0: PYSEC-1"),
        ("", 1, 2, "NOT AUDITED"),
        (json.dumps({"dependencies": []}), 0, 2, "NOT AUDITED"),
        (json.dumps({"dependencies": [{"name": "a", "skip_reason": "not found"}]}), 0, 2, "NOT AUDITED"),
    ],
)  # fmt: skip
def test_what_could_not_be_asked_is_no_audit(
    audit, tmp_path, capsys, text, status, exit_status, said
):
    lock = tmp_path / "runtime.txt"
    lock.write_text("django==1.0\n")

    assert audit.audit(lock, command=answering(tmp_path, text, status)) == exit_status
    assert said in capsys.readouterr().out


def test_every_lock_file_of_the_program_is_audited(audit):
    locks = {path.name for path in PLACE.parent.glob("*.txt")} - {"dev.txt", "build.txt"}

    assert set(audit.LOCKS) == locks
