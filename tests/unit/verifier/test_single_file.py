"""The verifier as one file, as `make verifier` makes it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.reference import bundles, receipts
from tests.reference.bare_verifier import link_theirs
from tests.reference.bundle_steps import MADE

ROOT = Path(__file__).parents[3]


def build(target: Path) -> str:
    """What the build prints: hash and path."""
    command = [sys.executable, "-S", str(ROOT / "deploy/verifier/build.py"), str(target)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("dist") / "auditvault-verify.pyz"
    build(target)
    return target


def run(
    single: Path, folder: Path, *words: str, theirs: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run it in an empty folder, beside `cryptography` alone or nothing at all."""
    packages = folder / "packages"
    packages.mkdir()
    if theirs:
        link_theirs(packages)
    return subprocess.run(
        [sys.executable, "-S", str(single), *words],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(packages)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_it_holds_the_verifier_and_nothing_else_of_ours(single: Path) -> None:
    with zipfile.ZipFile(single) as archive:
        names = set(archive.namelist())
    ours = {name for name in names if name.startswith("auditvault/")}
    known = ("auditvault/core/tlog/", "auditvault/verifier/")
    rest = {name for name in ours if not name.startswith(known)}
    assert rest == {
        "auditvault/__init__.py",
        "auditvault/core/__init__.py",
        "auditvault/core/errors.py",
    }
    assert names - ours == {"__main__.py", "LICENSE"}


def test_equal_sources_give_equal_bytes(single: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.pyz"
    said = build(again)
    assert again.read_bytes() == single.read_bytes()
    assert said.endswith(f"  {again}\n")


def test_it_verifies_a_bundle_beside_cryptography_alone(single: Path, tmp_path: Path) -> None:
    bundle, trust = tmp_path / "evidence.zip", tmp_path / "trust.json"
    bundle.write_bytes(bundles.bundle(MADE))
    trust.write_text(receipts.dumps(receipts.trust()))

    done = run(single, tmp_path, "bundle", str(bundle), "--trust", str(trust), "--json")

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["result"] == "holds"


def test_its_exit_code_reaches_the_shell(single: Path, tmp_path: Path) -> None:
    assert run(single, tmp_path, "bundle", "nothing", "--trust", "nothing").returncode == 2


def test_without_cryptography_it_verifies_nothing(single: Path, tmp_path: Path) -> None:
    done = run(single, tmp_path, "--help", theirs=False)
    assert done.returncode != 0
    assert "cryptography" in done.stderr
