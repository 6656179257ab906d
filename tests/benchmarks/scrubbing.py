"""What looking for secrets costs: CPU of one process, for text without any, and for the spans that the senders send.

Run: python -m tests.benchmarks.scrubbing, from the repository's root. CPU time, best of several rounds.
"""

from __future__ import annotations

import gc
import json
import random
import time
from collections.abc import Callable
from typing import Any

from auditvault.ingest.otlp.traces import decode_traces
from auditvault.ingest.policies.contents import without_secrets
from auditvault.ingest.policies.secrets import may_hold_secrets
from tests.benchmarks.traces import make_bodies

TARGET_US_PER_KB = 2.0
_ROUNDS = 20
_TEXT = """the model answers questions about your account in the right order: see
https://example.org/path, tool_call_id, a password that was forgotten, a secret, task-force 7,
550e8400-e29b-41d4-a716-446655440000"""


def measure() -> dict[str, Any]:
    """Microseconds a KB of clean text, and of the senders' spans with their headers."""
    chance, words = random.Random(7), _TEXT.split()
    clean = " ".join(chance.choice(words) for _ in range(40_000)).encode()
    found = {"target": TARGET_US_PER_KB, "clean_us_per_kb": _best(_scan(clean), len(clean))}
    for spans in (8, 64, 512):
        (body,) = make_bodies(spans, 1, seed=7)
        interactions = decode_traces(body, "protobuf").interactions
        each = {
            id(content): len(content.body) for item in interactions for content in item.contents
        }
        spent = _best(lambda sent=interactions: without_secrets(sent), 1000)
        found[f"spans_{spans}"] = {
            "us_per_span": round(spent / spans, 2),
            "content_bytes_per_span": round(sum(each.values()) / spans),
        }
    return found


def _scan(text: bytes) -> Callable[[], Any]:
    def scan() -> None:
        if may_hold_secrets(text):
            raise AssertionError("this text has no secret")

    return scan


def _best(work: Callable[[], Any], size: int) -> float:
    """Microseconds for each 1,000 of `size`."""
    gc.collect()
    best = float("inf")
    for _ in range(_ROUNDS):
        begun = time.process_time()
        work()
        best = min(best, time.process_time() - begun)
    return round(best * 1e6 / (size / 1000), 2)


if __name__ == "__main__":
    print(json.dumps(measure(), indent=1))
