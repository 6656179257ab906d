"""The verifier where nothing but it and `cryptography` is installed."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
OURS = (
    "auditvault/__init__.py",
    "auditvault/core/__init__.py",
    "auditvault/core/errors.py",
    "auditvault/core/tlog",
    "auditvault/verifier",
)
THEIRS = ("cryptography", "cffi", "_cffi_backend", "pycparser")
ABSENT = ("django", "rest_framework", "celery", "psycopg", "orjson", "auditvault.ledger")
PROBE = f"""
import importlib.util, json, sys
def there(name):
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False
print(json.dumps([name for name in {ABSENT!r} if there(name)]))
"""


class BareVerifier:
    """A folder with the verifier and `cryptography`, and an interpreter that sees nothing else."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        for name in OURS:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, folder / name)
        link_theirs(folder)

    def others(self) -> list[str]:
        """Which packages of the service it could import; none."""
        found: list[str] = json.loads(self._python("-c", PROBE).stdout)
        return found

    def run(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        """Exit code and JSON report of `auditvault-verify`."""
        done = self._python("-m", "auditvault.verifier.main", *arguments, "--json")
        assert done.stdout, done.stderr
        report: dict[str, Any] = json.loads(done.stdout)
        return done.returncode, report

    def _python(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        # -S: no site-packages. The environment has no setting of the service.
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(self._folder)}
        return subprocess.run(
            [sys.executable, "-S", *arguments],
            cwd=self._folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )


def link_theirs(folder: Path) -> None:
    """Put `cryptography`, and what it needs, into the folder."""
    for name in THEIRS:
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.origin is not None:
            origin = Path(spec.origin)
            place = origin.parent if origin.name == "__init__.py" else origin
            (folder / place.name).symlink_to(place)


def outcomes(report: dict[str, Any]) -> dict[str, str]:
    """Step -> what became of it."""
    return {check["name"]: check["outcome"] for check in report["checks"]}


def failures(report: dict[str, Any]) -> dict[str, str]:
    """Step that does not hold -> its code."""
    return {
        check["name"]: check["code"]
        for check in report["checks"]
        if check["outcome"] == "does_not_hold"
    }
