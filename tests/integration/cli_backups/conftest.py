"""A region on servers of its own, which tests may back up, lose and restore."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.cli_backups.site import BackupSite


@contextmanager
def running() -> Iterator[BackupSite]:
    home = Path(tempfile.mkdtemp(prefix="av-backup-"))
    home.chmod(0o711)
    try:
        with BackupSite.started(home) as site:
            yield site
    finally:
        shutil.rmtree(home)


@pytest.fixture(scope="session")
def site():
    """Shared by all tests that leave its databases where they are."""
    with running() as started:
        yield started


@pytest.fixture
def own_site():
    """For a test that loses them."""
    with running() as started:
        yield started


@pytest.fixture(scope="session")
def backup(site):
    """A backup of a region with some records; the texts are what no file of it may show."""
    site.record("backed-up", "canary Æthelred one", "canary Æthelred two")
    site.sign()
    return site.back_up()


@pytest.fixture
def copied(backup, tmp_path):
    """A copy of it that a test may damage."""
    copy = tmp_path / "eu" / backup.name
    shutil.copytree(backup, copy)
    return copy
