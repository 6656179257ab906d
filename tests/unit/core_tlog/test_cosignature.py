from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from auditvault.core.tlog.checkpoint import Checkpoint
from auditvault.core.tlog.cosignature import (
    MAX_ANSWER_SIZE,
    MAX_TIMESTAMP,
    CosignatureSigner,
    CosignatureTimeError,
    CosignatureVerifier,
    add_cosignatures,
    parse_vkey,
    read_cosignatures,
)
from auditvault.core.tlog.note import (
    MAX_SIGNATURES,
    NoteError,
    NoteSignatureError,
    NoteSigner,
    NoteUntrustedError,
    NoteVerifier,
    open_note,
    parse_note,
)
from tests.reference import witnesses

VECTORS = Path(__file__).parents[2] / "vectors"
PUBLIC = json.loads((VECTORS / "witnessed_checkpoint.json").read_text("utf-8"))
C2SP = json.loads((VECTORS / "c2sp_witness_examples.json").read_text("utf-8"))
NOTE = witnesses.note(witnesses.leaves(5))
TEXT = NOTE.rpartition("\n\n")[0] + "\n"
CHECKPOINT = Checkpoint.parse(TEXT)
SIGNER = CosignatureSigner(witnesses.WITNESS, witnesses.WITNESS_KEY)
OTHER = CosignatureSigner("other.example", Ed25519PrivateKey.from_private_bytes(bytes(32)))
KNOWN = [SIGNER.verifier(), OTHER.verifier()]
NOW = witnesses.NOW
LINE = SIGNER.signature_line(CHECKPOINT, timestamp=NOW)


def blob(line: str) -> bytes:
    return base64.b64decode(line.split(" ")[2])


def line(data: bytes, name: str = witnesses.WITNESS) -> str:
    return f"\u2014 {name} {base64.b64encode(data).decode()}\n"


def test_four_public_witnesses_cosignatures_verify() -> None:
    verifiers = [CosignatureVerifier.parse(vkey) for vkey in PUBLIC["witness_vkeys"]]

    text, cosignatures = read_cosignatures(PUBLIC["note"], verifiers)

    assert {each.verifier for each in cosignatures} == set(verifiers)
    assert {each.timestamp for each in cosignatures} == {PUBLIC["cosigned_at"]}
    assert Checkpoint.parse(text).size == 1_432_088_532


def test_a_public_log_and_its_witnesses_are_told_apart_by_type() -> None:
    text = open_note(PUBLIC["note"], [NoteVerifier.parse(PUBLIC["log_vkey"])])

    assert text.startswith("arche2025h1.staging.ct.transparency.dev\n")


def test_the_published_example_has_the_published_time() -> None:
    _, lines = parse_note(C2SP["cosigned_note"])

    time = int.from_bytes(lines[1].signature[:8], "big")

    assert (len(lines[1].signature), time) == (72, C2SP["timestamp"])


def test_a_cosignature_is_over_the_published_message() -> None:
    text = C2SP["cosigned_note"].rpartition("\n\n")[0] + "\n"
    signer = CosignatureSigner("w.example", witnesses.WITNESS_KEY)

    signed = signer.signature_line(Checkpoint.parse(text), timestamp=C2SP["timestamp"])

    public_key = witnesses.WITNESS_KEY.public_key()
    public_key.verify(blob(signed)[12:], C2SP["signed_message"].encode())


def test_a_line_is_the_definitions_to_the_letter() -> None:
    assert witnesses.cosignature(TEXT, NOW) == LINE


@given(
    st.integers(1, MAX_TIMESTAMP), st.integers(1, 2**63 - 1), st.binary(min_size=32, max_size=32)
)
def test_a_cosigned_time_comes_back(timestamp: int, size: int, root: bytes) -> None:
    checkpoint = Checkpoint(origin="log.example", size=size, root=root)
    made = SIGNER.signature_line(checkpoint, timestamp=timestamp)

    text, (cosignature,) = read_cosignatures(f"{checkpoint.body()}\n{made}", KNOWN)

    assert (text, cosignature.timestamp) == (checkpoint.body(), timestamp)
    assert cosignature.verifier is KNOWN[0]


