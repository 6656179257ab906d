"""An application as a customer would write it: OpenAI's client, traced by a real instrumentation.

Run as a program: sdk_client.py openinference|openllmetry. Endpoint, token and model server come in
the environment. The spans go to the service through the SDK's OTLP exporter; beside it, they are
kept in memory and printed as JSON, with the SHA-256 of every text attribute as it was sent.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable
from typing import Any

import openai
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Tracer

SYSTEM = "You help customers of a furniture shop in Gothenburg."
QUESTION = "I am Ms Abernathy. Where is my blue lamp?"
SECOND_QUESTION = "And where is the second parcel of Ms Abernathy?"
TOOL_RESULT = '{"state": "packed for Ms Abernathy"}'
USER, SESSION = "abernathy.17", "visit-of-abernathy"
TOOLS: list[Any] = [
    {
        "type": "function",
        "function": {
            "name": "find_order",
            "description": "Find an order of a customer",
            "parameters": {"type": "object", "properties": {"order": {"type": "string"}}},
        },
    }
]


def main(dialect: str) -> None:
    """Run the four scenarios, one trace each, and print what was sent."""
    kept = InMemorySpanExporter()
    provider = TracerProvider(
        resource=Resource.create({"service.name": "shop-bot", "service.version": "2.1.0"})
    )
    headers = {"Authorization": f"Bearer {os.environ['TOKEN']}"}
    endpoint = os.environ["ENDPOINT"]
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint, headers=headers)))
    provider.add_span_processor(SimpleSpanProcessor(kept))
    _instrument(dialect, provider)
    tracer = provider.get_tracer("shop")
    with openai.OpenAI(
        api_key="unused", base_url=os.environ["MODEL_SERVER"], max_retries=0
    ) as client:
        traces = {
            name: _run(tracer, name, scenario, client) for name, scenario in _SCENARIOS.items()
        }
    delivered = provider.force_flush(60_000)
    spans = [_describe(span) for span in kept.get_finished_spans()]
    provider.shutdown()
    json.dump({"delivered": delivered, "traces": traces, "spans": spans}, sys.stdout)


def _instrument(dialect: str, provider: TracerProvider) -> None:
    if dialect == "openinference":
        from openinference.instrumentation.openai import OpenAIInstrumentor

        OpenAIInstrumentor().instrument(tracer_provider=provider)
    else:
        from opentelemetry.instrumentation.openai import OpenAIInstrumentor as OpenLLMetry

        OpenLLMetry().instrument(tracer_provider=provider)


def _run(
    tracer: Tracer, name: str, scenario: Callable[[Tracer, Any], None], client: openai.OpenAI
) -> str:
    """One trace; returns its id."""
    people = {"user.id": USER, "session.id": SESSION}
    with tracer.start_as_current_span(f"handle {name}", attributes=people) as span:
        scenario(tracer, client.chat.completions)
        return f"{span.get_span_context().trace_id:032x}"


def _messages(question: str) -> list[Any]:
    return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": question}]


def _chat(_tracer: Tracer, completions: Any) -> None:
    completions.create(model="gpt-4o", messages=_messages(QUESTION), temperature=0.25)


def _tool(tracer: Tracer, completions: Any) -> None:
    messages = _messages(QUESTION)
    first = completions.create(model="gpt-4o", messages=messages, tools=TOOLS)
    call = first.choices[0].message.tool_calls[0]
    with tracer.start_as_current_span(
        "execute_tool find_order",
        attributes={
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": call.function.name,
            "gen_ai.tool.call.arguments": call.function.arguments,
            "gen_ai.tool.call.result": TOOL_RESULT,
        },
    ):
        answer = {"role": "tool", "tool_call_id": call.id, "content": TOOL_RESULT}
    messages += [first.choices[0].message.model_dump(exclude_none=True), answer]
    completions.create(model="gpt-4o", messages=messages, tools=TOOLS)


def _stream(_tracer: Tracer, completions: Any) -> None:
    with completions.create(
        model="gpt-4o",
        messages=_messages(SECOND_QUESTION),
        stream=True,
        stream_options={"include_usage": True},
    ) as chunks:
        for _ in chunks:
            pass


def _errors(_tracer: Tracer, completions: Any) -> None:
    for model in ("gpt-4o-limited", "gpt-4o-broken"):
        try:
            completions.create(model=model, messages=_messages(QUESTION))
        except openai.APIStatusError:
            continue
        raise AssertionError("the model server was to refuse this")


_SCENARIOS: dict[str, Callable[[Tracer, Any], None]] = {
    "chat": _chat,
    "tool": _tool,
    "stream": _stream,
    "errors": _errors,
}


def _describe(span: ReadableSpan) -> dict[str, Any]:
    context = span.get_span_context()
    assert context is not None
    attributes = dict(span.attributes or {})
    texts = {key: value for key, value in attributes.items() if isinstance(value, str)}
    return {
        "name": span.name,
        "trace_id": f"{context.trace_id:032x}",
        "span_id": f"{context.span_id:016x}",
        "parent_span_id": f"{span.parent.span_id:016x}" if span.parent else None,
        "attributes": attributes,
        "sha256": {key: hashlib.sha256(text.encode()).hexdigest() for key, text in texts.items()},
        "events": [dict(event.attributes or {}) for event in span.events],
        "status_message": span.status.description,
    }


if __name__ == "__main__":
    main(sys.argv[1])
