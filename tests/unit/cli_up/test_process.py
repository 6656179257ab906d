"""One child process, with real ones."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from auditvault.cli.up.events import Events
from auditvault.cli.up.leftovers import clear_leftovers, find_leftovers
from auditvault.cli.up.process import Child, ChildSpec, SpawnError, describe_exit

SECONDS = 20.0


def shell(home, script, **options):
    return ChildSpec(
        name="child",
        argv=("/bin/sh", "-c", script),
        environment={"PATH": os.defpath, "AUDITVAULT_HOME": str(home)},
        log=home / "child.log",
        **options,
    )


def until(condition):
    deadline = time.monotonic() + SECONDS
    while not (found := condition()):
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.01)
    return found


def numbers(path, count):
    """The pids that a script wrote into `path`, once all are there."""
    return until(
        lambda: words if path.exists() and len(words := path.read_text().split()) == count else None
    )


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_what_it_says_goes_into_its_log_only_its_owner_reads(home):
    Child(shell(home, "echo out; echo err >&2")).wait(SECONDS)

    assert (home / "child.log").read_text() == "out\nerr\n"
    assert (home / "child.log").stat().st_mode & 0o777 == 0o600


def test_a_program_that_does_not_exist_is_named(home):
    spec = ChildSpec(name="web", argv=("/no/such",), environment={}, log=home / "log")

    with pytest.raises(SpawnError, match="web cannot be started: /no/such: No such file"):
        Child(spec)


def test_it_gets_its_own_environment_and_nothing_of_ours(home, monkeypatch):
    monkeypatch.setenv("PRIVATE", "x")

    Child(shell(home, "env")).wait(SECONDS)

    assert "PRIVATE" not in (home / "child.log").read_text()


def test_a_stop_begins_with_the_gentle_signal(home):
    child = Child(shell(home, "trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.1; done"))
    until(lambda: "up" in (home / "child.log").read_text())

    assert child.stop() == 3


def test_a_stop_that_is_not_heard_ends_by_kill(home):
    steps = ((signal.SIGTERM, 0.2), (signal.SIGKILL, SECONDS))
    spec = shell(home, "trap '' TERM; echo up; while :; do sleep 0.1; done", stop_steps=steps)
    child = Child(spec)
    until(lambda: "up" in (home / "child.log").read_text())

    assert child.stop() == -signal.SIGKILL


def test_its_own_children_end_with_it_even_when_it_is_killed(home):
    child = Child(shell(home, f"sleep 1000 & echo $! > {home}/pids; wait"))
    (grandchild,) = numbers(home / "pids", 1)

    os.kill(child.pid, signal.SIGKILL)
    child.wait(SECONDS)

    until(lambda: not is_alive(grandchild))


def test_a_very_long_log_is_put_aside(home, monkeypatch):
    monkeypatch.setattr("auditvault.cli.up.process._LOG_LIMIT_BYTES", 10)
    (home / "child.log").write_text("x" * 11)

    Child(shell(home, "echo new")).wait(SECONDS)

    assert (home / "child.log").read_text() == "new\n"
    assert (home / "child.log.1").read_text() == "x" * 11


def test_an_exit_is_told_in_words():
    assert describe_exit(3) == "exit code 3"
    assert describe_exit(-9) == "killed by SIGKILL"


PARENT = """
import sys, time
from pathlib import Path
from auditvault.cli.up.process import Child, ChildSpec
home = Path(sys.argv[1])
script = f"{sys.argv[2]} echo $$ > {home}/child-pid; while :; do sleep 0.05; done"
Child(ChildSpec(name="c", argv=("/bin/sh", "-c", script), log=home / "log",
                environment={"PATH": "/usr/bin:/bin", "AUDITVAULT_HOME": str(home)}))
time.sleep(1000)
"""


@pytest.fixture
def orphan(home):
    """A function that starts a child under a parent of its own and kills the parent."""

    def make(prelude=""):
        command = [sys.executable, "-c", textwrap.dedent(PARENT), str(home), prelude]
        with subprocess.Popen(command) as parent:
            (pid,) = numbers(home / "child-pid", 1)
            parent.kill()
        return int(pid)

    return make


def test_a_child_ends_when_its_supervisor_is_killed(orphan):
    pid = orphan()

    until(lambda: not is_alive(pid))


def test_a_child_that_outlives_its_supervisor_is_found_and_ended_by_the_next(home, orphan):
    pid = orphan("trap '' TERM;")
    assert pid in find_leftovers(home)

    clear_leftovers(home, Events(quiet=True), patience=0.2)

    until(lambda: not is_alive(pid))
    assert find_leftovers(home) == []


def test_a_persons_own_process_in_this_home_is_left_alone(home):
    environment = {"PATH": os.defpath, "AUDITVAULT_HOME": str(home)}
    with subprocess.Popen(["sleep", "1000"], env=environment) as process:
        clear_leftovers(home, Events(quiet=True), patience=0.0)

        assert process.poll() is None
        process.kill()
