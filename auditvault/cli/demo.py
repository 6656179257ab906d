"""The demo's traces: one agent run, sent by a real OpenTelemetry SDK as an application would."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode, Tracer

QUESTIONS = (
    ("Where is my parcel 4711?", "It left Hamburg this morning and arrives tomorrow."),
    ("Can I change the delivery address?", "Yes, until the parcel is on the van."),
    ("Why was I charged twice?", "One of the two charges was only reserved; it is gone by Friday."),
)


def _messages(*pairs: tuple[str, str]) -> str:
    return json.dumps(
        [{"role": role, "parts": [{"type": "text", "content": text}]} for role, text in pairs]
    )


def first_prompt() -> str:
    """The attribute value of the first question, exactly as it is sent: what a caller would hash."""
    return _messages(("user", QUESTIONS[0][0]))


def send_demo_traces(*, endpoint: str, token: str, region: str) -> int:
    """Send three agent runs of four spans each; returns how many spans were sent.

    Raises RuntimeError where the exporter could not deliver them.
    """
    exporter = OTLPSpanExporter(
        endpoint=endpoint,
        headers={"Authorization": f"Bearer {token}", "Auditvault-Region": region},
    )
    provider = TracerProvider(
        resource=Resource.create(
            {
                "service.name": "support-bot",
                "service.version": "1.4.2",
                "deployment.environment.name": "demo",
            }
        )
    )
    provider.add_span_processor(BatchSpanProcessor(exporter))
    tracer = provider.get_tracer("auditvault.demo")
    for number, (question, answer) in enumerate(QUESTIONS):
        _agent_run(tracer, number, question, answer)
    delivered = provider.force_flush(timeout_millis=15_000)
    provider.shutdown()
    if not delivered:
        raise RuntimeError("the demo's traces could not be delivered")
    return 4 * len(QUESTIONS)


def _agent_run(tracer: Tracer, number: int, question: str, answer: str) -> None:
    user = {"user.id": f"customer-{number + 1}", "session.id": f"chat-{number + 1}"}
    with _span(tracer, "invoke_agent support", {"gen_ai.operation.name": "invoke_agent", **user}):
        with _span(tracer, "chat gpt-4o", _model_call(question, "Let me look that up.", 61, 9)):
            pass
        with _span(
            tracer,
            "execute_tool lookup_order",
            {
                "gen_ai.operation.name": "execute_tool",
                "gen_ai.tool.name": "lookup_order",
                "gen_ai.tool.call.arguments": json.dumps({"order": 4711 + number}),
                "gen_ai.tool.call.result": json.dumps({"state": "on its way"}),
            },
        ) as span:
            if number == len(QUESTIONS) - 1:
                span.set_status(Status(StatusCode.ERROR, "upstream timed out"))
                span.set_attribute("error.type", "timeout")
        with _span(tracer, "chat gpt-4o", _model_call(question, answer, 128, 24)):
            pass


def _model_call(question: str, answer: str, tokens_in: int, tokens_out: int) -> dict[str, Any]:
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.response.model": "gpt-4o-2024-08-06",
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": tokens_in,
        "gen_ai.usage.output_tokens": tokens_out,
        "gen_ai.system_instructions": json.dumps(
            [{"type": "text", "content": "You help customers of a parcel service."}]
        ),
        "gen_ai.input.messages": _messages(("user", question)),
        "gen_ai.output.messages": _messages(("assistant", answer)),
    }


@contextmanager
def _span(tracer: Tracer, name: str, attributes: dict[str, Any]) -> Iterator[Any]:
    kind = SpanKind.CLIENT if name.startswith("chat") else SpanKind.INTERNAL
    with tracer.start_as_current_span(name, kind=kind, attributes=attributes) as span:
        yield span
