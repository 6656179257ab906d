"""The product's own witness as an outside party runs it: a process with a key and a memory of its own."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path

PROGRAM = (sys.executable, "-m", "auditvault.verifier.main", "witness")
SECONDS = 30.0


class RunningWitness:
    """`auditvault-verify witness` on a free port, with a key and a memory of its own."""

    def __init__(self, directory: Path, origin: str) -> None:
        self.directory = directory
        self._files = ("--key", str(directory / "w.key"), "--state", str(directory / "state"))
        made = ("--make-key", "--name", "witness.example/w1")
        self.vkey = self._run(*made).stdout.strip()
        key = base64.b64encode(signers_key()).decode()
        trust = {"logs": [{"public_key": key, "origins": [origin]}]}
        (directory / "trust.json").write_text(json.dumps(trust))

    def _run(self, *words: str) -> subprocess.CompletedProcess[str]:
        argv = [*PROGRAM, *self._files, *words]
        return subprocess.run(argv, check=True, capture_output=True, text=True)

    def start(self) -> None:
        trust = str(self.directory / "trust.json")
        self.process = subprocess.Popen(
            [
                *PROGRAM,
                *self._files,
                "--trust",
                trust,
                "--listen",
                "127.0.0.1:0",
                "--json",
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.url = next(
            word
            for word in json.loads(self.process.stdout.readline()).values()
            if str(word).startswith("http")
        )

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(SECONDS)
        assert self.process.stdout is not None
        self.process.stdout.close()


def signers_key() -> bytes:
    from django.conf import settings

    from auditvault.core.tlog.note import NoteVerifier

    return NoteVerifier.parse(Path(settings.LOG_VKEYS_FILE).read_text().splitlines()[0]).public_key
