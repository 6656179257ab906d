"""The supervisor, with real children that do very little."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace

import pytest

from auditvault.cli.up.events import Events
from auditvault.cli.up.files import StorageError
from auditvault.cli.up.policy import FULL_BYTES, QUICK_DEATHS_ALLOWED, ROOM_BYTES
from auditvault.cli.up.process import ChildSpec
from auditvault.cli.up.signals import SignalPipe
from auditvault.cli.up.supervisor import ChildFailedError, StopRequestedError, Supervisor

SECONDS = 30.0
RUN = "while :; do sleep 0.05; done"


@pytest.fixture
def signals():
    with SignalPipe() as pipe:
        yield pipe


@pytest.fixture
def pid_changes():
    return []


class Disk:
    """How much is free; everything the supervisor looks at is on it."""

    free = ROOM_BYTES

    def free_bytes(self, _path):
        return self.free


@pytest.fixture
def disk(monkeypatch):
    """A disk of which a test says how full it is, looked at all the time; no wait is long."""
    monkeypatch.setattr("auditvault.cli.up.policy._DELAY_SECONDS", (0.02,))
    monkeypatch.setattr("auditvault.cli.up.supervisor._DISK_SECONDS", 0.0)
    for module in ("policy", "supervisor"):
        monkeypatch.setattr(f"auditvault.cli.up.{module}.FULL_DISK_RETRY_SECONDS", 0.02)
    return Disk()


@pytest.fixture
def supervisor(signals, pid_changes, disk):
    made = Supervisor(
        events=Events(),
        signals=signals,
        on_pids=lambda pids: pid_changes.append(dict(pids)),
        free_bytes=disk.free_bytes,
    )
    yield made
    made.stop()


def spec(home, name, script=RUN, **options):
    return ChildSpec(
        name=name,
        argv=("/bin/sh", "-c", script),
        environment={"PATH": os.defpath, "AUDITVAULT_HOME": str(home)},
        log=home / f"{name}.log",
        **options,
    )


def tick_until(supervisor, condition):
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        supervisor.tick()


def kill(supervisor, name):
    before = supervisor.pids[name]
    os.kill(before, signal.SIGKILL)
    tick_until(supervisor, lambda: supervisor.pids[name] != before)


def test_a_child_that_is_killed_comes_back_with_a_new_pid(home, supervisor, capsys):
    supervisor.start(spec(home, "web"), timeout=SECONDS)

    kill(supervisor, "web")

    said = capsys.readouterr().out
    assert "died (killed by SIGKILL); restarting in" in said
    assert f"running again (process {supervisor.pids['web']})" in said


def test_every_change_of_a_pid_is_told(home, supervisor, pid_changes):
    supervisor.start(spec(home, "web"), timeout=SECONDS)
    supervisor.start(spec(home, "beat"), timeout=SECONDS)

    kill(supervisor, "web")

    assert [sorted(pids) for pids in pid_changes] == [["web"], ["beat", "web"], ["beat", "web"]]
    assert pid_changes[-1] == supervisor.pids
    assert pid_changes[-1]["web"] != pid_changes[0]["web"]


def test_a_full_disk_delays_what_is_told_and_stops_nothing(home, signals, monkeypatch):
    monkeypatch.setattr("auditvault.cli.up.supervisor._TELL_AGAIN_SECONDS", 0.0)
    told = []

    def tell(pids):
        told.append(dict(pids))
        if len(told) < 3:
            raise StorageError("the disk is full")

    supervisor = Supervisor(events=Events(), signals=signals, on_pids=tell)
    supervisor.start(spec(home, "web"), timeout=SECONDS)
    tick_until(supervisor, lambda: len(told) == 3)
    supervisor.stop()

    assert told[0] == told[2]


def lines(path):
    return path.read_text().splitlines() if path.exists() else []


def start_one_that_needs_room(supervisor, home, disk):
    """It works while `room` is there; afterwards it has died more often than is allowed."""
    script = f"echo >> {home}/tries; test -e {home}/room || exit 1; touch {home}/works; {RUN}"
    supervisor.start(spec(home, "postgres", script, storage=(home,)), timeout=SECONDS)
    disk.free = FULL_BYTES - 1
    tick_until(supervisor, lambda: len(lines(home / "tries")) > 2 * QUICK_DEATHS_ALLOWED)


def test_a_child_that_dies_on_a_full_disk_is_tried_until_there_is_room(home, supervisor, disk):
    start_one_that_needs_room(supervisor, home, disk)

    (home / "room").touch()
    disk.free = ROOM_BYTES

    tick_until(supervisor, (home / "works").exists)


def test_a_full_disk_is_said_once_and_so_is_its_end(home, supervisor, disk, capsys):
    start_one_that_needs_room(supervisor, home, disk)
    (home / "room").touch()
    tick_until(supervisor, (home / "works").exists)

    disk.free = ROOM_BYTES
    supervisor.tick()

    events = [line.split(" | ")[1] for line in capsys.readouterr().out.splitlines()]
    assert [event.partition(" (")[0] for event in events[1:]] == [
        f"the disk under {home} is full: 67 MB free; free some space, everything goes on by itself",
        "died",
        f"the disk under {home} has room again",
        "running again",
    ]
    assert events[2].endswith(f"until the disk has room, see {home}/postgres.log")


def test_a_child_that_keeps_dying_once_there_is_room_is_given_up(home, supervisor, disk):
    start_one_that_needs_room(supervisor, home, disk)

    disk.free = ROOM_BYTES

    with pytest.raises(ChildFailedError, match="postgres: died 5 times"):
        tick_until(supervisor, lambda: False)


def test_a_disk_is_said_to_be_full_once_whatever_lies_on_it(home, supervisor, disk, capsys):
    disk.free = 0
    (home / "wal").mkdir()
    supervisor.start(spec(home, "postgres", storage=(home, home / "wal")), timeout=SECONDS)
    supervisor.start(spec(home, "web", storage=(home,)), timeout=SECONDS)

    for _ in range(3):
        supervisor.tick()

    assert capsys.readouterr().out.count("is full") == 1


def test_a_directory_that_is_not_there_excuses_nobody(home, supervisor, disk):
    disk.free = 0
    gone = spec(home, "beat", "exit 1", storage=(home / "gone",))
    supervisor.start(gone, timeout=SECONDS)

    with pytest.raises(ChildFailedError, match="beat: died 5 times"):
        tick_until(supervisor, lambda: False)


def start_one_whose_log_goes_away(supervisor, home):
    (home / "log").mkdir()
    moved = replace(spec(home, "web", storage=(home,)), log=home / "log" / "web.log")
    supervisor.start(moved, timeout=SECONDS)
    (home / "log").rename(home / "elsewhere")
    os.kill(supervisor.pids["web"], signal.SIGKILL)


def test_a_log_that_a_full_disk_has_no_room_for_is_tried_again(home, supervisor, disk):
    disk.free = 0
    start_one_whose_log_goes_away(supervisor, home)
    before = supervisor.pids["web"]
    tick_until(supervisor, lambda: supervisor._slots["web"].restarts > 2)

    (home / "elsewhere").rename(home / "log")

    tick_until(supervisor, lambda: supervisor.pids["web"] != before)


def test_a_log_that_cannot_be_written_for_another_reason_ends_everything(home, supervisor, disk):
    start_one_whose_log_goes_away(supervisor, home)

    with pytest.raises(StorageError, match=r"web\.log cannot be written"):
        tick_until(supervisor, lambda: False)


def test_a_start_waits_until_the_child_is_ready(home, supervisor):
    flag = home / "ready"

    supervisor.start(
        spec(home, "web", f"sleep 0.2; touch {flag}; {RUN}", ready=flag.exists), timeout=SECONDS
    )

    assert flag.exists()


def test_a_child_that_does_not_start_is_not_tried_again(home, supervisor, pid_changes):
    broken = spec(home, "postgres", "echo no space; exit 7", ready=lambda: False)

    with pytest.raises(ChildFailedError) as caught:
        supervisor.start(broken, timeout=SECONDS)

    assert caught.value.message == (
        f"postgres: it did not start (exit code 7). {home}/postgres.log ends:\n    no space"
    )
    assert len(pid_changes) == 1


def test_a_child_that_is_never_ready_is_given_up(home, supervisor):
    with pytest.raises(ChildFailedError, match=r"web: not ready after 0 s"):
        supervisor.start(spec(home, "web", ready=lambda: False), timeout=0.2)


def test_a_child_that_keeps_dying_ends_everything_and_its_log_is_named(home, supervisor):
    supervisor.start(spec(home, "beat", "echo broken; exit 1"), timeout=SECONDS)

    with pytest.raises(ChildFailedError, match=rf"beat: died 5 times .*{home}/beat\.log ends") as e:
        tick_until(supervisor, lambda: False)

    assert e.value.message.count("broken") == 5


def test_a_child_waits_for_what_it_needs_before_it_comes_back(home, supervisor, capsys):
    flag = home / "ready"
    database = f"test -e {home}/again && sleep 0.5; touch {home}/again {flag}; {RUN}"
    supervisor.start(spec(home, "postgres", database, ready=flag.exists), timeout=SECONDS)
    supervisor.start(spec(home, "web", needs=("postgres",)), timeout=SECONDS)
    web = supervisor.pids["web"]
    flag.unlink()

    for name in ("postgres", "web"):
        os.kill(supervisor.pids[name], signal.SIGKILL)
    tick_until(supervisor, lambda: supervisor.pids["web"] != web)

    said = capsys.readouterr().out
    assert said.index("postgres   | ready again") < said.index("web        | running again")


def test_a_server_of_somebody_else_is_not_waited_for(home, supervisor):
    supervisor.start(spec(home, "web", needs=("postgres",)), timeout=SECONDS)

    kill(supervisor, "web")


def test_a_signal_ends_whatever_is_being_waited_for(home, supervisor):
    os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(StopRequestedError):
        supervisor.start(spec(home, "web", ready=lambda: False), timeout=SECONDS)


def test_what_others_need_is_stopped_after_them(home, supervisor):
    order = home / "order"
    for name, needs in {"postgres": (), "broker": (), "web": ("broker", "postgres")}.items():
        script = f"trap 'echo {name} >> {order}; exit 0' TERM; touch {home}/{name}; {RUN}"
        ready = (home / name).exists
        supervisor.start(spec(home, name, script, ready=ready, needs=needs), timeout=SECONDS)

    supervisor.stop()

    assert order.read_text().split() == ["web", "broker", "postgres"]


def test_a_second_signal_shortens_the_wait_for_a_stubborn_child(home, supervisor):
    script = f"trap '' TERM; touch {home}/up; {RUN}"
    steps = ((signal.SIGTERM, 1000.0), (signal.SIGKILL, SECONDS))
    ready = (home / "up").exists
    supervisor.start(spec(home, "web", script, ready=ready, stop_steps=steps), timeout=SECONDS)
    pid = supervisor.pids["web"]

    os.kill(os.getpid(), signal.SIGINT)
    supervisor.stop()

    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_command_runs_to_its_end_and_shows_what_it_says(home, supervisor, capsys):
    supervisor.run_once(spec(home, "demo", "echo hello"), timeout=SECONDS, relay=True)

    assert "demo       | hello" in capsys.readouterr().out


def test_a_command_that_fails_is_told_with_the_end_of_its_log(home, supervisor):
    with pytest.raises(ChildFailedError, match=r"migrate: exit code 2\. .*\n    bad"):
        supervisor.run_once(spec(home, "migrate", "echo bad; exit 2"), timeout=SECONDS)


def test_a_command_that_takes_too_long_is_ended(home, supervisor):
    with pytest.raises(ChildFailedError, match="not finished after 0 s"):
        supervisor.run_once(spec(home, "demo"), timeout=0.1)
