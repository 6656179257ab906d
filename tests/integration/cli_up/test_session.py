"""A whole run of `up` on the real servers, with a small service in the place of ours."""

from __future__ import annotations

import signal
import socket
import stat
import time
from pathlib import Path

import psycopg

from auditvault.cli.up.postgres import EmbeddedPostgres

CHILDREN = ["postgres", "broker", "web", "worker-eu", "worker-us", "beat", "signer"]


def test_it_starts_in_order_greets_and_stops_in_reverse(start):
    instance = start()
    state = instance.wait_ready()
    status = instance.status()
    code, output, error = instance.stop()

    events = [line[9:].split(" | ") for line in output.splitlines() if line[2:3] == ":"]
    started = [name.strip() for name, text in events if text.startswith(("ready in", "started"))]
    stopped = [name.strip() for name, text in events if text.startswith("stopped")]
    assert (code, error, status) == (0, "", 200)
    assert started == CHILDREN
    assert stopped == CHILDREN[::-1]
    assert "the demo says hello" in output
    assert f"console   {state['web']}" in output
    assert "log in    ada / pw  (auditor)" in output


def test_run_json_tells_where_everything_is_while_it_is_there(start):
    instance = start()
    state = instance.wait_ready()
    path = instance.home / "run.json"
    mode = stat.S_IMODE(path.stat().st_mode)
    with psycopg.connect(state["postgres"]["superuser_dsn"]) as connection:
        names = {name for (name,) in connection.execute("SELECT datname FROM pg_database")}

    instance.stop()

    assert mode == 0o600
    assert set(state["pids"]) == {"supervisor", *CHILDREN}
    assert state["pids"]["supervisor"] == instance.process.pid
    assert state["postgres"]["regions"]["us"] == {
        "database": "region_us",
        "keys_database": "keys_us",
    }
    assert {"auditvault_control", "region_eu", "keys_eu", "region_us", "keys_us"} <= names
    assert not path.exists()
    assert not (instance.home / "env.json").exists()


def test_nothing_runs_after_a_stop_and_the_second_start_makes_no_second_demo(start):
    first = start()
    pids = first.wait_ready()["pids"]
    first.stop(signal.SIGTERM)
    left = [name for name, pid in pids.items() if Path(f"/proc/{pid}").exists()]

    second = start()
    second.wait_ready()
    code, output, _ = second.stop()

    assert left == []
    assert code == 0
    assert "the demo says hello" not in output
    assert "log in    ada / pw" in output


def test_each_process_that_is_killed_comes_back_and_the_service_with_it(start):
    instance = start()
    instance.wait_ready()

    for name in CHILDREN:
        instance.kill(name)
        instance.until(lambda: instance.status() == 200)

    code, output, _ = instance.stop()
    assert code == 0
    for name in CHILDREN:
        assert f"{name:<10} | died (killed by SIGKILL); restarting" in output


def test_ten_kills_of_the_database_in_a_row_are_survived(start):
    instance = start()
    instance.wait_ready()

    for _ in range(10):
        instance.kill("postgres")
        instance.until(lambda: instance.status() == 200)

    assert instance.stop()[0] == 0


def test_a_second_up_names_the_first_ones_pid_and_url(start):
    first = start()
    state = first.wait_ready()

    code, _, error = start().finish()

    assert code == 1
    assert error == (f"auditvault: already running: process {first.process.pid}, {state['web']}\n")
    assert first.status() == 200


def test_a_port_that_is_taken_is_told_before_anything_is_started(start):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        code, output, error = start(port=port).finish()

    assert code == 1
    assert error.startswith(f"auditvault: port {port} is taken by another program")
    assert output == ""


def test_a_killed_supervisor_leaves_nothing_and_the_next_start_works(start):
    first = start()
    pids = first.wait_ready()["pids"]
    first.process.kill()
    first.finish()

    second = start()
    second.wait_ready()

    # Orphans are reaped by the machine's first process, which takes its time.
    deadline = time.monotonic() + 30
    while left := [name for name, pid in pids.items() if Path(f"/proc/{pid}").exists()]:
        assert time.monotonic() < deadline, f"still there: {left}"
        time.sleep(0.1)
    log = (second.home / "log" / "postgres.log").read_text()
    assert "received fast shutdown request" in log
    assert "not properly shut down" not in log


def test_a_process_that_keeps_dying_stops_everything_and_its_log_is_named(start):
    instance = start("dying-beat")

    code, output, error = instance.finish()

    assert code == 1
    assert "beat: died 5 times in a row" in error
    assert f"{instance.home}/log/beat.log ends:\n    it is broken" in error
    assert "postgres   | stopped (exit code 0)" in output


def test_a_migration_that_fails_stops_the_start_with_its_last_words(start):
    code, output, error = start("broken-migrate").finish()

    assert code == 1
    assert "migrate: exit code 1" in error
    assert "it is broken" in error
    assert "Traceback" not in output + error


def test_a_demo_that_fails_is_told_and_the_service_stays(start):
    instance = start("broken-demo")
    instance.wait_ready()

    code, output, _ = instance.stop()

    assert code == 0
    assert "demo       | demo: exit code 1" in output


def test_an_administrators_address_is_used_instead_of_an_own_server(start, home):
    with EmbeddedPostgres(home / "theirs") as theirs:
        instance = start(where=home / "ours", DATABASE_URL=theirs.superuser_dsn)
        state = instance.wait_ready()
        status = instance.status()
        code, _, _ = instance.stop()

    assert (code, status) == (0, 200)
    assert "postgres" not in state["pids"]
    assert state["postgres"]["superuser_dsn"] == theirs.superuser_dsn
    assert not (home / "ours" / "servers" / "postgres").exists()


def test_a_brokers_address_is_used_instead_of_an_own_broker(start):
    instance = start(AUDITVAULT_BROKER_URL="redis://127.0.0.1:6399/0")

    state = instance.wait_ready()

    assert state["broker"] == "redis://127.0.0.1:6399/0"
    assert "broker" not in state["pids"]


def test_it_works_below_a_closed_directory(start, closed_home):
    instance = start(where=closed_home)

    instance.wait_ready()

    assert instance.status() == 200
    assert instance.stop()[0] == 0


def test_a_home_that_cannot_be_written_is_told_without_a_traceback(start):
    code, _, error = start(where=Path("/proc/auditvault")).finish()

    assert code == 1
    assert error.startswith("auditvault: /proc/auditvault cannot be written: ")
    assert "Traceback" not in error


def test_a_secret_that_is_lost_is_not_made_anew(start):
    first = start()
    first.wait_ready()
    first.stop()
    (first.home / "secrets" / "root_key_eu").unlink()

    code, _, error = start().finish()

    assert code == 1
    assert "root_key_eu is missing, but this instance already holds data" in error


def test_a_signal_during_the_start_ends_it_cleanly(start):
    instance = start()
    instance.until((instance.home / "servers" / "postgres").exists)

    code, output, error = instance.stop()

    assert (code, error) == (0, "")
    assert "everything is stopped" in output
    assert not (instance.home / "servers" / "postgres" / "postmaster.pid").exists()
