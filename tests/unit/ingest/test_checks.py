"""What a header value must look like."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditvault.ingest.normalize.checks import ACCEPTED_NAMES, CHECKS


@pytest.mark.parametrize(
    ("check", "value"),
    [
        ("word", "chat"),
        ("word", "openai.RateLimitError"),
        ("word", "429"),
        ("word", "_OTHER"),
        ("model", "gpt-4o-mini-2024-07-18"),
        ("model", "anthropic.claude-3-5-sonnet-20241022-v2:0"),
        ("model", "claude-3-5-sonnet@20241022"),
        ("model", "@cf/meta/llama-3.1-8b-instruct"),
        ("model", "ft:gpt-4o-mini:acme::9abcDEF1"),
        (
            "model",
            "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.amazon.nova-lite-v1:0",
        ),
        ("name", "chat gpt-4o-2024-08-06"),
        ("name", "POST /ask"),
        ("name", "Support Agent"),
        ("id", "chatcmpl-00038811307768e6d7"),
        ("id", "1.45.2"),
        ("id", "aba08b3e-18db-40b9-9347-3d89163a3cfd"),
        ("host", "api.openai.com"),
        ("host", "localhost"),
    ],
)
def test_it_accepts_what_senders_really_send(check: Any, value: str) -> None:
    assert CHECKS[check](value) == value


@pytest.mark.parametrize(
    ("check", "value"),
    [
        ("word", "two words"),
        ("word", "a" * 129),
        ("word", "bob@example.com"),
        ("word", "+46701234567"),
        ("model", "bob@example.com"),
        ("model", "my favourite model"),
        ("model", "tel+46701234567"),
        ("model", "m" * 300),
        ("name", "ask bob@example.com"),
        ("name", "ask bob@localhost"),
        ("name", "call 040-123 45 67"),
        ("name", "order 123456"),
        ("name", "a b c d e f g"),
        ("name", "Björn"),
        ("name", "line\nbreak"),
        ("id", "0701234567"),
        ("id", "070-123 45 67"),
        ("id", "bob@example.com"),
        ("host", "127.0.0.1"),
        ("host", "::1"),
        ("host", "a.b." + "c" * 260),
    ],
)
def test_it_withholds_what_a_field_does_not_hold(check: Any, value: str) -> None:
    assert CHECKS[check](value) is None


@pytest.mark.parametrize(
    ("check", "value", "expected"),
    [
        ("count", 0, 0),
        ("count", 12.0, 12),
        ("count", -1, None),
        ("count", 2**53 - 1, 2**53 - 1),
        ("count", 2**53, None),
        ("count", True, None),
        ("count", "12", None),
        ("integer", -5, -5),
        ("integer", -(2**53), None),
        ("decimal", 0.2, "0.2"),
        ("decimal", 1.0, "1"),
        ("decimal", 1, "1"),
        ("decimal", -0.0, "0"),
        ("decimal", 1e-7, "0.0000001"),
        ("decimal", 1e-13, None),
        ("decimal", 1e15, None),
        ("decimal", "NaN", None),
        ("decimal", False, None),
        ("truth", True, True),
        ("truth", "False", False),
        ("truth", "yes", None),
        ("truth", 1, None),
        ("words", ["stop", "length"], ["stop", "length"]),
        ("words", "stop", ["stop"]),
        ("words", '["stop"]', ["stop"]),
        ("words", '["stop"', None),
        ("words", [], None),
        ("words", ["two words"], None),
        ("words", [1], None),
        ("words", ["stop"] * 65, None),
        ("id", 7, "7"),
    ],
)
def test_it_gives_one_form_to_what_it_accepts(check: Any, value: Any, expected: Any) -> None:
    result = CHECKS[check](value)
    assert (type(result), result) == (type(expected), expected)


@given(number=st.floats(min_value=-1e15, max_value=1e15, exclude_min=True, exclude_max=True))
def test_a_decimal_is_the_same_number_and_has_no_exponent(number: float) -> None:
    text = CHECKS["decimal"](number)
    if text is None:
        assert 0 < abs(number) < 1e-12
    else:
        assert isinstance(text, str)
        assert float(text) == number
        assert "e" not in text


@given(text=st.text(max_size=200))
def test_no_check_accepts_an_address(text: str) -> None:
    address = f"{text}someone@example.com"
    assert all(CHECKS[name](address) is None for name in CHECKS)


def test_refused_names_are_not_remembered() -> None:
    assert ACCEPTED_NAMES["bob@example.com"] is False
    assert "bob@example.com" not in ACCEPTED_NAMES
