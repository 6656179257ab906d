"""The test's side of `otlp_stream.py`: starts it, reads its journal, ends it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.acceptance import otlp_stream
from tests.acceptance.otlp_stream import THREADS
from tests.acceptance.running_service import RunningService, until

_END_SECONDS = 120.0


class SteadySender:
    """A running sender; make it with `steady_sender`."""

    def __init__(self, service: RunningService, token: str, folder: Path) -> None:
        self._journal = folder / "journal"
        self._output = folder / "sender.output"
        self._journal.touch()
        with self._output.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, str(Path(otlp_stream.__file__)), str(self._journal)],
                env=service.environment(ENDPOINT=f"{service.url}/v1/traces", TOKEN=token),
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
            )

    def lines(self) -> list[dict[str, Any]]:
        """What the sender has written down, whole lines only."""
        text = self._journal.read_text()
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]

    def delivered(self) -> Counter[int]:
        """Traces that were acknowledged so far, by the thread that sent them."""
        return Counter(line["thread"] for line in self.lines() if line["delivered"])

    def wait_for_more(self, traces: int) -> None:
        """Return once every thread sends again, and so many more traces were acknowledged."""
        before = self.delivered()

        def flows() -> bool:
            more = self.delivered() - before
            return self._goes_on() and len(more) == THREADS and more.total() >= traces

        until(flows, f"{traces} more traces")

    def _goes_on(self) -> bool:
        assert self.process.poll() is None, self._output.read_text()
        return True

    def finish(self) -> list[dict[str, Any]]:
        """Let it end what it is sending; the whole journal."""
        assert self.process.stdin is not None
        if self.process.poll() is None:
            self.process.stdin.close()
            assert self.process.wait(_END_SECONDS) == 0, self._output.read_text()
        return self.lines()


@contextmanager
def steady_sender(service: RunningService, token: str, folder: Path) -> Iterator[SteadySender]:
    """A sender for the length of the block."""
    sender = SteadySender(service, token, folder)
    try:
        yield sender
    finally:
        if sender.process.poll() is None:
            sender.process.kill()
        sender.process.wait()
        if sender.process.stdin is not None:
            sender.process.stdin.close()
