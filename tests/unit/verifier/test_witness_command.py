from __future__ import annotations

import http.client
import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from auditvault.core.tlog.cosignature import CosignatureVerifier, add_cosignatures
from auditvault.core.tlog.witnessing import parse_conflict
from auditvault.verifier.main import main
from auditvault.verifier.witness_key import WitnessKeyError, load_key, make_key
from tests.reference import receipts, witnesses
from tests.unit.verifier.test_isolation import GUARD

ROOT = Path(__file__).parents[3]
NAME = witnesses.WITNESS


class Files:
    """Where a witness's things are."""

    def __init__(self, folder: Path) -> None:
        self.key = folder / "w1.key"
        self.state = folder / "w1"
        self.trust = folder / "trust.json"
        self.trust.write_text(receipts.dumps(receipts.trust()))

    def arguments(self, *more: str) -> list[str]:
        return ["witness", "--key", str(self.key), "--state", str(self.state), *more]

    def make(self, *more: str) -> int:
        return main(self.arguments("--make-key", "--name", NAME, *more))

    def serving(self, listen: str = "127.0.0.1:0") -> list[str]:
        return self.arguments("--trust", str(self.trust), "--listen", listen, "--json")


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


# --- keys -----------------------------------------------------------------------------------------


def test_a_key_is_made_for_its_owner_only(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    code = files.make()

    vkey = capsys.readouterr().out.strip()
    assert code == 0
    assert CosignatureVerifier.parse(vkey).name == NAME
    assert load_key(files.key).vkey() == vkey
    assert stat.S_IMODE(files.key.stat().st_mode) == 0o600
    assert stat.S_IMODE(files.state.stat().st_mode) == 0o700
    assert vkey in (files.state / "witness.json").read_text()


def test_a_made_key_is_reported_as_json(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    files.make("--json")

    said = json.loads(capsys.readouterr().out)
    assert said == {
        "v": "auditvault/witness/1",
        "event": "made",
        "vkey": load_key(files.key).vkey(),
    }


def test_the_private_key_is_not_said(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    files.make()

    said = "".join(capsys.readouterr())
    assert json.loads(files.key.read_text())["seed"] not in said


def test_two_keys_are_not_the_same(tmp_path: Path) -> None:
    assert make_key(tmp_path / "a", NAME).vkey() != make_key(tmp_path / "b", NAME).vkey()


def test_a_key_is_not_overwritten(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    files.make()
    before = files.key.read_bytes()

    assert files.make() == 2
    assert files.key.read_bytes() == before
    assert "not overwritten" in capsys.readouterr().err


def test_no_key_is_left_where_no_state_could_be_made(files: Files) -> None:
    files.state.mkdir()
    (files.state / "something").touch()

    assert files.make() == 2
    assert not files.key.exists()


@pytest.mark.parametrize("name", ["", "two words", "a+b", "ä", "x" * 256, "a\n"])
def test_a_name_that_no_witness_has_is_refused(files: Files, name: str) -> None:
    assert main(files.arguments("--make-key", "--name", name)) == 2
    assert not files.key.exists()


def test_a_key_needs_a_name(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(files.arguments("--make-key")) == 2
    assert "--name" in capsys.readouterr().err


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o610])
def test_a_key_that_others_may_read_is_refused(files: Files, mode: int) -> None:
    files.make()
    files.key.chmod(mode)

    with pytest.raises(WitnessKeyError, match="chmod 600"):
        load_key(files.key)


@pytest.mark.parametrize(
    "change",
    [
        {"v": "auditvault/witness-key/2"},
        {"name": 5},
        {"name": "two words"},
        {"seed": 5},
        {"seed": "AAAA"},
        {"seed": "!"},
        {"more": 1},
    ],
)
def test_a_malformed_key_is_refused(files: Files, change: dict[str, Any]) -> None:
    files.make()
    members = json.loads(files.key.read_text())
    files.key.write_text(json.dumps(members | change))

    with pytest.raises(WitnessKeyError) as caught:
        load_key(files.key)

    assert members["seed"] not in caught.value.message


@pytest.mark.parametrize("content", ["", "{}", "nonsense", "[]"])
def test_a_file_that_is_no_key_is_refused(files: Files, content: str) -> None:
    files.make()
    files.key.write_text(content)

    with pytest.raises(WitnessKeyError):
        load_key(files.key)


def test_a_key_that_is_not_there_or_no_file_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(WitnessKeyError):
            load_key(path)


# --- starting -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("break_it", "code"),
    [
        (lambda files: files.key.unlink(), "witness_key_unusable"),
        (lambda files: (files.state / "witness.json").unlink(), "witness_state_unusable"),
        (lambda files: files.trust.unlink(), "input_unreadable"),
        (lambda files: files.trust.write_text("{}"), "input_unreadable"),
    ],
)
def test_a_witness_that_lacks_something_does_not_start(
    files: Files, capsys: pytest.CaptureFixture[str], break_it: Any, code: str
) -> None:
    files.make()
    break_it(files)
    capsys.readouterr()

    assert main(files.serving()) == 2
    assert json.loads(capsys.readouterr().out)["code"] == code


@pytest.mark.parametrize(
    "listen", ["", "8000", "127.0.0.1", "127.0.0.1:", ":80", "a:b", "h:70000", "::1:80", "h:-1"]
)
def test_an_address_that_is_none_is_refused(
    files: Files, capsys: pytest.CaptureFixture[str], listen: str
) -> None:
    files.make()
    capsys.readouterr()

    assert main(files.serving(listen)) == 2
    assert json.loads(capsys.readouterr().out)["code"] == "witness_argument_invalid"


@pytest.mark.parametrize("missing", ["--trust", "--listen"])
def test_a_witness_needs_logs_and_an_address(
    files: Files, capsys: pytest.CaptureFixture[str], missing: str
) -> None:
    files.make()
    arguments = files.serving()
    place = arguments.index(missing)

    assert main(arguments[:place] + arguments[place + 2 :]) == 2


def test_it_imports_nothing_but_the_standard_library_cryptography_and_core_tlog(
    files: Files, tmp_path: Path
) -> None:
    finished = subprocess.run(
        [sys.executable, "-c", GUARD, *files.arguments("--make-key", "--name", NAME)],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    seen = json.loads(finished.stderr.splitlines()[-1])
    assert seen["code"] == 0
    assert "auditvault.verifier.witness_server" in seen["imported"]
    assert not [name for name in seen["imported"] if name.startswith("auditvault.core.crypto")]


# --- a process of its own -------------------------------------------------------------------------


class Running:
    """A witness in its own process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        self.process = process
        self.out = process.stdout
        self.hello: dict[str, Any] = json.loads(self.out.readline())
        self.verifier = CosignatureVerifier.parse(self.hello["vkey"])

    def submit(self, body: bytes) -> tuple[int, str | None, bytes]:
        address = self.hello["url"].removeprefix("http://").rstrip("/")
        connection = http.client.HTTPConnection(address, timeout=20)
        connection.request("POST", "/add-checkpoint", body)
        answer = connection.getresponse()
        result = answer.status, answer.getheader("Content-Type"), answer.read()
        connection.close()
        return result


@contextmanager
def running(files: Files) -> Iterator[Running]:
    process = subprocess.Popen(
        [sys.executable, "-m", "auditvault.verifier.main", *files.serving()],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield Running(process)
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def test_a_witness_runs_cosigns_says_so_and_stops_when_told(files: Files) -> None:
    files.make()

    with running(files) as witness:
        status, _, line = witness.submit(witnesses.submission(0, 5))
        said = json.loads(witness.out.readline())
        witness.process.send_signal(signal.SIGTERM)
        code = witness.process.wait(timeout=20)

    note = witnesses.note(witnesses.leaves(5))
    assert (status, code) == (200, 0)
    assert add_cosignatures(note, line, [witness.verifier]) == note + line.decode()
    assert said == {
        "v": "auditvault/witness/1",
        "event": "cosigned",
        "origin": witnesses.ORIGIN,
        "size": 5,
    }


def test_a_killed_witness_remembers_all_that_it_cosigned(files: Files) -> None:
    files.make()
    size = 0
    for _ in range(3):
        with running(files) as witness:
            if size:
                forked = witness.submit(witnesses.submission(size, size, fork_at=size - 1))
                assert forked[0] == 422
            status, content_type, body = witness.submit(witnesses.submission(0, 40))
            if size:
                assert (status, parse_conflict(content_type, body)) == (409, size)
            else:
                assert status == 200
                size = 40
            for _ in range(5):
                assert witness.submit(witnesses.submission(size, size + 3))[0] == 200
                size += 3
            witness.process.kill()


def test_two_witnesses_do_not_run_on_one_state(
    files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    files.make()
    with running(files):
        capsys.readouterr()

        assert main(files.serving()) == 2

    assert "another witness is running" in capsys.readouterr().out


def test_two_witnesses_do_not_listen_at_one_address(
    files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files.make()
    (tmp_path / "second").mkdir()
    second = Files(tmp_path / "second")
    second.make()
    with running(files) as witness:
        capsys.readouterr()
        address = witness.hello["url"].removeprefix("http://").rstrip("/")

        assert main(second.serving(address)) == 2

    assert json.loads(capsys.readouterr().out)["code"] == "witness_argument_invalid"
