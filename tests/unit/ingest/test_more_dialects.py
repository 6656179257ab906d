"""Langfuse, Vercel AI SDK, MLflow and ad-hoc names: what a span of theirs comes to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from auditvault.core.interaction import Interaction
from auditvault.ingest.dialects.table import ROWS
from auditvault.ingest.header import header_bytes
from auditvault.ingest.otlp.traces import decode_traces

CANARY = "Margaret O'Connell canary text"
NEW = {"langfuse", "vercel", "mlflow", "seed"}
SEALED = [row.key for row in ROWS if row.dialects <= NEW and row.place == "content"]
USAGE = ("input_tokens", "output_tokens", "total_tokens", "cache_read_tokens")
# From the sending scripts and the fake server's log: what was asked, answered and counted.
SMALL, SMALL_ANSWERED = "gpt-4o-mini", "gpt-4o-mini-2024-07-18"
LARGE, LARGE_ANSWERED = "gpt-4o", "gpt-4o-2024-08-06"
EMBEDDER = "text-embedding-3-small"
AGENTS, AGENTS_ANSWERED = "gpt-4.1", "gpt-4.1-2025-04-14"
CALLS: dict[str, list[tuple[str, str, str | None, tuple[int | None, ...]]]] = {
    "langfuse/plain": [("chat", SMALL, SMALL_ANSWERED, (30, 28, 58, 7))],
    "langfuse/tools": [
        ("chat", LARGE, LARGE_ANSWERED, (74, 14, 88, 18)),
        ("chat", LARGE, LARGE_ANSWERED, (111, 25, 136, 27)),
    ],
    "langfuse/embeddings": [("embeddings", EMBEDDER, EMBEDDER, (23, None, None, None))],
    "langfuse/error_429": [("chat", SMALL, None, (None, None, None, None))],
    "mlflow/plain": [("chat", SMALL, SMALL_ANSWERED, (30, 28, 58, 7))],
    "mlflow/rag": [
        ("embeddings", EMBEDDER, EMBEDDER, (None, None, None, None)),  # MLflow counts none of these
        ("chat", SMALL, SMALL_ANSWERED, (63, 20, 83, 15)),
    ],
    "mlflow/tools": [
        ("chat", LARGE, LARGE_ANSWERED, (74, 14, 88, 18)),
        ("chat", LARGE, LARGE_ANSWERED, (111, 25, 136, 27)),
    ],
    "openinference-langchain/plain": [("chat", SMALL, SMALL_ANSWERED, (54, 28, 82, 13))],
    "openinference-langchain/error_429": [("chat", SMALL, None, (None, None, None, None))],
    "openinference-openai-agents/tools": [
        ("chat", AGENTS, AGENTS_ANSWERED, (74, 17, 91, 18)),
        ("chat", AGENTS, AGENTS_ANSWERED, (103, 25, 128, 25)),
    ],
    "openinference-openai-agents/tools__chatapi": [  # the SDK drops total and cached counts here
        ("chat", AGENTS, AGENTS_ANSWERED, (84, 14, None, None)),
        ("chat", AGENTS, AGENTS_ANSWERED, (121, 25, None, None)),
    ],
    # Three tries inside the SDK, of which it makes one span.
    "openinference-openai-agents/error_429": [("chat", AGENTS, None, (None, None, None, None))],
    "mlflow/error_429": [("chat", SMALL, None, (None, None, None, None))],
}


@pytest.mark.parametrize("scenario", sorted(CALLS))
def test_the_model_calls_of_a_capture_are_counted_once_and_never_guessed(
    scenario: str, capture: Callable[[str], bytes]
) -> None:
    found = decode_traces(capture(f"{scenario}.pb"), "protobuf").interactions
    headers = [
        item.header
        for item in sorted(found, key=lambda item: item.started_at_ns)
        if item.header.get("operation") in {"chat", "embeddings"}
    ]
    assert len(headers) == len(CALLS[scenario])
    for header, (operation, requested, responded, usage) in zip(
        headers, CALLS[scenario], strict=True
    ):
        assert header["operation"] == operation
        assert header.get("model_requested", requested) == requested
        assert header.get("model_responded", responded) == responded
        # A sender that names one model names the one that was asked or the one that answered.
        assert header.get("model", requested) in {requested, responded}
        assert tuple(header.get(field) for field in USAGE) == usage


def test_a_response_sent_as_request_parameters_says_nothing_of_the_request(
    capture: Callable[[str], bytes],
) -> None:
    body = capture("openinference-openai-agents/tools.pb")
    headers = [item.header for item in decode_traces(body, "protobuf").interactions]
    calls = [header for header in headers if header.get("operation") == "chat"]
    assert all("model_requested" not in header for header in calls)
    assert {header.get("model_responded") for header in calls} == {AGENTS_ANSWERED}
    assert {header.get("response_id") for header in calls} == {
        "resp_000504300122350a32",
        "resp_0005071185401df4fc",
    }


def test_mlflow_names_both_models_in_quotes(capture: Callable[[str], bytes]) -> None:
    (item,) = decode_traces(capture("mlflow/plain.pb"), "protobuf").interactions
    expected = {
        "model_requested": SMALL,
        "model_responded": SMALL_ANSWERED,
        "operation_as_sent": "CHAT_MODEL",
        "temperature": "0.2",
        "max_tokens": 200,
    }
    assert {field: item.header.get(field) for field in expected} == expected


@pytest.mark.parametrize(
    "usage", ["[1]", "{", '{"input": -1}', '{"input": "many"}', '{"input": NaN}', '{"input": 1e99}']
)
def test_odd_usage_fills_nothing_and_is_sealed_as_it_is(
    usage: str, normalized: Callable[..., Interaction], left: Callable[..., Any]
) -> None:
    item = normalized({"langfuse.observation.usage_details": usage})
    assert "input_tokens" not in item.header
    assert left(item)["span"]["langfuse.observation.usage_details"] == usage


def test_a_prompt_quoted_as_a_model_is_withheld_as_it_was_sent(
    normalized: Callable[..., Interaction], left: Callable[..., Any]
) -> None:
    sent = '"write to margaret@example.com"'
    item = normalized({"model": sent})
    assert item.header["withheld"] == ["model_requested"]
    assert left(item)["span"]["model"] == sent


def test_a_langfuse_generation_says_what_the_script_asked(capture: Callable[[str], bytes]) -> None:
    (item,) = decode_traces(capture("langfuse/plain.pb"), "protobuf").interactions
    expected = {
        "operation": "chat",
        "operation_as_sent": "generation",
        "model": "gpt-4o-mini-2024-07-18",
        "temperature": "0.2",
        "max_tokens": 200,
        "environment": "staging",
        "service_name": "support-bot",
        "sender_tenant": "acme-eu",
    }
    assert {field: item.header.get(field) for field in expected} == expected
    assert set(item.identifiers) == {("user", "user-4711"), ("session", "sess-2026-03-14-a")}
    assert {"input", "output"} <= {content.role for content in item.contents}
    assert b"Margaret" not in header_bytes(item.header)


@pytest.mark.parametrize("key", SEALED)
def test_a_text_of_the_dialect_is_sealed(
    key: str, normalized: Callable[..., Interaction], contents: Callable[..., dict[str, bytes]]
) -> None:
    item = normalized({key: CANARY})
    assert CANARY.encode() in contents(item).values()
    assert CANARY.encode() not in header_bytes(item.header)


def test_the_standard_name_is_trusted_before_the_ad_hoc_one(
    normalized: Callable[..., Interaction],
) -> None:
    item = normalized({"llm.input_tokens": 1, "gen_ai.usage.input_tokens": 30})
    assert item.header["input_tokens"] == 30
