"""What real SDKs sent, read and compared with facts that were not taken from the captures."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from auditvault.core.interaction import Interaction
from auditvault.core.tlog.canonical import canonical_bytes
from auditvault.ingest.header import body_digest, header_bytes
from auditvault.ingest.otlp.traces import decode_traces

VECTORS = Path(__file__).resolve().parents[2] / "vectors" / "otlp"
SCENARIOS = sorted(json.loads((VECTORS / "facts.json").read_text(encoding="utf-8")))
MODEL_OPERATIONS = {"chat", "embeddings"}
USAGE_FIELDS = {
    "total_tokens": ("total_tokens",),
    "cache_read_tokens": ("prompt_tokens_details", "cached_tokens"),
    "reasoning_tokens": ("completion_tokens_details", "reasoning_tokens"),
}
Read = Callable[[str], bytes]


def interactions(scenario: str, read: Read) -> list[Interaction]:
    decoded = decode_traces(read(f"{scenario}.pb"), "protobuf")
    assert decoded.rejections == {}
    assert decoded.received == len(decoded.interactions)
    return decoded.interactions


def model_calls(found: list[Interaction]) -> list[dict[str, Any]]:
    """Headers of the model calls in the order they began."""
    calls = [item for item in found if item.header.get("operation") in MODEL_OPERATIONS]
    return [item.header for item in sorted(calls, key=lambda item: item.started_at_ns)]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_json_and_protobuf_of_a_capture_mean_the_same(scenario: str, capture: Read) -> None:
    from_json = decode_traces(capture(f"{scenario}.json"), "json")
    assert from_json == decode_traces(capture(f"{scenario}.pb"), "protobuf")
    digests = {body_digest(item) for item in from_json.interactions}
    assert len(digests) == len(from_json.interactions)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_headers_of_captures_are_canonical(scenario: str, capture: Read) -> None:
    for item in interactions(scenario, capture):
        assert header_bytes(item.header) == canonical_bytes(item.header)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_model_calls_of_a_capture_are_the_ones_that_were_made(
    scenario: str, capture: Read, facts: dict[str, Any]
) -> None:
    calls = facts[scenario]["llm_calls"]
    headers = model_calls(interactions(scenario, capture))
    assert len(headers) == len(calls)
    for header, call in zip(headers, calls, strict=True):
        assert header["provider"] == call["provider"]
        assert header["model_requested"] == call["model_requested"]
        assert header["service_name"] == facts[scenario]["service_name"]
        assert header["sender_tenant"] == facts[scenario]["resource_tenant"]
        if call["http_status"] == 200:
            # An SDK may name only one model; then it is the one that was asked for and that answered.
            assert header.get("model_responded", header.get("model")) == call["model_responded"]
            assert header.get("input_tokens") == call["input_tokens"]
        else:
            assert header["status"] == "error"
            assert "model_responded" not in header
            assert "input_tokens" not in header


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_what_a_header_says_of_a_call_is_true_or_absent(
    scenario: str, capture: Read, facts: dict[str, Any]
) -> None:
    headers = model_calls(interactions(scenario, capture))
    for header, call in zip(headers, facts[scenario]["llm_calls"], strict=True):
        said: dict[str, Any] = {
            "response_id": call.get("response_id"),
            "output_tokens": call.get("output_tokens"),
            "stream": call["stream"],
        }
        if (
            scenario != "otel-traceloop-openai/tools"
        ):  # writes tool_call where the model said tool_calls
            said["finish_reasons"] = [call.get("finish_reason")]
        if "temperature" in call.get("params", {}):
            said["temperature"] = str(call["params"]["temperature"])
        if "max_tokens" in call.get("params", {}):
            said["max_tokens"] = call["params"]["max_tokens"]
        for field, path in USAGE_FIELDS.items():
            value: Any = call.get("usage_as_sent")
            for step in path:
                value = (value or {}).get(step)
            if value is not None:
                said[field] = value
        assert {key: header[key] for key in said if key in header} == {
            key: value for key, value in said.items() if key in header
        }


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_texts_of_a_capture_are_in_contents_and_never_in_headers(
    scenario: str, capture: Read, facts: dict[str, Any]
) -> None:
    found = interactions(scenario, capture)
    headers = b"".join(header_bytes(item.header) for item in found)
    script = facts[scenario]["set_by_script"]
    personal = [script[key] for key in ("user_id", "session_id") if key in script]
    texts = [
        message["content"]
        for call in facts[scenario]["llm_calls"]
        for message in call.get("messages_sent", [])
        if message.get("content")
    ]
    texts += [
        text for call in facts[scenario]["llm_calls"] for text in call.get("completion_texts", [])
    ]
    for secret in personal + texts:
        assert json.dumps(secret, ensure_ascii=False)[1:-1].encode() not in headers
        assert secret.encode() not in headers


@pytest.mark.parametrize(
    "scenario",
    [name for name in SCENARIOS if "otel-openai-v2" not in name and "masked" not in name],
)
def test_what_was_asked_and_answered_is_sealed(
    scenario: str, capture: Read, facts: dict[str, Any]
) -> None:
    bodies = b"\n".join(
        content.body for item in interactions(scenario, capture) for content in item.contents
    )
    # Compared without regard to how often a text was put into JSON, and without non-ASCII.
    plain = bodies.replace(b"\\", b"")
    for call in facts[scenario]["llm_calls"]:
        for text in call.get("completion_texts", []):
            longest = max(text.encode("ascii", "replace").split(b"?"), key=len)
            assert longest.replace(b"\\", b"") in plain


@pytest.mark.parametrize(
    "scenario",
    [name for name in SCENARIOS if name.startswith(("handwritten", "openinference"))],
)
def test_user_and_session_become_identifiers(
    scenario: str, capture: Read, facts: dict[str, Any]
) -> None:
    script = facts[scenario]["set_by_script"]
    found = [set(item.identifiers) for item in interactions(scenario, capture) if item.identifiers]
    assert found
    assert all(
        pair == {("user", script["user_id"]), ("session", script["session_id"])} for pair in found
    )


def test_masked_text_is_not_found_and_the_header_says_that_the_sender_hid_it(capture: Read) -> None:
    (item,) = interactions("openinference-openai/plain__masked", capture)
    assert item.header["redacted_at_source"] == ["input", "output"]
    assert {"input", "output"}.isdisjoint(content.role for content in item.contents)
    assert all(b"__REDACTED__" not in content.body for content in item.contents)


def test_the_tree_of_an_agent_is_kept(capture: Read) -> None:
    found = interactions("handwritten-otel-genai/agent_tools", capture)
    names = {item.span_id: item.header["name"] for item in found}
    tree = {(item.header["name"], names.get(item.parent_span_id or b"")) for item in found}
    assert tree == {
        ("POST /ask", None),
        ("invoke_agent support_agent", "POST /ask"),
        ("chat gpt-4o", "invoke_agent support_agent"),
        ("execute_tool get_weather", "invoke_agent support_agent"),
    }


def test_a_tool_call_has_name_and_id_in_the_header_and_the_rest_sealed(
    capture: Read, facts: dict[str, Any]
) -> None:
    scenario = "handwritten-otel-genai/agent_tools"
    (tool,) = (
        item
        for item in interactions(scenario, capture)
        if item.header.get("operation") == "execute_tool"
    )
    (call,) = facts[scenario]["llm_calls"][0]["tool_calls"]
    assert (tool.header["tool_name"], tool.header["tool_call_id"]) == (call["name"], call["id"])
    bodies = {content.role: json.loads(content.body) for content in tool.contents}
    assert bodies["tool_arguments"] == call["arguments"]
    assert set(bodies) == {"tool_arguments", "tool_result"}


def test_raw_input_of_an_openinference_tool_is_its_arguments(
    capture: Read, facts: dict[str, Any]
) -> None:
    scenario = "openinference-openai/tools"
    (tool,) = (
        item
        for item in interactions(scenario, capture)
        if item.header.get("operation_as_sent") == "TOOL"
    )
    (call,) = facts[scenario]["llm_calls"][0]["tool_calls"]
    bodies = {content.role: content.body for content in tool.contents}
    assert json.loads(bodies["tool_arguments"]) == call["arguments"]
    assert "tool_result" in bodies
    assert {"input", "output"}.isdisjoint(bodies)


def test_retrieved_documents_are_one_content(capture: Read, facts: dict[str, Any]) -> None:
    scenario = "openinference-openai/rag"
    (retrieval,) = (
        item
        for item in interactions(scenario, capture)
        if item.header.get("operation") == "retrieval"
    )
    bodies = {content.role: content.body for content in retrieval.contents}
    documents = [
        [item["document.id"], item["document.content"], item["document.score"]]
        for item in json.loads(bodies["retrieval_documents"])
    ]
    assert documents == facts[scenario]["set_by_script"]["documents"]
    assert "retrieval_query" in bodies


def test_a_flattened_conversation_is_one_content(capture: Read, facts: dict[str, Any]) -> None:
    scenario = "openinference-openai/tools"
    call = facts[scenario]["llm_calls"][1]
    chats = [item for item in interactions(scenario, capture) if item.header["operation"] == "chat"]
    last = max(chats, key=lambda item: item.started_at_ns)
    bodies = {content.role: content.body for content in last.contents}
    roles = [item["message.role"] for item in json.loads(bodies["input_messages"])]
    assert roles == [message["role"] for message in call["messages_sent"]]


def test_old_message_events_are_one_content(capture: Read, facts: dict[str, Any]) -> None:
    scenario = "handwritten-otel-genai/multiturn_oldevents"
    (item,) = interactions(scenario, capture)
    (call,) = facts[scenario]["llm_calls"]
    bodies = {content.role: content.body for content in item.contents}
    texts = [message["content"] for message in json.loads(bodies["input_messages"])]
    assert texts == [message["content"] for message in call["messages_sent"]]
    assert json.loads(bodies["output_messages"])[0]["finish_reason"] == call["finish_reason"]
    assert item.header["event_count"] == 5


@pytest.mark.parametrize(
    ("scenario", "error_type"),
    [
        ("handwritten-otel-genai/error_429", "429"),
        ("openinference-openai/error_429", "openai.RateLimitError"),
        ("otel-openai-v2/error_500", "InternalServerError"),
    ],
)
def test_an_error_has_its_type_in_the_header_and_its_text_sealed(
    scenario: str, error_type: str, capture: Read
) -> None:
    (item,) = interactions(scenario, capture)
    assert item.header["error_type"] == error_type
    (error,) = (content for content in item.contents if content.role == "error_message")
    assert "Error code" in json.loads(error.body)["status_message"]
