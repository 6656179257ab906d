"""A sender that never stops: unique traces, through the OTLP exporter of the OpenTelemetry SDK.

Run as a program: otlp_stream.py JOURNAL. Endpoint and token come in the environment. The exporter
is used as it is: it repeats what fails with 503 or for want of a connection, and gives up after a
minute. Every trace that it reports as delivered becomes a line of the journal, and so does every one
that it gave up on. It ends when its standard input does.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import sys
import threading
from pathlib import Path
from typing import Any

from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Tracer

THREADS = 3
_GIVE_UP_SECONDS = 60.0
_PAUSE_SECONDS = 0.01
_SENDER = secrets.token_hex(8)


def main(journal: Path) -> None:
    """Send from several threads until standard input ends."""
    stop = threading.Event()
    lock = threading.Lock()
    with journal.open("a") as lines:

        def write(line: dict[str, Any]) -> None:
            with lock:
                lines.write(json.dumps(line) + "\n")
                lines.flush()

        threads = [
            threading.Thread(target=_send_all, args=(number, stop, write))
            for number in range(THREADS)
        ]
        for thread in threads:
            thread.start()
        sys.stdin.read()
        stop.set()
        for thread in threads:
            thread.join()


def _send_all(number: int, stop: threading.Event, write: Any) -> None:
    kept = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource.create({"service.name": "steady-sender"}))
    provider.add_span_processor(SimpleSpanProcessor(kept))
    exporter = OTLPSpanExporter(
        os.environ["ENDPOINT"],
        headers={"Authorization": f"Bearer {os.environ['TOKEN']}"},
        timeout=_GIVE_UP_SECONDS,
        compression=Compression.Gzip,
    )
    tracer = provider.get_tracer("steady")
    count = 0
    while not stop.wait(_PAUSE_SECONDS):
        count += 1
        prompt = _trace(tracer, f"question {number}-{count} of sender {_SENDER}")
        spans = kept.get_finished_spans()
        kept.clear()
        delivered = exporter.export(spans) is SpanExportResult.SUCCESS
        write({"thread": number, "delivered": delivered, **_facts(spans, prompt)})
    exporter.shutdown()  # type: ignore[no-untyped-call]
    provider.shutdown()


def _trace(tracer: Tracer, text: str) -> str:
    """One agent's run of three spans; returns the prompt as it is sent."""
    prompt = json.dumps([{"role": "user", "parts": [{"type": "text", "content": text}]}])
    agent = {"gen_ai.operation.name": "invoke_agent", "user.id": text}
    call = {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.input.messages": prompt,
        "gen_ai.output.messages": prompt[::-1],
    }
    tool = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.call.arguments": text}
    with tracer.start_as_current_span("invoke_agent steady", attributes=agent):
        tracer.start_span("chat gpt-4o", attributes=call).end()
        tracer.start_span("execute_tool look", attributes=tool).end()
    return prompt


def _facts(spans: tuple[ReadableSpan, ...], prompt: str) -> dict[str, Any]:
    contexts = [span.get_span_context() for span in spans]
    return {
        "spans": [f"{one.trace_id:032x}{one.span_id:016x}" for one in contexts if one],
        "prompt_sha256": hashlib.sha256(prompt.encode()).hexdigest(),
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]))
