"""A witness on disk, and what a fault test needs to break it. Nothing of it is a double."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from auditvault.core.tlog.cosignature import CosignatureSigner, read_cosignatures
from auditvault.core.tlog.trust import TrustStore
from auditvault.verifier.witness import Event, Witness
from auditvault.verifier.witness_state import WitnessState
from tests.reference import receipts, witnesses

SIGNER = CosignatureSigner(witnesses.WITNESS, witnesses.WITNESS_KEY)
TRUST = TrustStore.from_json(receipts.dumps(receipts.trust()))


class WitnessOnDisk:
    """A witness that can be stopped and started again, and whose released lines are written down."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.time = witnesses.NOW
        self.events: list[Event] = []
        self.released: dict[tuple[str, int], set[str]] = defaultdict(set)
        WitnessState.create(directory, SIGNER.verifier())
        self.start()

    def start(self) -> None:
        self.state = WitnessState(self.directory, SIGNER.verifier())
        self.witness = Witness(
            signer=SIGNER,
            trust=TRUST,
            state=self.state,
            now=lambda: self.time,
            report=self.events.append,
        )

    def restart(self) -> None:
        """As after a crash: nothing of the old process is kept but its files."""
        self.state.close()
        self.start()

    def submit(self, body: bytes) -> bytes:
        """Submit, and write down what was released for which size and root."""
        line = self.witness.add_checkpoint(body)
        text = body.decode().split("\n\n")[1] + "\n"
        _, (cosignature,) = read_cosignatures(f"{text}\n{line.decode()}", [SIGNER.verifier()])
        assert cosignature.timestamp == self.time
        origin, size = text.split("\n")[:2]
        self.released[origin, int(size)].add(text)
        return line

    def remembered(self, origin: str = witnesses.ORIGIN) -> tuple[int, bytes] | None:
        """Size and root that it remembers."""
        last = self.state.recall(origin)
        return None if last is None else (last.checkpoint.size, last.checkpoint.root)

    def log_file(self, origin: str = witnesses.ORIGIN) -> Path:
        return self.directory / "logs" / f"{witnesses.origin_hash(origin)}.json"

    def stored(self) -> Any:
        return json.loads(self.log_file().read_text())


class CrashError(BaseException):
    """The process ends here; no handler of the code under test may catch it."""


@contextmanager
def failing(
    monkeypatch_context: Any, call: str, number: int, error: BaseException, *, after: bool
) -> Iterator[Callable[[], bool]]:
    """Let the `number`-th call of `os.<call>` fail, before or after it has done its work."""
    real = getattr(os, call)
    seen = 0

    def faulty(*args: Any, **options: Any) -> Any:
        nonlocal seen
        seen += 1
        if seen != number:
            return real(*args, **options)
        if after:
            real(*args, **options)
        raise error

    with monkeypatch_context() as patch:
        patch.setattr(os, call, faulty)
        yield lambda: seen >= number
