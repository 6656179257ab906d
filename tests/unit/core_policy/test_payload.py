"""A payload policy is read to the letter, and what it says of a span follows from the span and its trace's lot."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditvault.core.policy.payload import (
    FEATURE_FIELDS,
    PayloadPolicy,
    PayloadPolicyError,
    Rule,
    cut,
    decide,
)

LOT = bytes(32)
TEXT = "Decided by the board on Monday."


def document(default=None, **members):
    policy = {
        "v": "auditvault/payload-policy/1",
        "text": TEXT,
        "default": default or {"keep": "all"},
    }
    return json.dumps(policy | members).encode()


def rule(keep="sample", per_10000=10_000, limit=None):
    return Rule(keep=keep, sample_per_10000=per_10000, max_content_bytes=limit)


def test_a_policy_is_read_with_its_rules():
    features = {"checkout": {"keep": "sample", "sample_per_10000": 5, "max_content_bytes": 64}}

    policy = PayloadPolicy.parse(document({"keep": "hash"}, features=features))

    assert (policy.text, policy.default) == (TEXT, rule("hash"))
    assert policy.features == {"checkout": rule("sample", 5, 64)}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{",
        b"\xff",
        document()[:-1],
        document(v="auditvault/payload-policy/2"),
        document(text="too short"),
        document(text=5),
        document(colour="red"),
        document({"keep": "none"}),
        document({"keep": ["all"]}),
        document({"keep": "sample"}),
        document({"keep": "all", "sample_per_10000": 5}),
        document({"keep": "sample", "sample_per_10000": 10_001}),
        document({"keep": "sample", "sample_per_10000": -1}),
        document({"keep": "sample", "sample_per_10000": True}),
        document({"keep": "sample", "sample_per_10000": "5"}),
        document({"keep": "sample", "sample_per_10000": 0.5}),
        document({"keep": "all", "max_content_bytes": 63}),
        document({"keep": "all", "max_content_bytes": 2**40}),
        document({"keep": "all", "colour": "red"}),
        document(["keep"]),
        document(features=[]),
        document(features={"": {"keep": "all"}}),
        document(features={"a\nb": {"keep": "all"}}),
        document(features={"a": "all"}),
        document(features={f"f{n}": {"keep": "all"} for n in range(1001)}),
        document(text="x" * 65_536),
    ],
    ids=range(28),
)
def test_what_is_no_policy_is_refused(data):
    with pytest.raises(PayloadPolicyError):
        PayloadPolicy.parse(data)


@pytest.mark.parametrize("field", FEATURE_FIELDS)
def test_a_feature_is_named_by_any_of_its_header_fields(field):
    policy = PayloadPolicy.parse(document(features={"checkout": {"keep": "hash"}}))

    assert policy.rule_for({field: "checkout"}).keep == "hash"


def test_the_first_name_that_has_a_rule_decides():
    features = {"inner": {"keep": "hash"}, "outer": {"keep": "sample", "sample_per_10000": 1}}
    policy = PayloadPolicy.parse(document(features=features))

    found = policy.rule_for({"feature": "unknown", "agent_name": "inner", "service_name": "outer"})

    assert found.keep == "hash"


def test_a_span_without_a_named_feature_is_under_the_default():
    policy = PayloadPolicy.parse(document(features={"checkout": {"keep": "hash"}}))

    assert policy.rule_for({"service_name": "other"}).keep == "all"


@pytest.mark.parametrize("has_error", [False, True])
@pytest.mark.parametrize(("keep", "is_kept"), [("all", True), ("hash", False)])
def test_all_and_hash_ask_neither_lot_nor_error(keep, is_kept, has_error):
    assert decide(rule(keep), has_error=has_error, lot=LOT) == (is_kept, keep)


@pytest.mark.parametrize(("per_10000", "lot_byte"), [(0, 0), (1, 255), (9999, 255)])
def test_an_error_is_kept_whatever_its_lot(per_10000, lot_byte):
    found = decide(rule(per_10000=per_10000), has_error=True, lot=bytes([lot_byte]) * 32)

    assert found == (True, "error")


@pytest.mark.parametrize(
    ("per_10000", "lot", "is_kept"),
    [
        (0, bytes(32), False),
        (10_000, b"\xff" * 32, True),
        (5_000, b"\x7f" + b"\xff" * 31, True),
        (5_000, b"\x80" + bytes(31), False),
    ],
)
def test_a_lot_below_the_rate_is_kept(per_10000, lot, is_kept):
    assert decide(rule(per_10000=per_10000), has_error=False, lot=lot).is_kept == is_kept


@given(st.integers(0, 9_999), st.binary(min_size=32, max_size=32))
def test_whatever_is_kept_at_a_rate_is_kept_at_a_higher_one(per_10000, lot):
    less, more = (
        decide(rule(per_10000=rate), has_error=False, lot=lot).is_kept
        for rate in (per_10000, per_10000 + 1)
    )

    assert more or not less


@given(st.text(), st.integers(1, 200))
def test_a_text_that_is_cut_is_the_longest_beginning_of_whole_characters(text, limit):
    found = cut(text.encode(errors="replace"), limit).decode()

    clean = text.encode(errors="replace").decode()
    longest = max(
        (clean[:n] for n in range(len(clean) + 1) if len(clean[:n].encode()) <= limit), key=len
    )
    assert found == longest


@given(st.binary(), st.integers(1, 200))
def test_bytes_that_are_cut_are_a_beginning_of_almost_the_limit(data, limit):
    found = cut(data, limit)

    assert data.startswith(found)
    assert min(len(data), limit) - 3 <= len(found) <= limit
