"""What is personal is replaced, and everything else stays as it was."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditvault.privacy.detection.analyser import Analyser
from auditvault.privacy.detection.findings import Finding
from auditvault.privacy.detection.leaves import leaves
from auditvault.privacy.detection.rendering import FindingsMisplacedError, Placeholders, render

CONVERSATION = [
    b"My name is Maria Gomez, call 212-555-0147.",
    b'[{"role": "user", "content": "Maria Gomez and Peter Lang wrote from m@x.fr"}]',
]


def rendered(analyser: Analyser, *contents: bytes) -> list[str]:
    """What is shown of contents that are read together."""
    placeholders = Placeholders()
    found = analyser.analyse(contents)
    return [
        render(content, findings, placeholders).decode()
        for content, findings in zip(contents, found, strict=True)
    ]


def test_a_value_has_the_same_placeholder_throughout_a_conversation(analyser: Analyser) -> None:
    assert rendered(analyser, *CONVERSATION) == [
        "My name is <PERSON_1>, call <PHONE_NUMBER_1>.",
        '[{"role": "user", "content": "<PERSON_1> and <PERSON_2> wrote from <EMAIL_ADDRESS_1>"}]',
    ]


def test_one_value_is_spelt_in_several_ways() -> None:
    placeholders = Placeholders()

    spelt = [placeholders.of("PERSON", one) for one in ("Maria Gomez", "MARIA  GOMEZ", "Maria")]
    assert spelt == ["<PERSON_1>", "<PERSON_1>", "<PERSON_2>"]


def test_another_conversation_counts_anew(analyser: Analyser) -> None:
    assert rendered(analyser, b"mail b@x.fr") == rendered(analyser, b"mail c@x.fr")


def test_a_tool_call_stays_one(analyser: Analyser) -> None:
    call = {"name": "book", "arguments": json.dumps({"phone": "+49 30 23125100", "seats": 2})}

    [shown] = rendered(analyser, json.dumps([{"tool_calls": [call]}]).encode())
    [message] = json.loads(shown)
    [kept] = message["tool_calls"]
    assert kept["name"] == "book"
    assert json.loads(kept["arguments"]) == {"phone": "<PHONE_NUMBER_1>", "seats": 2}


def test_names_of_members_and_numbers_are_replaced_too(analyser: Analyser) -> None:
    [shown] = rendered(analyser, b'{"m@x.fr": 1, "ssn": 536221234, "ssn": 536221235}')

    assert shown == '{"<EMAIL_ADDRESS_1>": 1, "ssn": "<US_SSN_1>", "ssn": "<US_SSN_2>"}'


def test_neighbours_are_not_made_one(analyser: Analyser) -> None:
    assert rendered(analyser, b"to: a@x.fr b@x.fr") == ["to: <EMAIL_ADDRESS_1> <EMAIL_ADDRESS_2>"]


def test_what_holds_nothing_keeps_its_spelling(analyser: Analyser) -> None:
    content = '{"a" :1.50,\n "b":"\\u00e9"}'

    assert rendered(analyser, content.encode()) == [content]


@pytest.mark.parametrize(
    "where", [{"path": "/b"}, {"path": "", "end": 99}, {"path": "/a#/c"}, {"is_key": True}]
)
def test_findings_of_another_content_show_nothing(where: dict[str, object]) -> None:
    given_here = {
        "path": "/a",
        "start": 0,
        "end": 1,
        "entity": "X",
        "score": 1.0,
        "recogniser": "r",
    }

    with pytest.raises(FindingsMisplacedError):
        render(b'{"c": "x"}', [Finding(**given_here | where)], Placeholders())  # type: ignore[arg-type]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=60)
@given(JSON)
def test_every_leaf_can_be_replaced_and_nothing_of_it_is_left(value: object) -> None:
    content = json.dumps([value]).encode()
    whole = [leaf for leaf in leaves(content) if not leaf.is_pair and leaf.text.strip()]
    findings = [
        Finding(
            path=leaf.path, is_key=leaf.is_key, start=0, end=len(leaf.text), entity="X", score=1.0,
            recogniser="r",
        )
        for leaf in whole
    ]  # fmt: skip

    shown = render(content, findings, Placeholders())

    assert all(
        leaf.text.startswith("<X_")
        for leaf in leaves(shown)
        if not leaf.is_pair and leaf.text.strip()
    )
