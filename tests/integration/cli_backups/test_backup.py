"""What a backup leaves behind: whole and sealed, or no backup at all."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time

import pytest

from auditvault.cli.backups.files import PartReader, read_manifest
from auditvault.cli.backups.keys import read_backup_key, read_public_keys
from auditvault.core.backup import PARTS
from tests.integration.cli_backups.site import ROOT, SECONDS, programs_in

CANARY = "Æthelred"


def reader_of(site, directory):
    environment = site.environment("backup")
    key = read_backup_key(_path(environment["AUDITVAULT_BACKUP_KEY_FILE"]))
    trusted = read_public_keys(_path(environment["AUDITVAULT_BACKUP_PUBLIC_KEYS_FILE"]))
    return PartReader(directory=directory, manifest=read_manifest(directory, trusted), key=key)


def _path(text):
    from pathlib import Path

    return Path(text)


def ignore(_part, _dump, _done):
    pass


def opened(site, directory, dump="data"):
    return b"".join(reader_of(site, directory).read(dump, ignore))


def files_below(*directories):
    return [path for top in directories for path in top.rglob("*") if path.is_file()]


def left_in(site, to):
    return sorted(path.name for path in to.glob("eu/*/*"))


def test_no_file_of_a_backup_shows_a_content_or_a_header(backup):
    for path in files_below(backup):
        content = path.read_bytes()
        assert CANARY.encode() not in content
        assert b"gpt-4o" not in content


def test_the_ledgers_dump_holds_what_the_files_do_not_show(site, backup):
    import zlib

    assert opened(site, backup / "ledger").startswith(b"PGDMP")
    with pytest.raises(zlib.error):
        zlib.decompress(backup.joinpath("ledger", "data.0001").read_bytes())
    assert b"traces_header" in opened(site, backup / "ledger")


def test_no_content_stands_in_clear_in_a_dump_either(site, backup):
    for part in PARTS:
        assert CANARY.encode() not in opened(site, backup / part)


def test_the_keyrings_tables_are_in_its_own_dump_alone(site, backup):
    dumps = {part: opened(site, backup / part) for part in PARTS}
    dumps["schema"] = opened(site, backup / "ledger", "schema")
    assert {name for name, dump in dumps.items() if b"keyring_subject_key" in dump} == {"keyring"}


def test_the_vaults_rows_are_in_its_own_dump_alone(site, backup):
    dumps = {part: opened(site, backup / part) for part in PARTS}
    assert {part for part, dump in dumps.items() if b"vault_object" in dump} == {"vault"}


def test_every_table_with_rows_is_in_one_part(site, backup):
    counted = {part: set(reader_of(site, backup / part).manifest.rows) for part in PARTS}
    assert counted["vault"]
    assert all(name.startswith("vault_") for name in counted["vault"])
    assert not counted["vault"] & counted["ledger"]
    with site.admin.other("region_eu").session() as connection:
        rows = connection.execute(
            "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND NOT relispartition"
            " AND relnamespace = 'public'::regnamespace"
        ).fetchall()
    assert {row[0] for row in rows} == counted["vault"] | counted["ledger"]


def test_files_and_directories_are_for_their_owner_alone(backup):
    for path in (backup, *backup.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) in {0o700, 0o600}


def test_nothing_is_written_but_the_backup(site, tmp_path):
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    to = tmp_path / "to"
    done = site.command(
        "backup", "--region", "eu", "--to", str(to), more={"TMPDIR": str(temporary)}
    )
    assert done.code == 0, done.err
    assert list(temporary.iterdir()) == []
    assert left_in(site, to) == ["keyring", "ledger", "vault"]


def test_no_password_stands_in_an_argument_list(site, tmp_path):
    said = tmp_path / "arguments"
    more = programs_in(tmp_path / "bin", f'echo "$@" >> {said}; exec REAL "$@"')
    done = site.command("backup", "--region", "eu", "--to", str(tmp_path / "to"), more=more)
    assert done.code == 0, done.err
    password = (site.home / "secrets" / "postgres_superuser_password").read_text().strip()
    assert "--snapshot" in said.read_text()
    assert password not in said.read_text()


def test_ledger_and_vault_are_of_one_instant(site, backup):
    ledger, vault = (reader_of(site, backup / part).manifest for part in ("ledger", "vault"))
    assert ledger.as_of == vault.as_of


def test_the_keyring_can_go_elsewhere(site, tmp_path):
    done = site.command(
        "backup",
        "--region",
        "eu",
        "--to",
        str(tmp_path / "a"),
        "--keyring-to",
        str(tmp_path / "b"),
        "--json",
    )
    assert done.code == 0, done.err
    assert left_in(site, tmp_path / "a") == ["ledger", "vault"]
    assert left_in(site, tmp_path / "b") == ["keyring"]


@pytest.mark.parametrize("parts", ["keyring", "ledger", "ledger,vault"])
def test_parts_are_backed_up_alone(site, tmp_path, parts):
    done = site.command("backup", "--region", "eu", "--to", str(tmp_path), "--parts", parts)
    assert done.code == 0, done.err
    assert left_in(site, tmp_path) == sorted(parts.split(","))


def test_a_dump_that_fails_leaves_nothing(site, tmp_path):
    more = programs_in(
        tmp_path / "bin", 'REAL "$@" | head -c 3000; echo "pg_dump: error: made to" >&2; exit 1'
    )
    done = site.command(
        "backup", "--region", "eu", "--to", str(tmp_path / "to"), "--json", more=more
    )
    assert (done.code, done.json["error"]) == (2, "backup_program_failed")
    assert "made to" in done.json["message"]
    assert left_in(site, tmp_path / "to") == []


def test_one_that_is_killed_is_no_backup_and_the_next_one_says_so(site, tmp_path):
    to, pid_file = tmp_path / "to", tmp_path / "pid"
    more = programs_in(
        tmp_path / "bin", f'REAL "$@" | head -c 3000; echo $$ > {pid_file}; exec sleep {SECONDS}'
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "auditvault.cli.main", "backup", "--region", "eu", "--to", to],
        env=site.environment("backup", more), cwd=ROOT,
    )  # fmt: skip
    try:
        wait_for(pid_file.exists)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(SECONDS)
    os.kill(int(pid_file.read_text()), signal.SIGKILL)
    assert {name.partition(".")[2] for name in left_in(site, to)} == {"unfinished"}
    assert not [path for path in files_below(to) if path.name == "manifest.json"]
    (found,) = (to / "eu").iterdir()
    refused = site.command("restore", "--region", "eu", "--from", str(found), "--json")
    assert (refused.code, refused.json["error"]) == (2, "backup_incomplete")
    done = site.command("backup", "--region", "eu", "--to", str(to), "--json")
    assert done.json["interrupted"] == [
        str(found / f"{part}.unfinished") for part in ("keyring", "ledger", "vault")
    ]


def test_backups_of_the_keyring_that_are_too_old_are_named(site, tmp_path):
    old = tmp_path / "eu" / "20200101T000000Z-00000000" / "keyring"
    old.mkdir(parents=True)
    (tmp_path / "eu" / "20200101T000000Z-00000001" / "vault").mkdir(parents=True)
    done = site.command("backup", "--region", "eu", "--to", str(tmp_path), "--json")
    assert done.json["overdue"] == [str(old)]


def wait_for(condition):
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_two_at_once_are_refused(site, tmp_path):
    with site.admin.other("region_eu").session() as connection:
        connection.execute("SELECT pg_advisory_lock(%s, %s)", (0x61766275, 1))
        done = site.command("backup", "--region", "eu", "--to", str(tmp_path), "--json")
    assert (done.code, done.json["error"]) == (2, "backup_running")
    assert left_in(site, tmp_path) == []


@pytest.mark.parametrize(
    ("variable", "code"),
    [
        ("AUDITVAULT_BACKUP_REGION_EU_URL", "backup_not_configured"),
        ("AUDITVAULT_BACKUP_KEY_FILE", "backup_not_configured"),
        ("AUDITVAULT_BACKUP_SIGNING_KEY_FILE", "backup_not_configured"),
    ],
)
def test_without_a_setting_it_says_which_is_missing(site, tmp_path, variable, code):
    done = site.command(
        "backup", "--region", "eu", "--to", str(tmp_path), "--json", more={variable: ""}
    )
    assert (done.code, done.json["error"]) == (2, code)
    assert variable in done.json["message"]


def test_a_role_that_does_not_see_every_row_is_refused(site, tmp_path):
    """Row security would leave out every tenant, and the dump would look whole."""
    url = site.environment("operator")["AUDITVAULT_RETENTION_EU_URL"]
    done = site.command(
        "backup", "--region", "eu", "--to", str(tmp_path), "--json",
        more={"AUDITVAULT_BACKUP_REGION_EU_URL": url},
    )  # fmt: skip
    assert (done.code, done.json["error"]) == (2, "backup_database_unusable")
    assert "BYPASSRLS" in done.json["message"]
    assert left_in(site, tmp_path) == []


def test_a_role_of_its_own_suffices(site, tmp_path):
    """Not superuser: it sees every row, and changes none."""
    with site.admin.session() as server:
        server.execute("CREATE ROLE backup_test LOGIN BYPASSRLS PASSWORD 'only-here'")
        server.execute("GRANT pg_read_all_data TO backup_test")
        server.execute("GRANT CONNECT ON DATABASE region_eu, keys_eu TO backup_test")
    postgres = site.cluster.postgres
    more = {
        f"AUDITVAULT_BACKUP_{kind}_EU_URL": f"postgresql://backup_test:only-here@/{name}?host={postgres.sockets}&port={postgres.port}"
        for kind, name in (("REGION", "region_eu"), ("KEYS", "keys_eu"))
    }
    try:
        done = site.command("backup", "--region", "eu", "--to", str(tmp_path), more=more)
        assert done.code == 0, done.err
    finally:
        with site.admin.session() as server:
            server.execute("REVOKE CONNECT ON DATABASE region_eu, keys_eu FROM backup_test")
            server.execute("DROP ROLE backup_test")
