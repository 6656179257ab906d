"""A drill restores beside everything, says what it found, and leaves nothing but its report."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from tests.integration.cli_backups.site import ROOT, SECONDS


@pytest.fixture
def scratch():
    """Where drills make their directories: one that the servers' user can pass through."""
    path = Path(tempfile.mkdtemp(prefix="av-scratch-"))
    path.chmod(0o711)
    yield path
    shutil.rmtree(path)


def drill(site, backup, scratch, *options):
    return site.command(
        "restore-drill", "--region", "eu", "--from", str(backup), "--scratch", str(scratch), "--json", *options
    )  # fmt: skip


def test_a_good_backup_holds_and_nothing_is_left(site, backup, scratch, tmp_path):
    before = site.databases()
    done = drill(site, backup, scratch, "--report", str(tmp_path))
    assert done.code == 0, done.out + done.err
    report = done.json
    assert report["verdict"] == "holds"
    assert report["checks"]["logs"]["contents_opened"] == 2
    assert report["checks"]["vault"]["opened"] >= 1
    assert report["rows"]["vault"]["vault_object"] == 2
    assert list(scratch.iterdir()) == []
    assert site.databases() == before
    assert {path.suffix for path in tmp_path.iterdir()} == {".md", ".json"}


def test_its_report_names_no_directory(site, backup, scratch, tmp_path):
    drill(site, backup, scratch, "--report", str(tmp_path))
    for path in tmp_path.iterdir():
        assert not re.search(r"(^|[\s\"'`(])/[a-z]", path.read_text())
        assert str(site.home) not in path.read_text()


def test_a_damaged_backup_does_not_hold(site, copied, scratch):
    path = copied / "vault" / "data.0001"
    path.write_bytes(path.read_bytes()[:-1])
    done = drill(site, copied, scratch)
    assert (done.code, done.json["verdict"]) == (1, "does_not_hold")
    assert done.json["error"]["code"] == "backup_damaged"
    assert list(scratch.iterdir()) == []


def test_an_entry_that_was_changed_before_the_backup_is_found(own_site, scratch):
    site = own_site
    site.record("changed", "one", "two")
    site.sign()
    with site.admin.other("region_eu").session() as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("UPDATE traces_header SET header = convert_to('{}', 'UTF8')")
    backup = site.back_up()
    done = drill(site, backup, scratch)
    assert (done.code, done.json["verdict"]) == (1, "does_not_hold")
    assert done.json["checks"]["logs"]["findings"]
    assert done.json["checks"]["heads"]["holds"]


def test_a_keyring_that_lacks_a_key_is_found(own_site, scratch):
    site = own_site
    site.record("lacking", "one")
    site.sign()
    with site.admin.other("keys_eu").session() as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("DELETE FROM keyring_subject_key")
    done = drill(site, site.back_up(), scratch)
    assert (done.code, done.json["verdict"]) == (1, "does_not_hold")


def test_backup_can_drill_at_once(site, tmp_path):
    done = site.command("backup", "--region", "eu", "--to", str(tmp_path), "--verify", "--json")
    assert done.code == 0, done.out + done.err
    assert done.json["drill"]["verdict"] == "holds"


def test_the_ledger_alone_can_be_drilled(site, backup, scratch):
    done = drill(site, backup, scratch, "--parts", "ledger")
    assert done.code == 0, done.out + done.err
    assert done.json["checks"]["logs"]["contents_opened"] is None
    assert any(said.startswith("contents:") for said in done.json["not_checked"])


def server_in(scratch):
    """The scratch server's process id as text, empty before it has started; the file is there before what is in it."""
    found = list(scratch.glob("*/servers/postgres/postmaster.pid"))
    return "".join(found[0].read_text().split()[:1]) if found else ""


def test_one_that_is_stopped_removes_its_server(site, backup, scratch):
    process = subprocess.Popen(
        [
            sys.executable, "-m", "auditvault.cli.main", "restore-drill", "--region", "eu",
            "--from", str(backup), "--scratch", str(scratch), "--json",
        ],
        env=site.environment("backup"), cwd=ROOT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + SECONDS
    while not (pid := server_in(scratch)):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    server = int(pid)
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=SECONDS)
    assert (process.returncode, json.loads(said)["error"]["code"]) == (2, "drill_stopped")
    assert list(scratch.iterdir()) == []
    assert not Path(f"/proc/{server}").exists()
