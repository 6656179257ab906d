"""A home with a short path that any user can pass through: pytest's own directories are closed."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest

from auditvault.cli.up.account import server_directory


@pytest.fixture
def home():
    path = Path(tempfile.mkdtemp(prefix="av-")).resolve()
    path.chmod(0o701)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def closed_home():
    """Below a directory that only its owner may enter, as root's own home is."""
    parent = Path(tempfile.mkdtemp(prefix="av-")).resolve()
    path = parent / "home"
    path.mkdir()
    yield path
    if (path / "servers").is_symlink():
        shutil.rmtree(server_directory(path, None))
    shutil.rmtree(parent)
