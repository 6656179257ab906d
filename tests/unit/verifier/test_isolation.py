"""The verifier runs alone: its trust base is the standard library, `cryptography` and core.tlog."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.reference import receipts

ROOT = Path(__file__).parents[3]

# Runs in a fresh interpreter: refuses every import that is not the standard library's,
# cryptography's or the verifier's own, then reports what the run did import. What is not installed
# at all may be asked for: `copy` looks for Jython so.
GUARD = """
import importlib.abc
import importlib.machinery
import json
import sys

ALLOWED = {"auditvault", "cryptography", "cffi", "_cffi_backend", "pycparser", "__main__"}
OURS = ("auditvault.core.errors", "auditvault.core.tlog", "auditvault.verifier")


class Guard(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in ALLOWED and top not in sys.stdlib_module_names:
            if importlib.machinery.PathFinder.find_spec(top) is not None:
                raise AssertionError("imports " + name)
        if top == "auditvault" and name not in {"auditvault", "auditvault.core"}:
            if not name.startswith(OURS):
                raise AssertionError("imports " + name)
        return None


before = set(sys.modules)
sys.meta_path.insert(0, Guard())
from auditvault.verifier.main import main

code = main(sys.argv[1:])
imported = sorted(set(sys.modules) - before)
print(json.dumps({"code": code, "imported": imported}), file=sys.stderr)
"""


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    receipt = tmp_path / "receipt.json"
    receipt.write_text(receipts.dumps(receipts.receipt()))
    trust = tmp_path / "trust.json"
    trust.write_text(receipts.dumps(receipts.trust()))
    return ["receipt", str(receipt), "--trust", str(trust)]


def _run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    # No setting of the service is in the environment, and the folder is not the repository.
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_it_imports_nothing_but_the_standard_library_cryptography_and_core_tlog(
    tmp_path: Path, arguments: list[str]
) -> None:
    finished = _run(["-c", GUARD, *arguments], tmp_path)

    assert finished.returncode == 0, finished.stderr
    seen = json.loads(finished.stderr.splitlines()[-1])
    assert seen["code"] == 0
    imported = {name.partition(".")[0] for name in seen["imported"]}
    assert not imported & {"django", "rest_framework", "celery", "psycopg", "orjson"}
    assert "auditvault.core.tlog.proof" in seen["imported"]


@pytest.mark.parametrize("name", ["django", "orjson", "auditvault.core.crypto"])
def test_the_guard_does_refuse(tmp_path: Path, name: str) -> None:
    finished = _run(["-c", GUARD.replace("code = main", f"import {name}\ncode = main")], tmp_path)

    assert f"imports {name}" in finished.stderr


def test_it_runs_as_a_module_of_its_own(tmp_path: Path, arguments: list[str]) -> None:
    finished = _run(["-m", "auditvault.verifier.main", *arguments, "--json"], tmp_path)

    assert finished.returncode == 0, finished.stderr
    assert json.loads(finished.stdout)["result"] == "holds"


def test_its_exit_code_reaches_the_shell(tmp_path: Path, arguments: list[str]) -> None:
    receipt = Path(arguments[1])
    receipt.write_text(receipts.dumps(receipts.receipt() | {"index": 1}))

    finished = _run(["-m", "auditvault.verifier.main", *arguments], tmp_path)

    assert finished.returncode == 1
    assert "DOES NOT HOLD" in finished.stdout
