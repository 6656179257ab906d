from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from auditvault.core.tlog import mldsa
from auditvault.core.tlog.checkpoint import Checkpoint, open_checkpoint
from auditvault.core.tlog.log_key import LogKey, log_verifiers
from auditvault.core.tlog.mldsa import (
    MAX_TIMESTAMP,
    MlDsaSigner,
    MlDsaUnavailableError,
    MlDsaVerifier,
    signed_message,
)
from auditvault.core.tlog.note import (
    NoteError,
    NoteSignatureError,
    NoteSigner,
    NoteUntrustedError,
    NoteVerifier,
    open_note,
    sign_note,
)

VECTORS = Path(__file__).parents[2] / "vectors"
OURS = json.loads((VECTORS / "mldsa_note.json").read_text("utf-8"))
PUBLISHED = json.loads((VECTORS / "c2sp_mldsa_log.json").read_text("utf-8"))
ED25519 = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(OURS["ed25519_seed_hex"]))
ML_DSA = MLDSA44PrivateKey.from_seed_bytes(bytes.fromhex(OURS["ml_dsa_seed_hex"]))
TEXT = OURS["text"]
CHECKPOINT = Checkpoint.parse(TEXT)
ORIGIN = CHECKPOINT.origin
TIME = OURS["timestamp"]
SIGNER = MlDsaSigner(ORIGIN, ML_DSA, timestamp=TIME)
VERIFIER = MlDsaVerifier(ORIGIN, ML_DSA.public_key().public_bytes_raw())
CLASSIC = NoteSigner(ORIGIN, ED25519)
LINE = SIGNER.signature_line(TEXT)
BLOB = base64.b64decode(LINE.split(" ")[2])
SIGNATURE = BLOB[4:]


def line(blob: bytes, name: str = ORIGIN) -> str:
    return f"\u2014 {name} {base64.b64encode(blob).decode()}\n"