def test_a_verifier_key_has_type_4_and_comes_back() -> None:
    name, key_id, encoded = SIGNER.vkey().split("+", 2)
    public_key = witnesses.WITNESS_KEY.public_key().public_bytes_raw()

    assert name == witnesses.WITNESS
    assert key_id == witnesses.key_id(witnesses.WITNESS, public_key).hex()
    assert base64.b64decode(encoded) == b"\x04" + public_key
    assert CosignatureVerifier.parse(SIGNER.vkey()).vkey() == SIGNER.vkey()


def test_a_verifier_is_chosen_by_its_algorithm_byte() -> None:
    log = NoteSigner("log.example", witnesses.WITNESS_KEY)

    assert type(parse_vkey(SIGNER.vkey())) is CosignatureVerifier
    assert type(parse_vkey(log.vkey())) is NoteVerifier


@pytest.mark.parametrize("algorithm", [b"", b"\x00", b"\x02", b"\x05", b"\x06", b"\xff"])
def test_a_verifier_key_of_another_algorithm_is_refused(algorithm: bytes) -> None:
    encoded = base64.b64encode(algorithm + (bytes(32) if algorithm else b"")).decode()

    with pytest.raises(NoteError, match="unknown algorithm"):
        parse_vkey(f"a.example+00000000+{encoded}")


def test_neither_kind_of_verifier_reads_the_others_key() -> None:
    with pytest.raises(NoteError):
        CosignatureVerifier.parse(NoteSigner("log.example", witnesses.WITNESS_KEY).vkey())
    with pytest.raises(NoteError):
        NoteVerifier.parse(SIGNER.vkey())


@pytest.mark.parametrize("vkey", ["", "a+b", "a+00000000+!", "\ud800+00000000+BAAA"])
def test_a_malformed_verifier_key_is_refused(vkey: str) -> None:
    with pytest.raises(NoteError):
        parse_vkey(vkey)


def test_a_key_name_that_is_no_unicode_is_refused() -> None:
    with pytest.raises(NoteError):
        CosignatureVerifier("\udcff", bytes(32))


def test_a_log_that_signs_under_a_witnesss_name_is_no_witness() -> None:
    as_log = NoteSigner(witnesses.WITNESS, witnesses.WITNESS_KEY).signature_line(TEXT)

    _, cosignatures = read_cosignatures(NOTE + as_log, KNOWN)

    assert cosignatures == []


def test_a_witness_that_cosigns_under_a_logs_name_is_no_log() -> None:
    log = NoteSigner(witnesses.ORIGIN, witnesses.WITNESS_KEY).verifier()
    as_witness = witnesses.cosignature(TEXT, NOW, name=witnesses.ORIGIN)

    with pytest.raises(NoteUntrustedError):
        open_note(f"{TEXT}\n{as_witness}", [log])


