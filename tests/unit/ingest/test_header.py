"""Header bytes against the slow canonical encoder, and the digest of a whole interaction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditvault.core.interaction import Content, Interaction
from auditvault.core.tlog.canonical import canonical_bytes
from auditvault.ingest.header import body_digest, header_bytes
from auditvault.ingest.otlp.traces import decode_traces
from tests.unit.ingest.conftest import build_body, build_span

Build = Callable[..., Any]

ascii_keys = st.text(st.characters(max_codepoint=127))
values = st.recursive(
    st.text() | st.booleans() | st.none() | st.integers(-(2**53) + 1, 2**53 - 1),
    lambda inner: st.lists(inner) | st.dictionaries(ascii_keys, inner),
)
attribute_values = (
    st.text(max_size=200) | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.lists(st.text())
)
KNOWN_KEYS = """
    gen_ai.request.model gen_ai.request.temperature gen_ai.usage.input_tokens gen_ai.request.seed
    gen_ai.response.finish_reasons gen_ai.operation.name llm.model_name llm.invocation_parameters
    openinference.span.kind traceloop.entity.name error.type server.address gen_ai.agent.name
"""
attribute_keys = st.text() | st.sampled_from(KNOWN_KEYS.split())


@given(header=st.dictionaries(ascii_keys, values))
def test_the_fast_encoder_gives_the_canonical_bytes(header: dict[str, Any]) -> None:
    assert header_bytes(header) == canonical_bytes(header)


@given(
    attributes=st.dictionaries(attribute_keys, attribute_values, max_size=12),
    fields=st.fixed_dictionaries(
        {
            "name": st.text(max_size=150),
            "trace_state": st.text(max_size=20),
            "kind": st.integers(0, 9),
            "flags": st.integers(0, 2**32 - 1),
            "start_time_unix_nano": st.integers(0, 2**64 - 1),
            "end_time_unix_nano": st.integers(0, 2**64 - 1),
            "dropped_events_count": st.integers(0, 2**32 - 1),
        }
    ),
)
def test_every_header_that_is_made_is_canonical(
    attributes: dict[str, Any], fields: dict[str, Any]
) -> None:
    decoded = decode_traces(build_body(build_span(attributes, **fields)), "protobuf")
    (interaction,) = decoded.interactions
    assert header_bytes(interaction.header) == canonical_bytes(interaction.header)
    assert None not in interaction.header.values()


def changes() -> dict[str, Callable[[Interaction], Interaction]]:
    return {
        "header": lambda item: replace(item, header={**item.header, "seed": 1}),
        "body": lambda item: replace(item, contents=[Content("input", b"other")]),
        "role": lambda item: replace(item, contents=[Content("output", b"text")]),
        "no content": lambda item: replace(item, contents=[]),
        "identifier": lambda item: replace(item, identifiers=[("user", "other")]),
        "kind": lambda item: replace(item, identifiers=[("session", "bob")]),
        "claim": lambda item: replace(item, claims=[]),
        "claim for identifier": lambda item: replace(
            item, identifiers=[*item.identifiers, *item.claims], claims=[]
        ),
    }


@pytest.fixture
def whole(normalized: Build) -> Interaction:
    attributes = {"input.value": "text", "user.id": "bob", "prompt.hash": "ab" * 32}
    found: Interaction = normalized(attributes)
    assert found.contents
    assert found.identifiers
    assert found.claims
    return found


@pytest.mark.parametrize("change", changes())
def test_any_change_changes_the_digest(change: str, whole: Interaction) -> None:
    assert body_digest(changes()[change](whole)) != body_digest(whole)


def test_the_order_of_contents_does_not_change_the_digest(normalized: Build) -> None:
    one = normalized({"input.value": "a", "output.value": "b"})
    two = normalized({"output.value": "b", "input.value": "a"})
    assert body_digest(one) == body_digest(two)
    assert len(body_digest(one)) == 32
