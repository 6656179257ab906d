"""Contents taken apart."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditvault.privacy.detection.leaves import leaves, words

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(st.binary(max_size=200))
def test_every_content_has_leaves(content: bytes) -> None:
    list(leaves(content))


@settings(max_examples=40)
@given(st.dictionaries(st.text(), JSON, min_size=1))
def test_every_text_of_a_json_is_a_leaf(value: dict[str, object]) -> None:
    texts = {leaf.text for leaf in leaves(json.dumps(value).encode())}

    assert set(value) <= texts
    assert {
        text for text in value.values() if isinstance(text, str) and text[:1] not in " {[\t\n\r"
    } <= {text.replace(" " * 300, "") for text in texts}


def test_members_of_one_name_are_told_apart() -> None:
    found = [(leaf.path, leaf.text) for leaf in leaves(b'{"a": "x", "a": "y"}') if not leaf.is_key]

    assert found == [("/a", "x"), ("/a~31", "y")]


@pytest.mark.parametrize("depth", [65, 500, 900, 5000])
def test_a_json_that_is_too_deep_is_read_as_text(depth: int) -> None:
    content = b'{"a":' * depth + b"1" + b"}" * depth

    assert [leaf.text for leaf in leaves(content) if not leaf.is_pair] == [content.decode()]


def test_numbers_are_as_they_were_sent() -> None:
    assert [leaf.text for leaf in leaves(b"[4111111111111111, 1.50, 1e400, NaN]")] == [
        "4111111111111111",
        "1.50",
        "1e400",
        "NaN",
    ]


def test_what_is_no_text_is_blanked_and_nothing_moves() -> None:
    content = "image: " + "A" * 1000 + " by Maria Gomez"

    [text] = [leaf.text for leaf in leaves(content.encode()) if not leaf.is_pair]
    assert text == "image: " + " " * 1000 + " by Maria Gomez"


def test_a_keys_words_are_told_apart_however_they_are_joined() -> None:
    keys = ("customerName", "customer_name", "Customer Name", "customer-name")

    assert {words(key) for key in keys} == {"customer name"}


def test_half_a_character_is_replaced_and_nothing_moves() -> None:
    found = [(leaf.path, leaf.text) for leaf in leaves(b'{"a\\udc00": "\\ud800 m@x.fr"}')]

    assert found == [("/a\ufffd", "a\ufffd"), ("/a\ufffd", "\ufffd m@x.fr")]
