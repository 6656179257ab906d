"""Microseconds a span, by stage.

Parse, read, normalise, and what storing needs next (header bytes, body digest).

Run: python -m tests.benchmarks.decode, or the file itself, from the repository's root. Best of
several rounds, one process.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from auditvault.ingest.header import body_digest, header_bytes
from auditvault.ingest.normalize.memo import RequestMemo
from auditvault.ingest.normalize.origin import normalize_origin
from auditvault.ingest.normalize.span import normalize_span
from auditvault.ingest.otlp import protobuf
from auditvault.ingest.otlp.traces import decode_traces
from tests.benchmarks.traces import make_bodies

ROUNDS = 30


def best_us_per_span(stage: Callable[[], Any], spans: int) -> float:
    best = float("inf")
    gc.collect()
    for _ in range(ROUNDS):
        started = time.perf_counter()
        stage()
        best = min(best, time.perf_counter() - started)
    return round(best / spans * 1e6, 2)


def measure(spans: int) -> dict[str, float]:
    (body,) = make_bodies(spans, 1, seed=7)
    (batch,) = protobuf.read_batches(body)
    origin = normalize_origin(batch.resource_attributes, batch.scope, batch.schema_url)
    interactions = decode_traces(body, "protobuf").interactions
    attributes = sum(len(span.attributes) for span in batch.spans)

    def read() -> None:
        for span in batch.spans:
            for _ in span.attributes:
                pass

    def normalize() -> None:
        memo = RequestMemo()
        for span in batch.spans:
            normalize_span(span, origin, memo)

    stages: dict[str, Callable[[], Any]] = {
        "parse": lambda: list(protobuf.read_batches(body)),
        "read attributes (part of normalize)": read,
        "normalize, contents and their SHA-256": normalize,
        "decode_traces (parse and normalize)": lambda: decode_traces(body, "protobuf"),
        "header_bytes": lambda: [header_bytes(item.header) for item in interactions],
        "body_digest": lambda: [body_digest(item) for item in interactions],
    }
    result = {name: best_us_per_span(stage, spans) for name, stage in stages.items()}
    contents = sum(len(item.contents) for item in interactions)
    return {
        "spans": spans,
        "bytes_per_span": round(len(body) / spans),
        "attributes_per_span": round(attributes / spans, 1),
        "contents_per_span": round(contents / spans, 2),
        **result,
    }


if __name__ == "__main__":
    gc.freeze()  # as the service does once it has started: modules are no garbage
    for spans in (8, 64, 512):
        print(json.dumps(measure(spans), indent=1))
