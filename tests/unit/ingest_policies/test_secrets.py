"""Secrets are found by their form and replaced by a mark; nothing else is touched."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditvault.ingest.policies.secrets import mark, may_hold_secrets, scrub
from tests.unit.ingest_policies.secret_corpus import NEGATIVES, POSITIVES, filled

_NAMED = [f"{number}-{kind}" for number, (kind, _) in enumerate(POSITIVES)]
_EDGES = [
    "sk-",
    "AKIA",
    "ghp_",
    "eyJ",
    "://",
    "@",
    ":",
    "=",
    ";",
    '"',
    " ",
    "\\n",
    "]",
    "[",
    "password",
    "TOKEN",
]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("kind", "template"), POSITIVES, ids=_NAMED)
def test_a_secret_is_replaced_by_a_mark_of_its_kind_and_its_surroundings_stay(kind, template, seed):
    text, left = filled(template, seed)

    body, counts = scrub(text.encode())

    assert body.decode() == left.replace("\0", mark(kind).decode())
    assert counts == {kind: 1}


@pytest.mark.parametrize("text", NEGATIVES, ids=range(len(NEGATIVES)))
def test_a_text_that_only_looks_alike_is_left_alone(text):
    assert scrub(text.encode()) == (text.encode(), {})


@pytest.mark.parametrize(("kind", "template"), POSITIVES, ids=_NAMED)
def test_a_secret_is_found_in_the_middle_of_a_long_text(kind, template):
    text, left = filled(template, 0)
    around = "All is well here. 鍵 "

    body, counts = scrub(f"{around * 3000}\n{text}\n{around * 3000}".encode())

    assert left.replace("\0", mark(kind).decode()) in body.decode()
    assert counts == {kind: 1}


def test_several_secrets_are_counted_by_kind():
    texts = [filled(template, seed)[0] for seed in range(2) for _, template in POSITIVES]

    _, counts = scrub("\n\n".join(texts).encode())

    assert counts == {
        kind: 2 * sum(kind == other for other, _ in POSITIVES) for kind, _ in POSITIVES
    }


@given(st.binary(max_size=400))
def test_bytes_of_any_kind_without_an_anchor_stay_as_they_are(data):
    if not may_hold_secrets(data):
        assert scrub(data) == (data, {})


@given(st.text(alphabet=st.characters(exclude_characters="-:=_.AaBbEeGgHhSsXxyR"), max_size=400))
def test_text_without_anything_that_a_secret_begins_with_stays_as_it_is(text):
    assert scrub(text.encode(errors="replace")) == (text.encode(errors="replace"), {})


_pieces = st.one_of(
    st.sampled_from([filled(template, 0)[0] for _, template in POSITIVES]),
    st.sampled_from([filled(template, 1)[0].split("://")[-1] for _, template in POSITIVES]),
    st.sampled_from(NEGATIVES),
    st.sampled_from(_EDGES),
    st.sampled_from([mark("jwt").decode(), mark("url_password").decode()]),
    st.text(max_size=8),
)


@given(st.lists(_pieces, max_size=8))
def test_what_was_scrubbed_once_is_not_changed_again(pieces):
    once = scrub("".join(pieces).encode(errors="replace"))

    assert scrub(once.body) == (once.body, {})


_MEGABYTES = 5_000_000
_HOSTILE = [
    b"-----BEGIN PRIVATE KEY-----",
    b"-----BEGIN PRIVATE KEY-----\nAAAAAAAAAAAAAAAAAAAAAAAA\n",
    b"-----BEGIN ",
    b"sk-" + b"a" * 19 + b" ",
    b"a://b:c",
    b"a://b:1@",
    b"a://" + b"b" * 1000,
    b"eyJ",
    b"eyJaaaaaaaaaaa.",
    b"eyJaaaaaaaaaaa.aaaaaaaaaaa.aaaaaaaa ",
    b'"password":"',
    b"'password':'a1b2",
    b";password=",
    b"host=a ",
    b"TOKEN=",
    b"api_secret_password_token",
    b"bearer ",
    b"SG.aaaaaaaaaaaaaaaa",
    b"\\\\\\",
    b"a",
]


@pytest.mark.parametrize("piece", _HOSTILE, ids=range(len(_HOSTILE)))
def test_no_text_takes_much_longer_than_its_length(piece):
    small = min(_seconds(piece * (_MEGABYTES // 8 // len(piece))) for _ in range(3))
    large = _seconds(piece * (_MEGABYTES // len(piece)))

    # Eight times as much text. A pattern that goes back over it would take 64 times as long.
    assert large < 24 * max(small, 0.005)


def _seconds(text: bytes) -> float:
    """Of this process, which other processes on the machine hardly touch."""
    begun = time.process_time()
    scrub(text)
    return time.process_time() - begun


def test_what_follows_one_secret_may_come_before_the_next():
    text = "Password=" + "7a" * 6 + ";AccountKey=" + "7a" * 20 + ";Pwd=" + "7b" * 6 + ";Server=x"
    gone = mark("connection_password").decode()

    body, counts = scrub(text.encode())

    assert body.decode() == f"Password={gone};AccountKey={gone};Pwd={gone};Server=x"
    assert counts == {"connection_password": 3}
