"""A real SoftHSM2 token in a directory of its own. Its module reads its settings when a process first loads it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_MODULES = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/opt/homebrew/lib/softhsm/libsofthsm2.so",
)
PIN = "4711-of-this-test"
TOKEN = "audit test"
_OFFICER = ("--so-pin", "0815-of-this-test")

_HOLD = """
import fcntl, os, sys
files = [os.open(path, os.O_RDWR) for path in sys.argv[1:]]
for file in files:
    fcntl.lockf(file, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


def module() -> str:
    found = next((path for path in _MODULES if Path(path).exists()), None)
    assert found is not None, "these tests need SoftHSM2: install the package softhsm2"
    return found


class SoftHsm:
    """One token, which `SOFTHSM2_CONF` in this process's environment leads to."""

    def __init__(self, directory: Path) -> None:
        self.tokens = directory / "tokens"
        self.tokens.mkdir()
        config = directory / "softhsm2.conf"
        config.write_text(
            f"directories.tokendir = {self.tokens}\nobjectstore.backend = file\nlog.level = ERROR\n"
        )
        os.environ["SOFTHSM2_CONF"] = str(config)
        subprocess.run(
            ["softhsm2-util", "--init-token", "--free", "--label", TOKEN, "--pin", PIN, *_OFFICER],
            check=True,
            capture_output=True,
        )

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Another process holds the token's locks, for which the module waits without end."""
        locks = [str(path) for path in self.tokens.rglob("*") if path.is_file()]
        with subprocess.Popen(
            [sys.executable, "-c", _HOLD, *locks], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as holder:
            assert holder.stdout is not None
            assert holder.stdin is not None
            assert holder.stdout.readline() == b"held\n"
            try:
                yield
            finally:
                holder.stdin.close()