@given(st.integers(0, 72 * 8 - 1))
def test_a_flipped_bit_of_time_or_signature_is_refused(bit: int) -> None:
    data = bytearray(blob(LINE))
    data[4 + bit // 8] ^= 1 << bit % 8

    with pytest.raises(NoteSignatureError):
        read_cosignatures(NOTE + line(bytes(data)), KNOWN)


@given(st.integers(0, len(TEXT) - 2))
def test_a_cosignature_of_another_text_is_refused(place: int) -> None:
    changed = TEXT[:place] + "!" + TEXT[place + 1 :]

    with pytest.raises(NoteSignatureError):
        read_cosignatures(f"{changed}\n{LINE}", KNOWN)


@pytest.mark.parametrize("size", [1, 7, 8, 63, 64, 71, 73, 136])
def test_a_cosignature_of_another_length_is_refused(size: int) -> None:
    data = (blob(LINE) + bytes(64))[: 4 + size]

    with pytest.raises(NoteSignatureError):
        read_cosignatures(NOTE + line(data), KNOWN)


def test_a_time_beyond_63_bits_is_refused_even_when_it_is_signed() -> None:
    with pytest.raises(NoteSignatureError):
        read_cosignatures(NOTE + witnesses.cosignature(TEXT, MAX_TIMESTAMP + 1), KNOWN)


@pytest.mark.parametrize("timestamp", [0, -1, MAX_TIMESTAMP + 1, True, 1.0])
def test_a_time_that_no_cosignature_has_is_not_signed(timestamp: int) -> None:
    with pytest.raises(CosignatureTimeError):
        SIGNER.signature_line(CHECKPOINT, timestamp=timestamp)


def test_lines_of_unknown_witnesses_are_ignored_and_the_list_may_be_empty() -> None:
    stranger = CosignatureSigner(witnesses.WITNESS, Ed25519PrivateKey.generate())
    note = NOTE + stranger.signature_line(CHECKPOINT, timestamp=NOW)

    assert read_cosignatures(note, KNOWN) == (TEXT, [])


def test_a_good_log_signature_does_not_save_a_bad_line_of_a_known_witness() -> None:
    forged = line(blob(LINE)[:4] + bytes(72))

    with pytest.raises(NoteSignatureError):
        read_cosignatures(NOTE + forged, KNOWN)


def test_extension_lines_are_cosigned_with_the_text() -> None:
    text = TEXT + "an extension\n"

    _, (cosignature,) = read_cosignatures(f"{text}\n{witnesses.cosignature(text, NOW)}", KNOWN)

    assert cosignature.timestamp == NOW


# --- a witness's answer ---------------------------------------------------------------------------


def test_an_answer_is_added_to_the_note() -> None:
    witnessed = add_cosignatures(NOTE, LINE.encode(), KNOWN)

    assert witnessed == NOTE + LINE


def test_strangers_in_an_answer_are_dropped() -> None:
    answer = (C2SP["answer"] + LINE).encode()

    assert add_cosignatures(NOTE, answer, KNOWN) == NOTE + LINE


def test_strangers_in_the_note_stay() -> None:
    note = NOTE + C2SP["answer"]

    assert add_cosignatures(note, LINE.encode(), KNOWN) == note + LINE


@pytest.mark.parametrize(("held", "offered", "kept"), [(1, 2, 2), (2, 1, 2), (2, 2, 2)])
def test_of_two_lines_of_one_witness_the_newer_stays(held: int, offered: int, kept: int) -> None:
    made = {time: SIGNER.signature_line(CHECKPOINT, timestamp=time) for time in (1, 2)}

    merged = add_cosignatures(NOTE + made[held], made[offered].encode(), KNOWN)

    assert merged == NOTE + made[kept]


def test_two_witnesses_answers_stand_side_by_side() -> None:
    other = OTHER.signature_line(CHECKPOINT, timestamp=NOW)

    merged = add_cosignatures(add_cosignatures(NOTE, LINE.encode(), KNOWN), other.encode(), KNOWN)

    assert merged == NOTE + LINE + other


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        pytest.param(b"", "note_malformed", id="nothing"),
        pytest.param(b"\n", "note_malformed", id="an empty line"),
        pytest.param(LINE[:-1].encode(), "note_malformed", id="no final newline"),
        pytest.param(LINE.replace("\n", "\r\n").encode(), "note_malformed", id="CRLF"),
        pytest.param((LINE + LINE).encode(), "note_malformed", id="the line twice"),
        pytest.param(("\n" + LINE).encode(), "note_malformed", id="an empty line before it"),
        pytest.param(LINE.encode("utf-16"), "note_malformed", id="not UTF-8"),
        pytest.param(NOTE.encode(), "note_malformed", id="a whole note"),
        pytest.param(b"x" * (MAX_ANSWER_SIZE + 1), "note_malformed", id="too long"),
        pytest.param(C2SP["answer"].encode(), "note_untrusted", id="strangers only"),
        pytest.param(
            witnesses.cosignature("another\n", NOW).encode(),
            "note_signature_invalid",
            id="a known witness's line of another text",
        ),
    ],
)
def test_a_bad_answer_adds_nothing(answer: bytes, code: str) -> None:
    with pytest.raises(NoteError) as caught:
        add_cosignatures(NOTE, answer, KNOWN)

    assert caught.value.code == code


def test_an_answer_does_not_make_a_note_of_more_lines_than_it_may_have() -> None:
    lines = [line(bytes(5), name=f"w{n}.example") for n in range(MAX_SIGNATURES - 1)]

    with pytest.raises(NoteError):
        add_cosignatures(NOTE + "".join(lines), LINE.encode(), KNOWN)
