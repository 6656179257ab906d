"""Parts as files: whole and named, or nothing."""

from __future__ import annotations

import errno
import os
from uuid import UUID

import pytest

from auditvault.cli.backups.files import BackupStorageError, PartWriter
from auditvault.core.backup import BackupKey

KEY = BackupKey(bytes(range(32)))


@pytest.fixture
def writer(tmp_path):
    writer = PartWriter(
        final=tmp_path / "eu" / "name" / "vault",
        backup=UUID(int=1),
        region="eu",
        part="vault",
        key=KEY,
        file_bytes=1000,
    )
    writer.begin()
    return writer


def ignore(_part, _dump, _done):
    pass


@pytest.mark.parametrize(
    ("size", "files"), [(0, 1), (1, 1), (999, 1), (1000, 1), (1001, 2), (3000, 3), (3001, 4)]
)
def test_a_dump_is_cut_into_files(writer, size, files):
    chunks = iter([b"x" * 700 for _ in range(size // 700)] + [b"x" * (size % 700)])
    written = writer.write("data", chunks, ignore)
    assert [one.name for one in written] == [f"data.{n:04}" for n in range(1, files + 1)]
    assert [one.size for one in written] == [
        (writer.unfinished / one.name).stat().st_size for one in written
    ]


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.ENOSPC, "the disk is full"), (errno.EDQUOT, "quota"), (errno.EIO, "rror")],
)
def test_a_disk_that_fails_is_told_in_words_and_leaves_no_part(writer, monkeypatch, number, words):
    def full(_descriptor):
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(BackupStorageError, match=words):
            writer.write("data", iter([b"x"]), ignore)
    writer.discard()
    assert list(writer.final.parent.iterdir()) == []


def test_what_is_there_already_is_not_written_over(writer):
    with pytest.raises(BackupStorageError):
        writer.begin()
