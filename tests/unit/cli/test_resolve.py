"""`auditvault resolve`, with a small server in the place of the service: what it asks, and how the reason comes."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
NOWHERE = "postgresql://none@127.0.0.1:1/none"
REASON = "Frau Jürgens says the answer was wrong"
ASKED = {"contents": [], "access_record": "01a20b35", "more": False}


@pytest.fixture
def service():
    """Answers every request and keeps its body."""
    bodies = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(ASKED).encode())

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server.server_port, bodies
    server.shutdown()
    thread.join()
    server.server_close()


def resolve(port, home, *reason, given=b""):
    words = ["sha256:" + 64 * "a", "--region", "eu", "--code", "INCIDENT", "--case", "INC-1"]
    return subprocess.run(
        [sys.executable, "-m", "auditvault.cli.main", "resolve", *words, *reason],
        env={
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": str(ROOT),
            "AUDITVAULT_HOME": str(home),
            "AUDITVAULT_PORT": str(port),
            "AUDITVAULT_TOKEN": "av_test",
            "AUDITVAULT_SECRET_KEY_FILE": str(ROOT / "pyproject.toml"),
            "AUDITVAULT_REGIONS": "eu",
            "AUDITVAULT_CONTROL_URL": NOWHERE,
            "AUDITVAULT_REGION_EU_URL": NOWHERE,
            "AUDITVAULT_KEYS_EU_URL": NOWHERE,
        },
        input=given,
        capture_output=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("word", "given"), [(REASON, b"not this"), ("-", REASON.encode())], ids=["argument", "input"]
)
def test_the_reason_is_an_argument_or_comes_from_standard_input(service, tmp_path, word, given):
    port, bodies = service

    done = resolve(port, tmp_path, "--reason", word, given=given)

    assert (done.returncode, done.stderr) == (0, b"")
    assert bodies[0]["purpose"] == {"code": "INCIDENT", "case": "INC-1", "reason": REASON}


def test_a_reason_that_is_no_text_is_told_without_being_shown(service, tmp_path):
    port, bodies = service

    done = resolve(port, tmp_path, "--reason", "-", given=b"Frau J\xfcrgens says it was wrong")

    assert done.returncode == 1
    assert done.stderr == b"CommandError: The reason on standard input is not UTF-8.\n"
    assert bodies == []


def test_the_help_says_that_a_reason_can_be_read_from_standard_input(service, tmp_path):
    done = resolve(0, tmp_path, "--help")

    assert b"- reads it from standard input" in b" ".join(done.stdout.split())
