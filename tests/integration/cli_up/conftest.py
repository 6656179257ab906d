"""A home with a short path that any user can pass through: pytest's own directories are closed."""

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
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from auditvault.cli.up.account import server_directory
from auditvault.cli.up.leftovers import find_leftovers

SECONDS = 60.0
PROJECT = Path(__file__).resolve().parents[3]
FAKE_SERVICE = Path(__file__).with_name("fake_service.py")


@pytest.fixture
def home():
    path = Path(tempfile.mkdtemp(prefix="av-")).resolve()
    path.chmod(0o701)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def closed_home():
    """Below a directory that only its owner may enter, as root's own home is."""
    parent = Path(tempfile.mkdtemp(prefix="av-")).resolve()
    path = parent / "home"
    path.mkdir()
    yield path
    if (path / "servers").is_symlink():
        shutil.rmtree(server_directory(path, None))
    shutil.rmtree(parent)


class Instance:
    """A supervisor with its servers and a fake service, in a process of its own."""

    def __init__(self, home: Path, *words: str, port: int = 0, **environment: str) -> None:
        self.home = home
        self._output = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed by close()
        self.process = subprocess.Popen(
            [sys.executable, str(FAKE_SERVICE), str(home), str(port), *words],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(PROJECT), **environment},
            stdout=self._output,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def wait_ready(self) -> dict[str, Any]:
        state = self.until(self.state)
        self.until(lambda: " | ready: http" in self.said())
        return state

    def said(self) -> str:
        """Its standard output until now."""
        return os.pread(self._output.fileno(), 1 << 20, 0).decode()

    def state(self) -> dict[str, Any] | None:
        """run.json, unless it is an earlier instance's; fails where the supervisor has ended."""
        assert self.process.poll() is None, self.finish()
        try:
            found = json.loads((self.home / "run.json").read_text())
        except FileNotFoundError:
            return None
        return found if found["pids"]["supervisor"] == self.process.pid else None

    def until(self, condition: Callable[[], Any]) -> Any:
        deadline = time.monotonic() + SECONDS
        while not (found := condition()):
            assert time.monotonic() < deadline, "waited too long"
            time.sleep(0.02)
        return found

    def kill(self, name: str) -> dict[str, Any]:
        """Kill one process; returns the state once another runs in its place."""
        before = self.wait_ready()["pids"][name]
        os.kill(before, signal.SIGKILL)
        return self.until(
            lambda: found if (found := self.wait_ready())["pids"][name] != before else None
        )

    def status(self) -> int:
        """What /readyz answers; 0 where nobody does."""
        connection = http.client.HTTPConnection(self.state()["web"].removeprefix("http://"))
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status
        except OSError:
            return 0
        finally:
            connection.close()

    def finish(self) -> tuple[int, str, str]:
        """Exit code, standard output and error, once it has ended."""
        _, error = self.process.communicate(timeout=SECONDS)
        return self.process.returncode, self.said(), error

    def close(self) -> None:
        if self.process.poll() is None:
            self.stop()
        self._output.close()
        self.process.stderr.close()

    def stop(self, number: signal.Signals = signal.SIGINT) -> tuple[int, str, str]:
        self.process.send_signal(number)
        return self.finish()


@pytest.fixture
def start(home):
    """Starts instances in `home` (or another) and sees to it that none is left."""
    started = []

    def make(*words: str, where: Path = home, port: int = 0, **environment: str) -> Instance:
        instance = Instance(where, *words, port=port, **environment)
        started.append(instance)
        return instance

    yield make
    for instance in started:
        instance.close()
    assert find_leftovers(home) == []