@pytest.fixture
def without_mldsa(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As where `cryptography` is too old."""
    monkeypatch.setattr(mldsa, "_OFFERED", False)
    mldsa.available.cache_clear()
    yield
    mldsa.available.cache_clear()


def test_a_log_that_another_implementation_signed_opens() -> None:
    verifier = MlDsaVerifier.parse(PUBLISHED["vkey"])

    opened = [
        open_checkpoint(note, origin=verifier.name, verifiers=[verifier])
        for note in PUBLISHED["notes"]
    ]

    assert [checkpoint.size for checkpoint in opened] == [1]


def test_the_vectors_keys_and_message_come_out_byte_for_byte() -> None:
    assert VERIFIER.vkey() == OURS["ml_dsa_vkey"]
    assert CLASSIC.vkey() == OURS["ed25519_vkey"]
    message = signed_message(ORIGIN, CHECKPOINT, timestamp=TIME)
    assert message.hex() == OURS["ml_dsa_message_hex"]


def test_the_vectors_note_opens_under_both_keys_and_under_each() -> None:
    classic = CLASSIC.verifier()

    for verifiers in ([classic, VERIFIER], [classic], [VERIFIER]):
        assert open_note(OURS["note"], verifiers) == TEXT


def test_the_vectors_classic_line_comes_out_byte_for_byte() -> None:
    assert CLASSIC.signature_line(TEXT) in OURS["note"]


def test_a_note_under_two_algorithms_opens() -> None:
    note = sign_note(TEXT, [CLASSIC, SIGNER])

    assert open_note(note, [CLASSIC.verifier(), VERIFIER]) == TEXT


def test_a_signature_tells_when_it_was_made() -> None:
    assert VERIFIER.verified_time(TEXT, SIGNATURE) == TIME


@pytest.mark.parametrize("time", [0, 1, MAX_TIMESTAMP])
def test_a_time_at_the_edge_comes_back(time: int) -> None:
    blob = base64.b64decode(
        MlDsaSigner(ORIGIN, ML_DSA, timestamp=time).signature_line(TEXT).split(" ")[2]
    )

    assert VERIFIER.verified_time(TEXT, blob[4:]) == time


@pytest.mark.parametrize("time", [-1, MAX_TIMESTAMP + 1, 1.0, True])
def test_a_time_outside_its_rule_is_not_signed(time: object) -> None:
    with pytest.raises(NoteError):
        MlDsaSigner(ORIGIN, ML_DSA, timestamp=time)  # type: ignore[arg-type]


def test_a_note_holds_without_the_second_line() -> None:
    note = sign_note(TEXT, [CLASSIC])

    assert open_note(note, [CLASSIC.verifier(), VERIFIER]) == TEXT


def test_a_note_without_the_second_line_does_not_hold_for_who_trusts_only_that_key() -> None:
    with pytest.raises(NoteUntrustedError):
        open_note(sign_note(TEXT, [CLASSIC]), [VERIFIER])


def test_a_wrong_second_line_spoils_a_good_first_one() -> None:
    other = Checkpoint(origin=ORIGIN, size=3, root=CHECKPOINT.root).body()
    note = sign_note(TEXT, [CLASSIC]) + SIGNER.signature_line(other)

    with pytest.raises(NoteSignatureError):
        open_note(note, [CLASSIC.verifier(), VERIFIER])


def test_a_wrong_first_line_spoils_a_good_second_one() -> None:
    other = Checkpoint(origin=ORIGIN, size=3, root=CHECKPOINT.root).body()
    note = sign_note(TEXT, [SIGNER]) + CLASSIC.signature_line(other)

    with pytest.raises(NoteSignatureError):
        open_note(note, [CLASSIC.verifier(), VERIFIER])


def test_a_wrong_line_of_an_unknown_key_is_ignored() -> None:
    note = sign_note(TEXT, [CLASSIC]) + line(VERIFIER.key_id + bytes(2428))

    assert open_note(note, [CLASSIC.verifier()]) == TEXT


def test_two_lines_of_one_key_are_refused_though_both_verify() -> None:
    note = sign_note(TEXT, [SIGNER]) + SIGNER.signature_line(TEXT)

    with pytest.raises(NoteError) as caught:
        open_note(note, [VERIFIER])

    assert caught.value.code == "note_malformed"


@settings(max_examples=40, deadline=None)
@given(st.integers(0, len(SIGNATURE) * 8 - 1))
def test_a_flipped_bit_of_time_or_signature_is_refused(bit: int) -> None:
    changed = bytearray(SIGNATURE)
    changed[bit // 8] ^= 1 << bit % 8

    with pytest.raises(NoteSignatureError):
        VERIFIER.verify(TEXT, bytes(changed))


@pytest.mark.parametrize(
    "signature",
    [
        b"",
        SIGNATURE[:8],
        SIGNATURE[:-1],
        SIGNATURE + b"\x00",
        SIGNATURE[8:],
        b"\xff" + SIGNATURE[1:],
    ],
    ids=["empty", "time alone", "short", "long", "without time", "time too late"],
)
def test_a_signature_of_another_form_is_refused(signature: bytes) -> None:
    with pytest.raises(NoteSignatureError):
        VERIFIER.verify(TEXT, signature)


@pytest.mark.parametrize(
    "text", ["a text\n", TEXT + "extension\n", TEXT.replace("\n2\n", "\n02\n")]
)
def test_a_text_that_is_no_checkpoint_is_neither_signed_nor_verified(text: str) -> None:
    with pytest.raises(NoteError):
        SIGNER.signature_line(text)
    with pytest.raises(NoteSignatureError):
        VERIFIER.verify(text, SIGNATURE)


def test_a_signature_under_another_name_is_refused() -> None:
    other = MlDsaVerifier("log.example/eu/other", VERIFIER.public_key)

    with pytest.raises(NoteSignatureError):
        other.verify(TEXT, SIGNATURE)


def test_a_name_that_does_not_fit_its_length_is_not_signed() -> None:
    name = "a" * 256

    with pytest.raises(NoteError):
        MlDsaSigner(name, ML_DSA, timestamp=TIME).signature_line(TEXT)


@pytest.mark.parametrize("size", [0, 32, 1311, 1313])
def test_a_public_key_of_another_size_is_refused(size: int) -> None:
    with pytest.raises(NoteError):
        MlDsaVerifier(ORIGIN, bytes(size))


@pytest.mark.parametrize(
    "vkey",
    [
        OURS["ml_dsa_vkey"].replace("+", "+0", 1)[:-1],
        OURS["ml_dsa_vkey"].replace(ORIGIN, "log.example/eu/other"),
        OURS["ml_dsa_vkey"].replace("+f2929b6d+", "+f2929b6e+"),
        OURS["ml_dsa_vkey"][:-4],
        OURS["ml_dsa_vkey"] + "\n",
        OURS["ed25519_vkey"],
    ],
    ids=["key ID", "name", "another key ID", "short", "newline", "another type"],
)
def test_a_malformed_verifier_key_is_refused(vkey: str) -> None:
    with pytest.raises(NoteError):
        MlDsaVerifier.parse(vkey)


def test_a_second_line_is_one_of_an_unknown_key_where_the_algorithm_is_missing(
    without_mldsa: None,
) -> None:
    keys = [LogKey.from_vkey(OURS[name])[1] for name in ("ed25519_vkey", "ml_dsa_vkey")]
    verifiers = log_verifiers(ORIGIN, keys)

    assert [type(verifier) for verifier in verifiers] == [NoteVerifier]
    assert open_note(OURS["note"], verifiers) == TEXT


def test_a_verifier_says_that_the_algorithm_is_missing(without_mldsa: None) -> None:
    with pytest.raises(MlDsaUnavailableError) as caught:
        MlDsaVerifier(ORIGIN, VERIFIER.public_key)

    assert caught.value.code == "mldsa_unavailable"
