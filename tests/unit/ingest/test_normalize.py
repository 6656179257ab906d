"""The rules of docs/spec/header.md, one by one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from auditvault.ingest.otlp.traces import decode_traces
from tests.unit.ingest.conftest import START_NS, build_body, build_span, pairs

Build = Callable[..., Any]
YEAR_2000_NS = 946_684_800 * 10**9
YEAR_2101_NS = 4_133_980_800 * 10**9


def test_an_unknown_field_is_absent(normalized: Build) -> None:
    assert set(normalized().header) == {"v", "trace_id", "span_id", "started_at", "ended_at"}


def test_the_structure_of_a_span_is_in_its_header(normalized: Build) -> None:
    item = normalized(
        name="chat gpt-4o",
        kind=Span.SPAN_KIND_CLIENT,
        flags=0xFFFF_FD01,
        parent_span_id=b"parent!!",
        status=Status(code=Status.STATUS_CODE_OK),
        dropped_attributes_count=3,
    )
    assert item.header == {
        "v": "auditvault/header/1",
        "trace_id": bytes(range(16)).hex(),
        "span_id": bytes(range(8)).hex(),
        "parent_span_id": b"parent!!".hex(),
        "flags": 0x101,
        "name": "chat gpt-4o",
        "kind": "client",
        "status": "ok",
        "started_at": str(START_NS),
        "ended_at": str(START_NS + 5),
        "dropped_attributes": 3,
    }


def test_a_parent_of_zeros_is_no_parent(normalized: Build) -> None:
    item = normalized(parent_span_id=bytes(8))
    assert item.parent_span_id is None
    assert "parent_span_id" not in item.header


@pytest.mark.parametrize("absurd", [0, 1, YEAR_2000_NS - 1, YEAR_2101_NS, 2**64 - 1])
def test_an_absurd_time_is_marked_and_unknown(absurd: int, normalized: Build, left: Build) -> None:
    item = normalized(start_time_unix_nano=absurd)
    assert item.header["clock"] == "absurd_start"
    assert "started_at" not in item.header
    assert item.started_at_ns == 0
    assert left(item).get("times") == ({"started_at": str(absurd)} if absurd else None)


def test_two_absurd_times_have_one_mark(normalized: Build) -> None:
    item = normalized(start_time_unix_nano=0, end_time_unix_nano=0)
    assert item.header["clock"] == "absurd_times"
    assert (item.started_at_ns, item.ended_at_ns) == (0, 0)


@pytest.mark.parametrize("edge", [YEAR_2000_NS, YEAR_2101_NS - 1])
def test_the_edges_of_plausible_time_are_plausible(edge: int, normalized: Build) -> None:
    item = normalized(start_time_unix_nano=edge, end_time_unix_nano=edge)
    assert "clock" not in item.header
    assert item.started_at_ns == edge


def test_an_end_before_the_start_is_kept_and_marked(normalized: Build) -> None:
    item = normalized(end_time_unix_nano=START_NS - 1)
    assert item.header["clock"] == "end_before_start"
    assert (item.started_at_ns, item.ended_at_ns) == (START_NS, START_NS - 1)
    assert item.header["ended_at"] == str(START_NS - 1)


@pytest.mark.parametrize(
    "name", ["ask bob@example.com", "refund for 123456", "Björn", "x" * 129, "call 040-123 45 67"]
)
def test_a_span_name_that_may_be_personal_is_withheld(
    name: str, normalized: Build, left: Build
) -> None:
    item = normalized(name=name)
    assert "name" not in item.header
    assert item.header["withheld"] == ["name"]
    assert left(item)["name"] == name


def test_a_span_name_of_operation_and_accepted_model_is_kept(normalized: Build) -> None:
    model = "claude-3-5-sonnet-20241022"
    attributes = {"gen_ai.operation.name": "chat", "gen_ai.request.model": model}
    assert normalized(attributes, name=f"chat {model}").header["name"] == f"chat {model}"
    assert "name" not in normalized({}, name=f"chat {model}").header


def test_a_value_that_fails_its_check_is_sealed_under_its_key(
    normalized: Build, left: Build
) -> None:
    attributes = {"gen_ai.request.model": "bob@example.com", "gen_ai.usage.input_tokens": -1}
    item = normalized(attributes)
    assert item.header["withheld"] == ["input_tokens", "model_requested"]
    assert left(item)["span"] == attributes


@pytest.mark.parametrize("value", ["", None])
def test_an_empty_value_is_unknown_and_not_withheld(
    value: Any, normalized: Build, left: Build
) -> None:
    item = normalized({"gen_ai.request.model": value, "input.value": value})
    assert "withheld" not in item.header
    assert left(item)["span"] == {"gen_ai.request.model": value, "input.value": value}


def test_unknown_attributes_are_sealed_as_one_sorted_object(
    normalized: Build, contents: Build
) -> None:
    attributes = {"z": 1, "a": [1.5, True, None], "m": {"k": b"\x00\xff"}, "x": "ü"}
    (body,) = contents(normalized(attributes)).values()
    expected = '{"span":{"a":[1.5,true,null],"m":{"k":{"base64":"AP8="}},"x":"ü","z":1}}'
    assert body == expected.encode()


def test_floats_that_json_lacks_become_words(normalized: Build, left: Build) -> None:
    sent = {"a": float("nan"), "b": float("inf"), "c": [-float("inf")]}
    assert left(normalized(sent))["span"] == {"a": "NaN", "b": "Infinity", "c": ["-Infinity"]}


def test_repeated_keys_lose_nothing(body: Build, span: Build, left: Build) -> None:
    twice = span()
    twice.attributes.extend(pairs({"k": 1}) + pairs({"k": 2}) + pairs({"k": 3}))
    (item,) = decode_traces(body(twice), "protobuf").interactions
    assert left(item) == {"repeated": [["k", 2], ["k", 3]], "span": {"k": 1}}


def test_a_current_name_beats_a_deprecated_one_in_any_order(normalized: Build, left: Build) -> None:
    for keys in (
        ("gen_ai.system", "gen_ai.provider.name"),
        ("gen_ai.provider.name", "gen_ai.system"),
    ):
        item = normalized({key: key for key in keys})
        assert item.header["provider"] == "gen_ai.provider.name"
        assert left(item)["span"] == {"gen_ai.system": "gen_ai.system"}


def test_two_names_that_say_the_same_leave_nothing_over(normalized: Build, left: Build) -> None:
    item = normalized({"gen_ai.system": "openai", "gen_ai.provider.name": "openai"})
    assert item.header["provider"] == "openai"
    assert left(item) == {}


@pytest.mark.parametrize(
    ("key", "place"),
    [
        ("gen_ai.prompt", "input_messages"),
        ("gen_ai.prompt.name", "prompt_name"),
        ("gen_ai.prompt.version", "prompt_version"),
        ("gen_ai.prompt.variable.city", "prompt_variables"),
        ("gen_ai.prompt.0.content", "input_messages"),
        ("gen_ai.prompt.other", "attributes"),
        ("gen_ai.system", "provider"),
        ("gen_ai.system_instructions", "system_instructions"),
        ("gen_ai.system.other", "attributes"),
        ("llm.system", "provider"),
        ("llm.system_prompt", "system_instructions"),
        ("llm.tools.x.tool.json_schema", "attributes"),
    ],
)
def test_keys_are_compared_whole_and_never_by_prefix(
    key: str, place: str, normalized: Build, contents: Build
) -> None:
    item = normalized({key: "value"})
    assert (place in item.header) != (place in contents(item))


def test_a_string_is_sealed_as_it_was_sent(normalized: Build, contents: Build) -> None:
    sent = '[ {"role": "user",  "parts": ["Malm\\u00f6 ü"]} ]'
    item = normalized({"gen_ai.input.messages": sent})
    assert contents(item) == {"input_messages": sent.encode()}
    assert item.contents[0].digest == hashlib.sha256(sent.encode()).digest()


def test_a_structured_value_is_sealed_as_sorted_json(normalized: Build, contents: Build) -> None:
    item = normalized({"gen_ai.input.messages": [{"role": "user", "content": "hi"}]})
    assert contents(item)["input_messages"] == b'[{"content":"hi","role":"user"}]'


def test_raw_input_and_messages_are_two_contents(normalized: Build, contents: Build) -> None:
    attributes = {
        "input.value": "raw",
        "llm.input_messages.1.message.content": "second",
        "llm.input_messages.0.message.role": "user",
        "llm.input_messages.0.message.content": "first",
    }
    sealed = contents(normalized(attributes))
    assert sealed["input"] == b"raw"
    assert json.loads(sealed["input_messages"]) == [
        {"message.content": "first", "message.role": "user"},
        {"message.content": "second"},
    ]


def test_a_role_that_is_taken_leaves_the_second_value_sealed(
    normalized: Build, contents: Build, left: Build
) -> None:
    item = normalized(
        {
            "gen_ai.prompt.0.content": "family",
            "gen_ai.input.messages": "first",
            "gen_ai.prompt": "second",
        }
    )
    assert contents(item)["input_messages"] == b"first"
    assert left(item) == {
        "span": {"gen_ai.prompt": "second"},
        "repeated": [["gen_ai.prompt", [{"content": "family"}]]],
    }


def test_tenant_contents_are_one_object_in_a_request_and_belong_to_the_tenant() -> None:
    spans = [
        build_span({"gen_ai.system_instructions": "Be kind.", "input.value": "x"}) for _ in "ab"
    ]
    decoded = decode_traces(build_body(*spans), "protobuf")
    (one, one_input), (two, two_input) = (item.contents for item in decoded.interactions)
    assert one is two
    assert (one.owner, one_input.owner) == ("tenant", "subject")
    assert one_input is not two_input


def test_a_redacted_value_is_neither_sealed_nor_an_identifier(
    normalized: Build, left: Build
) -> None:
    item = normalized(
        {
            "input.value": "__REDACTED__",
            "llm.output_messages.0.message.content": "__REDACTED__",
            "user.id": "__REDACTED__",
            "session.id": "[Scrubbed due to 'session']",
            "custom": "__REDACTED__",
        }
    )
    assert item.header["redacted_at_source"] == ["input", "output_messages", "session", "user"]
    assert item.identifiers == []
    assert left(item) == {"span": {"custom": "__REDACTED__"}}


def test_identifiers_are_listed_once_with_aliases_last(normalized: Build, left: Build) -> None:
    item = normalized(
        {
            "user.email": "bob@example.com",
            "gen_ai.conversation.id": "s1",
            "session.id": "s1",
            "user.id": 4711,
            "user.name": "Bob",
        },
        resource={"user.id": "device-owner"},
    )
    assert item.identifiers == [
        ("email", "bob@example.com"),
        ("session", "s1"),
        ("user", "4711"),
        ("user", "device-owner"),
    ]
    assert left(item) == {"span": {"user.name": "Bob"}}


def test_a_senders_hash_is_a_claim_only_if_it_is_one(normalized: Build, left: Build) -> None:
    item = normalized({"prompt.hash": "AB" * 32, "output.hash": "short"})
    assert item.claims == [("prompt", "ab" * 32)]
    assert left(item) == {"span": {"output.hash": "short"}}


def test_resource_and_scope_fields_are_in_the_header_and_the_rest_sealed(
    span: Build, body: Build, left: Build
) -> None:
    sent = body(span({"k": 1}), span(), resource={"service.name": "bot", "host.name": "h"})
    request = ExportTraceServiceRequest.FromString(sent)
    scope_spans = request.resource_spans[0].scope_spans[0]
    scope_spans.scope.name, scope_spans.scope.version = "nordwind", "2.1.0"
    scope_spans.scope.attributes.extend(pairs({"s": 1}))
    scope_spans.schema_url = "https://opentelemetry.io/schemas/1.37.0"
    first, second = decode_traces(request.SerializeToString(), "protobuf").interactions
    assert {
        "service_name": "bot",
        "scope_name": "nordwind",
        "scope_version": "2.1.0",
        "semconv": "1.37.0",
    }.items() <= first.header.items()
    shared = {"resource": {"host.name": "h"}, "scope": {"attributes": {"s": 1}}}
    assert left(first) == {**shared, "span": {"k": 1}}
    assert left(second) == shared


def test_spans_that_add_nothing_share_one_attributes_content(span: Build, body: Build) -> None:
    decoded = decode_traces(body(span(), span(), resource={"host.name": "h"}), "protobuf")
    (one,), (two,) = (item.contents for item in decoded.interactions)
    assert one is two


def test_the_resource_beats_the_span(normalized: Build, left: Build) -> None:
    item = normalized({"tenant.id": "b"}, resource={"tenant.id": "a"})
    assert item.header["sender_tenant"] == "a"
    assert left(item) == {"span": {"tenant.id": "b"}}


def test_trace_state_is_sealed(normalized: Build, left: Build) -> None:
    assert left(normalized(trace_state="vendor=bob"))["trace_state"] == "vendor=bob"


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"gen_ai.operation.name": "chat"}, ("chat", None)),
        ({"openinference.span.kind": "LLM"}, ("chat", "LLM")),
        ({"openinference.span.kind": "CHAIN"}, ("chain", "CHAIN")),
        ({"traceloop.span.kind": "workflow"}, ("workflow", None)),
        ({"llm.request.type": "completion"}, ("text_completion", "completion")),
        ({"traceloop.span.kind": "tool", "gen_ai.operation.name": "chat"}, ("chat", None)),
    ],
)
def test_each_dialects_word_becomes_one_operation(
    attributes: dict[str, str], expected: tuple[str, str | None], normalized: Build
) -> None:
    header = normalized(attributes).header
    assert (header["operation"], header.get("operation_as_sent")) == expected


@pytest.mark.parametrize(
    ("kind", "field"),
    [
        ("tool", "tool_name"),
        ("agent", "agent_name"),
        ("workflow", "workflow_name"),
        ("task", "entity_name"),
    ],
)
def test_an_openllmetry_entity_is_named_after_its_kind(
    kind: str, field: str, normalized: Build
) -> None:
    item = normalized({"traceloop.entity.name": "plan", "traceloop.span.kind": kind})
    assert item.header[field] == "plan"


@pytest.mark.parametrize(
    ("requested", "fields"),
    [
        ("gpt-4o", {"model_requested": "gpt-4o", "model_responded": "gpt-4o-2024"}),
        ("gpt-4o-2024", {"model_requested": "gpt-4o-2024", "model": "gpt-4o-2024"}),
        (None, {"model": "gpt-4o-2024"}),
    ],
)
def test_openinferences_one_model_name_is_never_guessed(
    requested: str | None, fields: dict[str, str], normalized: Build
) -> None:
    attributes = {"llm.model_name": "gpt-4o-2024"}
    if requested is not None:
        attributes["llm.invocation_parameters"] = json.dumps({"model": requested})
    header = normalized(attributes).header
    assert {key: value for key, value in header.items() if "model" in key} == fields


@pytest.mark.parametrize(
    "parameters", ["not json", "[1]", '{"model": 3}', '{"temperature": "hot"}']
)
def test_odd_request_parameters_are_sealed_and_fill_nothing(
    parameters: str, normalized: Build, left: Build
) -> None:
    item = normalized({"llm.invocation_parameters": parameters})
    assert left(item)["span"] == {"llm.invocation_parameters": parameters}
    assert {"model_requested", "temperature"}.isdisjoint(item.header)


def test_finish_reasons_are_found_inside_a_family(normalized: Build) -> None:
    item = normalized(
        {"gen_ai.completion.0.finish_reason": "stop", "gen_ai.completion.0.content": "x"}
    )
    assert item.header["finish_reasons"] == ["stop"]


def test_zero_is_kept_apart_from_unknown(normalized: Build) -> None:
    header = normalized({"gen_ai.usage.input_tokens": 0}).header
    assert header["input_tokens"] == 0
    assert "output_tokens" not in header


def test_no_personal_data_is_shown_when_an_interaction_is_printed(normalized: Build) -> None:
    item = normalized(
        {"user.id": "SECRET-1", "input.value": "SECRET-2", "gen_ai.agent.name": "SECRET-3"}
    )
    assert "SECRET" not in repr(item)
