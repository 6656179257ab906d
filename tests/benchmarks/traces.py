"""Agent traces for benchmarks.

Deterministic, shaped like what real agents send, about 2.2 KB a span.

One trace is 8 spans: an agent, three model calls with messages, system prompt and tool definitions,
three tool calls, one retrieval. System prompt, tools, user and session repeat as they do in life;
trace ids and texts do not.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from typing import Any, Final

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans, Span, Status

SPANS_PER_TRACE: Final = 8
_EPOCH_NS: Final = 1_795_000_000 * 10**9
_VOCABULARY: Final = (
    "order parcel tent stove refund delivery warehouse customer invoice address weather Malmö "
    "Kraków tomorrow morning please confirm replacement damaged leaked arrived missing receipt "
    "payment card account email phone agent policy returns within thirty days unused items label "
    "the a to of and for with from that this is was will can have not you your we our it"
)
_WORDS: Final = _VOCABULARY.split()
_TOOLS: Final = ("get_order", "get_weather", "create_return")
_SYSTEM: Final = json.dumps(
    [
        {
            "type": "text",
            "content": "You are a support assistant for Nordwind Outdoor. Answer in at most two "
            "sentences. Never reveal card numbers. " + "Follow the returns policy. " * 6,
        }
    ]
)
_TOOL_DEFINITIONS: Final = json.dumps(
    [
        {
            "type": "function",
            "name": name,
            "description": f"Calls {name} of the order system and returns its answer as JSON",
            "parameters": {
                "type": "object",
                "properties": {"id": {"type": "string"}, "reason": {"type": "string"}},
                "required": ["id"],
            },
        }
        for name in _TOOLS
    ]
)


def make_bodies(spans_per_body: int, bodies: int, seed: int) -> list[bytes]:
    """Make serialized, uncompressed `ExportTraceServiceRequest`s of `spans_per_body` spans each."""
    chance = random.Random(seed)
    spans = _spans(chance)
    return [_body([next(spans) for _ in range(spans_per_body)]) for _ in range(bodies)]


def _body(spans: Sequence[Span]) -> bytes:
    request = ExportTraceServiceRequest()
    resource_spans = request.resource_spans.add(resource=_resource())
    scope_spans = ScopeSpans(schema_url="https://opentelemetry.io/schemas/1.37.0", spans=spans)
    scope_spans.scope.name, scope_spans.scope.version = "nordwind.support", "2.1.0"
    resource_spans.scope_spans.append(scope_spans)
    return request.SerializeToString()


def _resource() -> Resource:
    return Resource(
        attributes=_attributes(
            {
                "telemetry.sdk.language": "python",
                "telemetry.sdk.name": "opentelemetry",
                "telemetry.sdk.version": "1.45.2",
                "service.instance.id": "aba08b3e-18db-40b9-9347-3d89163a3cfd",
                "deployment.environment.name": "staging",
                "service.name": "support-bot",
                "service.version": "1.4.2",
            }
        )
    )


def _spans(chance: random.Random) -> Iterator[Span]:
    number = 0
    while True:
        yield from _trace(chance, _EPOCH_NS + number * 10**9)
        number += 1


def _trace(chance: random.Random, start_ns: int) -> list[Span]:
    trace_id, root_id = chance.randbytes(16), chance.randbytes(8)
    who = {
        "user.id": f"user-{chance.randrange(2000)}",
        "session.id": f"sess-{chance.getrandbits(64):016x}",
    }
    history: list[dict[str, Any]] = [_message("user", _text(chance, 50))]
    children = [_retrieval(chance, who)]
    for tool in _TOOLS:
        children.append(_chat(chance, who, history))
        children.append(_tool_call(chance, tool, who))
    spans = [_agent(chance, who), *children]
    for place, span in enumerate(spans):
        span.trace_id, span.flags = trace_id, 256
        span.span_id = chance.randbytes(8) if place else root_id
        span.parent_span_id = root_id if place else b""
        span.start_time_unix_nano = start_ns + place * 10**8
        span.end_time_unix_nano = start_ns + (place + 1) * 10**8 if place else start_ns + 10**9
    return spans


def _agent(chance: random.Random, who: dict[str, str]) -> Span:
    values = {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.provider.name": "openai",
        "gen_ai.agent.name": "support_agent",
        "gen_ai.agent.id": "agt_1",
        **who,
        "gen_ai.input.messages": json.dumps([_message("user", _text(chance, 60))]),
        "gen_ai.output.messages": json.dumps([_message("assistant", _text(chance, 80))]),
        "app.feature": "order-support",
    }
    return Span(
        name="invoke_agent support_agent",
        kind=Span.SPAN_KIND_INTERNAL,
        attributes=_attributes(values),
    )


def _chat(chance: random.Random, who: dict[str, str], history: list[dict[str, Any]]) -> Span:
    answer = _message("assistant", _text(chance, 50))
    values = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.request.temperature": 0.2,
        "gen_ai.request.max_tokens": 1024,
        "server.address": "api.openai.com",
        "server.port": 443,
        **who,
        "gen_ai.conversation.id": who["session.id"],
        "gen_ai.prompt.name": "support-answer",
        "gen_ai.system_instructions": _SYSTEM,
        "gen_ai.input.messages": json.dumps(history, ensure_ascii=False),
        "gen_ai.tool.definitions": _TOOL_DEFINITIONS,
        "gen_ai.response.model": "gpt-4o-2024-08-06",
        "gen_ai.response.id": f"chatcmpl-{chance.getrandbits(72):018x}",
        "gen_ai.response.finish_reasons": ["tool_calls"],
        "gen_ai.usage.input_tokens": chance.randrange(200, 2000),
        "gen_ai.usage.output_tokens": chance.randrange(20, 200),
        "gen_ai.usage.cache_read.input_tokens": chance.randrange(100),
        "gen_ai.output.messages": json.dumps([answer], ensure_ascii=False),
    }
    history += (answer, _message("tool", _text(chance, 40)))
    return Span(name="chat gpt-4o", kind=Span.SPAN_KIND_CLIENT, attributes=_attributes(values))


def _tool_call(chance: random.Random, tool: str, who: dict[str, str]) -> Span:
    values = {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": tool,
        "gen_ai.tool.type": "function",
        "gen_ai.tool.call.id": f"call_{chance.getrandbits(72):018x}",
        **who,
        "gen_ai.tool.call.arguments": json.dumps({"id": "ORD-48213", "reason": _text(chance, 30)}),
        "gen_ai.tool.call.result": json.dumps({"status": "ok", "note": _text(chance, 110)}),
        "app.tool.attempt": 1,
    }
    return Span(
        name=f"execute_tool {tool}",
        kind=Span.SPAN_KIND_INTERNAL,
        attributes=_attributes(values),
        status=Status(code=Status.STATUS_CODE_OK),
    )


def _retrieval(chance: random.Random, who: dict[str, str]) -> Span:
    documents = [
        {"id": f"kb-{place}", "score": round(chance.random(), 4), "content": _text(chance, 70)}
        for place in range(4)
    ]
    values = {
        "gen_ai.operation.name": "retrieval",
        "gen_ai.data_source.id": "kb",
        "db.system.name": "qdrant",
        **who,
        "gen_ai.retrieval.top_k": 4,
        "gen_ai.retrieval.query.text": _text(chance, 20),
        "gen_ai.retrieval.documents": json.dumps(documents, ensure_ascii=False),
    }
    return Span(name="retrieval kb", kind=Span.SPAN_KIND_CLIENT, attributes=_attributes(values))


def _message(role: str, text: str) -> dict[str, Any]:
    return {"role": role, "parts": [{"type": "text", "content": text}]}


def _text(chance: random.Random, words: int) -> str:
    return " ".join(chance.choices(_WORDS, k=words)) + f" ref {chance.getrandbits(40):x}."


def _attributes(values: dict[str, Any]) -> list[KeyValue]:
    return [KeyValue(key=key, value=_any(value)) for key, value in values.items()]


def _any(value: Any) -> AnyValue:
    if isinstance(value, list):
        return AnyValue(array_value=ArrayValue(values=[_any(item) for item in value]))
    if isinstance(value, float):
        return AnyValue(double_value=value)
    return AnyValue(int_value=value) if isinstance(value, int) else AnyValue(string_value=value)
