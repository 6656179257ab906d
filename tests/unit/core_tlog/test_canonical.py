from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditvault.core.tlog.canonical import (
    MAX_DEPTH,
    MAX_INTEGER,
    CanonicalFormError,
    JsonValue,
    canonical_bytes,
    parse_canonical,
)

VECTORS = Path(__file__).parents[2] / "vectors" / "jcs_rfc8785"
INSIDE_THE_PROFILE = ["arrays", "unicode"]
OUTSIDE_THE_PROFILE = ["french", "structures", "values", "weird"]

texts = st.text(st.characters(exclude_categories=["Cs"]))
values = st.recursive(
    st.none() | st.booleans() | st.integers(-MAX_INTEGER, MAX_INTEGER) | texts,
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text(st.characters(max_codepoint=127)), inner)
    ),
)


def _input(name: str) -> JsonValue:
    value: JsonValue = json.loads((VECTORS / "input" / f"{name}.json").read_text("utf-8"))
    return value


@pytest.mark.parametrize("name", INSIDE_THE_PROFILE)
def test_a_published_value_inside_the_profile_matches_to_the_byte(name: str) -> None:
    encoded = canonical_bytes(_input(name))

    assert encoded == bytes.fromhex((VECTORS / "outhex" / f"{name}.txt").read_text())
    assert encoded == (VECTORS / "output" / f"{name}.json").read_bytes()


@pytest.mark.parametrize("name", OUTSIDE_THE_PROFILE)
def test_a_published_value_outside_the_profile_is_refused(name: str) -> None:
    with pytest.raises(CanonicalFormError):
        canonical_bytes(_input(name))


# The number of "structures" is 56.0 in the input only; its encoding is inside the profile.
@pytest.mark.parametrize("name", sorted({*OUTSIDE_THE_PROFILE} - {"structures"}))
def test_a_published_encoding_outside_the_profile_is_not_parsed(name: str) -> None:
    with pytest.raises(CanonicalFormError):
        parse_canonical((VECTORS / "output" / f"{name}.json").read_bytes())


@pytest.mark.parametrize("name", [*INSIDE_THE_PROFILE, "structures"])
def test_a_published_encoding_inside_the_profile_is_parsed(name: str) -> None:
    value = parse_canonical((VECTORS / "output" / f"{name}.json").read_bytes())

    assert value == _input(name)


@pytest.mark.parametrize("name", ["string", "literals"])
def test_the_parts_of_the_published_values_inside_the_profile_match(name: str) -> None:
    source = _input("values")
    assert isinstance(source, dict)

    encoded = canonical_bytes({name: source[name]})

    assert encoded[1:-1] in (VECTORS / "output" / "values.json").read_bytes()


def test_keys_sort_as_in_the_published_weird_vector() -> None:
    source = _input("weird")
    assert isinstance(source, dict)
    published = json.loads((VECTORS / "output" / "weird.json").read_text("utf-8"))

    encoded = canonical_bytes({key: source[key] for key in source if key.isascii()})

    assert list(json.loads(encoded)) == [key for key in published if key.isascii()]


@given(values)
def test_a_value_comes_back_from_its_bytes(value: JsonValue) -> None:
    assert parse_canonical(canonical_bytes(value)) == value


@given(st.binary() | texts.map(str.encode))
def test_parsing_arbitrary_bytes_returns_or_raises_our_error(data: bytes) -> None:
    try:
        value = parse_canonical(data)
    except CanonicalFormError:
        return
    assert canonical_bytes(value) == data


def test_a_tuple_is_written_as_an_array() -> None:
    assert canonical_bytes(("a", 1)) == b'["a",1]'


def test_control_characters_are_escaped_as_rfc_8785_says() -> None:
    text = '\x00\x08\t\n\x0b\x0c\r\x1f"\\/\x7f\u2028'

    encoded = canonical_bytes(text)

    expected = '"\\u0000\\b\\t\\n\\u000b\\f\\r\\u001f\\"\\\\/\x7f\u2028"'
    assert encoded == expected.encode()


@pytest.mark.parametrize(
    "value",
    [
        1.0,
        float("nan"),
        MAX_INTEGER + 1,
        -MAX_INTEGER - 1,
        10**400,
        "\ud800",
        ["\udfff"],
        {"é": 1},
        {1: "a"},
        {None: "a"},
        b"bytes",
        {"a"},
        pytest.param(object(), id="object"),
    ],
    ids=repr,
)
def test_a_value_outside_the_profile_is_refused(value: object) -> None:
    with pytest.raises(CanonicalFormError) as caught:
        canonical_bytes(value)  # type: ignore[arg-type]

    assert caught.value.code == "canonical_form_invalid"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" 1",
        b"1 ",
        b"1\n",
        b"\xef\xbb\xbf1",
        b'{"a":1,"a":1}',
        b'{"a":1,"a":2}',
        b'{"b":1,"a":2}',
        b'{"a": 1}',
        b"1.0",
        b"1e3",
        b"-0",
        b"01",
        b"9007199254740992",
        b"1" + b"0" * 5000,
        b"NaN",
        b"Infinity",
        b'"\\u0041"',
        b'"\\/"',
        b'"\\u001F"',
        b'"\\ud800"',
        b'"\xed\xa0\x80"',
        b'"\xff"',
        '{"é":1}'.encode(),
        b"[" * 200_000,
        b"[1,]",
    ],
    ids=lambda data: repr(data[:24]),
)
def test_bytes_that_are_not_canonical_are_refused(data: bytes) -> None:
    with pytest.raises(CanonicalFormError):
        parse_canonical(data)


def test_nesting_to_the_limit_is_encoded() -> None:
    value: JsonValue = 1
    for _ in range(MAX_DEPTH):
        value = [value]

    assert parse_canonical(canonical_bytes(value)) == value


def test_nesting_beyond_the_limit_is_refused() -> None:
    value: JsonValue = 1
    for _ in range(MAX_DEPTH + 1):
        value = [value]

    with pytest.raises(CanonicalFormError):
        canonical_bytes(value)


def test_an_error_does_not_quote_the_value() -> None:
    with pytest.raises(CanonicalFormError) as caught:
        parse_canonical(b'{"canary":"canary","canary":1}')

    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("data", [b'{"a":1,"a":1}', b'[{"a":{"b":1,"b":2}}]'])
def test_a_repeated_key_is_named_as_the_reason(data: bytes) -> None:
    with pytest.raises(CanonicalFormError, match="repeated"):
        parse_canonical(data)
