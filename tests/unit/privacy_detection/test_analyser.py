"""The analysis as a whole."""

from __future__ import annotations

import json
import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditvault.privacy.detection.analyser import (
    MOST_BYTES,
    Analyser,
    ContentTooLargeToScanError,
    detector_version,
    without_overlaps,
)
from auditvault.privacy.detection.findings import Finding, as_json, from_json
from tests.benchmarks.pii.samples import Label, samples
from tests.benchmarks.pii.scoring import Tally
from tests.unit.privacy_detection.finding import Found

TEXTS = [
    b"Dear Mr. Klaus Fischer, your card 4111 1111 1111 1111 was charged.",
    b'{"to": "Marie Dupont", "body": "see m@x.fr and +49 30 23125100"}',
    b"nothing here",
    b"",
]


def _finding(start: int, end: int, entity: str, score: float) -> Finding:
    return Finding(path="", start=start, end=end, entity=entity, score=score, recogniser="r")


def test_a_batch_finds_what_one_by_one_finds(analyser: Analyser) -> None:
    together = analyser.analyse(TEXTS)

    assert together == [analyser.analyse([text])[0] for text in TEXTS]
    assert [len(of_one) for of_one in together] == [2, 3, 0, 0]


@settings(max_examples=30)
@given(st.binary(max_size=120) | st.text(max_size=80).map(str.encode))
def test_findings_lie_in_the_content_and_apart(content: bytes) -> None:
    [findings] = WITHOUT_NAMES.analyse([content])

    for one, other in pairwise(findings):
        assert (one.path, one.is_key) != (other.path, other.is_key) or one.end <= other.start
    assert all(0 <= one.start < one.end <= len(content) for one in findings)


WITHOUT_NAMES = Analyser(with_names=False)


def test_of_what_overlaps_the_surest_is_kept_and_the_rest_of_the_other() -> None:
    text = "Musterweg 12, Berlin 030 23125100"
    address, phone = _finding(0, 33, "STREET_ADDRESS", 0.7), _finding(21, 33, "PHONE_NUMBER", 0.9)

    assert without_overlaps([address, phone], {("", False): text}) == [
        _finding(0, 20, "STREET_ADDRESS", 0.7),
        phone,
    ]


def test_a_name_is_found_where_it_stands_again(found: Found) -> None:
    text = "My name is Zebulon Quastenberg.\nQuastenberg here again, about lunch."

    assert found(text) == [("PERSON", "Zebulon Quastenberg"), ("PERSON", "Quastenberg")]


def test_names_in_code_are_nobodys(found: Found) -> None:
    assert found("import Pandas as pd\nresult = Pandas.Merge(Left, Right)\n") == []


def test_what_stands_at_a_seam_of_a_long_text_is_found_once(found: Found) -> None:
    filler = "all quiet on the shelf " * 345  # a seam is near 8,000 characters

    assert found(f"{filler}mail marie@example.fr now. {filler}") == [
        ("EMAIL_ADDRESS", "marie@example.fr")
    ]


def test_a_content_that_is_too_large_is_refused_before_anything_is_looked_at() -> None:
    with pytest.raises(ContentTooLargeToScanError):
        WITHOUT_NAMES.analyse([b"x" * (MOST_BYTES + 1)])


def test_without_names_no_name_is_reported() -> None:
    [findings] = WITHOUT_NAMES.analyse([b'{"name": "Marie Dupont", "mail": "m@x.fr"}'])

    assert [one.entity for one in findings] == ["EMAIL_ADDRESS"]


def test_the_version_is_of_everything_that_findings_depend_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = detector_version()
    detector_version.cache_clear()
    monkeypatch.setattr("auditvault.privacy.detection.analyser.RULES", 10**6)

    assert detector_version() != before
    detector_version.cache_clear()


@given(
    st.lists(
        st.builds(
            Finding,
            path=st.text(),
            is_key=st.booleans(),
            start=st.integers(0, 10**6),
            end=st.integers(0, 10**6),
            entity=st.text(),
            score=st.integers(1, 1000).map(lambda one: one / 1000),
            recogniser=st.text(),
        )
    )
)
def test_findings_come_back_as_they_were_stored(findings: list[Finding]) -> None:
    assert from_json(json.loads(json.dumps(as_json(findings)))) == sorted(findings)


def test_no_finding_holds_any_text(analyser: Analyser) -> None:
    [findings] = analyser.analyse([b'{"to": "Marie Dupont", "mail": "m@x.fr"}'])

    assert "Dupont" not in json.dumps(as_json(findings))
    assert "m@x" not in json.dumps(as_json(findings))


FLOORS = {"PERSON": 0.85, "STREET_ADDRESS": 0.9}


def test_quality_does_not_fall(analyser: Analyser) -> None:
    """A small set, so that one value more or less is a hundredth; `make bench-pii` has the figures."""
    made = samples(each=1, with_nobodys=False)
    tally = Tally()
    for one, findings in zip(made, analyser.analyse([one.content for one in made]), strict=True):
        tally.add(
            one.language, one.labels, [Label(f.path, f.start, f.end, f.entity) for f in findings]
        )

    low = {
        kind: tally.score(*kind).f2
        for kind in tally.kinds()
        if tally.score(*kind).f2 < FLOORS.get(kind[1], 0.93)
    }
    assert low == {}
    assert tally.uncovered / tally.characters < 0.06


HARD = (
    "O'Aa-Aa'",
    "A.-",
    "Aa-",
    "1.",
    "1 Aa Aa Aa Aa ",
    "a@a.",
    "Astr. ",
    "+1 ",
    "Mr. Aa ",
    "DE11A",
    "x=y;",
)


@pytest.mark.parametrize("part", HARD)
def test_no_text_takes_much_longer_than_its_length(part: str) -> None:
    """Whoever sends a content must not hold a worker up: a pattern that goes back over it would take hours here."""
    content = ("1 " + part * (10_000 // len(part))).encode()
    begun = time.process_time()

    WITHOUT_NAMES.analyse([content])

    assert time.process_time() - begun < 5
