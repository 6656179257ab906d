"""Langfuse, Vercel AI SDK, MLflow and ad-hoc names: what a span of theirs comes to."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from auditvault.core.interaction import Interaction
from auditvault.ingest.dialects.table import ROWS
from auditvault.ingest.header import header_bytes
from auditvault.ingest.otlp.traces import decode_traces

CANARY = "Margaret O'Connell canary text"
NEW = {"langfuse", "vercel", "mlflow", "seed"}
SEALED = [row.key for row in ROWS if row.dialects <= NEW and row.place == "content"]


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
