"""`auditvault up` with everything that is real: the service comes back whatever is killed."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
SECONDS = 180.0
CHILDREN = ("postgres", "broker", "web", "worker-eu", "worker-us", "beat", "signer")
COMMAND = (sys.executable, "-m", "auditvault.cli.main")

pytestmark = pytest.mark.timeout(600)


def until(condition):
    deadline = time.monotonic() + SECONDS
    while not (found := condition()):
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)
    return found


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def processes_of(home):
    """Every process whose environment or command line names this home."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            text = (entry / "environ").read_bytes() + (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if bytes(home) in text and int(entry.name) != os.getpid():
            found.append(int(entry.name))
    return found


class Up:
    """A running `auditvault up`."""

    def __init__(self, home, *words):
        self.home = home
        self.log = home.parent / f"{home.name}.log"
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [*COMMAND, "up", "--home", str(home), "--port", "0", *words],
                env=environment(home),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        until(lambda: self.state() is not None)

    def state(self):
        assert self.process.poll() is None, self.log.read_text()
        try:
            found = json.loads((self.home / "run.json").read_text())
        except FileNotFoundError:
            return None
        return found if found["pids"]["supervisor"] == self.process.pid else None

    def status(self, path="/readyz"):
        connection = http.client.HTTPConnection(self.state()["web"].removeprefix("http://"))
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return 0
        finally:
            connection.close()

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(SECONDS)


def environment(home):
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {**kept, "PYTHONPATH": str(PROJECT), "AUDITVAULT_HOME": str(home)}


def auditvault(home, *words):
    return subprocess.run(
        [*COMMAND, *words], env=environment(home), capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def parent():
    path = Path(tempfile.mkdtemp(prefix="av-")).resolve()
    path.chmod(0o701)
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def service(parent):
    up = Up(parent / "home", "--no-demo")
    yield up
    up.stop()


@pytest.mark.parametrize("name", CHILDREN)
def test_the_service_comes_back_by_itself_whatever_is_killed(service, name):
    before = service.state()["pids"][name]

    os.kill(before, signal.SIGKILL)

    after = until(lambda: found if (found := service.state()["pids"][name]) != before else None)
    until(lambda: service.status() == 200)
    assert is_running(after)
    assert not is_running(before)


def test_the_service_comes_back_when_all_are_killed_at_once(service):
    before = service.state()["pids"]

    for name in CHILDREN:
        os.kill(before[name], signal.SIGKILL)

    until(
        lambda: all(pid != before[name] for name, pid in service.state()["pids"].items()
                    if name != "supervisor")
    )  # fmt: skip
    until(lambda: service.status() == 200)


def test_a_web_worker_that_is_killed_is_replaced(service):
    web = service.state()["pids"]["web"]
    workers = children_of(web)

    os.kill(workers[-1], signal.SIGKILL)

    until(lambda: len(new := children_of(web)) == len(workers) and workers[-1] not in new)
    until(lambda: service.status() == 200)
    assert service.state()["pids"]["web"] == web


def children_of(pid):
    return sorted(
        int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    )


def test_the_database_under_kill_is_never_answered_with_500(service):
    seen = set()
    os.kill(service.state()["pids"]["postgres"], signal.SIGKILL)

    deadline = time.monotonic() + SECONDS
    while (status := service.status()) != 200 or len(seen) < 1:
        seen.add(status)
        assert time.monotonic() < deadline

    assert seen <= {200, 503}


def test_each_process_holds_its_own_secrets_only(service):
    pids = service.state()["pids"]
    secrets = {
        path.name: path.read_text().strip().encode()
        for path in (service.home / "secrets").glob("*_password")
    }

    held = {
        name: {
            secret.removesuffix("_password")
            for secret, value in secrets.items()
            if value in Path(f"/proc/{pids[name]}/environ").read_bytes()
        }
        for name in CHILDREN
    }

    assert held == {
        "postgres": set(),
        "broker": set(),
        "web": {"app"},
        "worker-eu": {"app", "retention"},
        "worker-us": {"app", "retention"},
        "beat": set(),
        "signer": {"signer"},
    }
    told = [
        name
        for name in CHILDREN
        if b"AUDITVAULT_SIGNER_KEY_FILE" in Path(f"/proc/{pids[name]}/environ").read_bytes()
    ]
    assert told == ["signer"]


def test_a_second_up_says_that_one_is_running(service):
    done = auditvault(service.home, "up")

    assert done.returncode == 1
    assert done.stderr == (
        f"auditvault: already running: process {service.process.pid}, {service.state()['web']}\n"
    )


def test_a_command_in_another_shell_finds_the_instance(service):
    done = auditvault(service.home, "verify", "--json")

    assert done.returncode == 0, done.stderr
    json.loads(done.stdout)


def test_a_stop_leaves_nothing_and_a_second_start_finds_everything(parent):
    home = parent / "twice"

    for _ in range(2):
        up = Up(home, "--no-demo")
        pids = up.state()["pids"]
        up_status = up.status()
        code = up.stop()

        assert (up_status, code) == (200, 0)
        assert [name for name, pid in pids.items() if is_running(pid)] == []
        assert processes_of(home) == []
    assert not (home / "run.json").exists()


def test_a_killed_supervisor_leaves_nothing_behind(parent):
    home = parent / "killed"
    up = Up(home, "--no-demo")

    up.process.kill()
    up.process.wait()

    until(lambda: processes_of(home) == [])
