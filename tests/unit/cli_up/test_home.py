"""The home directory: its modes, its lock, and what is said when it cannot be used."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from auditvault.cli.up import files
from auditvault.cli.up.files import StorageError, last_lines, require_space, write_private
from auditvault.cli.up.home import AlreadyRunningError, Home


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_what_is_secret_is_closed(home):
    Home(path=home).prepare()

    assert {mode(home / name) for name in ("secrets", "log", "signer")} == {0o700}
    assert mode(home) & 0o077 in {0, 0o001}


def test_a_second_supervisor_is_told_who_holds_the_home(home):
    with Home(path=home).locked() as announce:
        announce("http://127.0.0.1:8000")

        with pytest.raises(AlreadyRunningError) as caught, Home(path=home).locked():
            pass

    assert caught.value.message == (
        f"already running: process {os.getpid()}, http://127.0.0.1:8000"
    )


def test_the_lock_is_free_again_after_its_holder(home):
    with Home(path=home).locked():
        pass

    with Home(path=home).locked() as announce:
        announce("http://127.0.0.1:1")


def test_a_home_that_cannot_be_made_is_named(home):
    (home / "file").write_text("")

    with pytest.raises(StorageError, match="file/var"):
        Home(path=home / "file" / "var").prepare()


def test_a_full_disk_is_called_full(home):
    with pytest.raises(StorageError, match="the disk is full"):
        require_space(home, minimum_bytes=2**62)


def test_the_device_that_is_always_full_says_so():
    error = files.storage_error(Path("/dev/full"), OSError(28, "No space left on device"))

    assert error.message == "/dev/full cannot be written: the disk is full"


def test_a_file_is_replaced_whole_and_private(home):
    path = home / "run.json"
    write_private(path, "old")

    write_private(path, "new")

    assert path.read_text() == "new"
    assert mode(path) == 0o600
    assert [entry.name for entry in home.iterdir()] == ["run.json"]


def test_a_planted_link_is_replaced_and_not_followed(home):
    target = home / "precious"
    target.write_text("untouched")
    (home / "run.json").symlink_to(target)

    write_private(home / "run.json", "new")

    assert target.read_text() == "untouched"
    assert not (home / "run.json").is_symlink()


def test_the_end_of_a_log_is_shown_and_no_more(home):
    log = home / "x.log"
    log.write_text("".join(f"line {number}\n" for number in range(100)))

    assert last_lines(log, 2) == "    line 98\n    line 99"
    assert last_lines(home / "none.log") == "    (the log cannot be read)"
