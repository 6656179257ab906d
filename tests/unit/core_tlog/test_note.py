from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from auditvault.core.tlog.note import (
    MAX_SIGNATURES,
    NoteError,
    NoteSignatureError,
    NoteSigner,
    NoteUntrustedError,
    NoteVerifier,
    decode_base64,
    open_note,
    sign_note,
)

VECTOR = json.loads(
    (Path(__file__).parents[2] / "vectors" / "c2sp_spec_examples.json").read_text("utf-8")
)["signed_note"]
PRIVATE_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
SIGNER = NoteSigner(name="log.example/eu/1", private_key=PRIVATE_KEY)
OTHER = NoteSigner(name="witness.example", private_key=OTHER_KEY)
TEXT = "log.example/eu/1\n15\nAAAA\n"
NOTE = sign_note(TEXT, [SIGNER])
LINE = SIGNER.signature_line(TEXT)


def test_the_published_example_opens() -> None:
    text = open_note(VECTOR["note"], [NoteVerifier.parse(VECTOR["vkey"])])

    assert text == "This is an example message.\n"


def test_the_published_verifier_key_comes_back() -> None:
    assert NoteVerifier.parse(VECTOR["vkey"]).vkey() == VECTOR["vkey"]


def test_a_signed_note_opens_with_the_signers_verifier_key() -> None:
    assert open_note(NOTE, [NoteVerifier.parse(SIGNER.vkey())]) == TEXT


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"], include_characters="\n")))
def test_any_text_comes_back_from_its_note(text: str) -> None:
    note = sign_note(text + "\n", [SIGNER, OTHER])

    assert open_note(note, [OTHER.verifier()]) == text + "\n"


def test_one_private_key_signs_two_logs_with_two_key_ids() -> None:
    second = NoteSigner(name="log.example/eu/2", private_key=PRIVATE_KEY)

    assert second.verifier().public_key == SIGNER.verifier().public_key
    assert second.verifier().key_id != SIGNER.verifier().key_id


def test_a_line_of_an_unknown_key_is_ignored() -> None:
    note = NOTE + "— unknown.example " + base64.b64encode(bytes(68)).decode() + "\n"

    assert open_note(note, [SIGNER.verifier()]) == TEXT


def test_a_known_name_with_another_key_id_is_an_unknown_key() -> None:
    impostor = NoteSigner(name="log.example/eu/1", private_key=OTHER_KEY)

    with pytest.raises(NoteUntrustedError) as caught:
        open_note(sign_note(TEXT, [impostor]), [SIGNER.verifier()])

    assert caught.value.code == "note_untrusted"


def test_a_known_key_id_under_another_name_is_an_unknown_key() -> None:
    note = NOTE.replace("— log.example/eu/1", "— log.example/eu/2")

    with pytest.raises(NoteUntrustedError):
        open_note(note, [SIGNER.verifier()])


def test_a_note_opens_for_nobody_without_verifiers() -> None:
    with pytest.raises(NoteUntrustedError):
        open_note(NOTE, [])


def test_one_bad_signature_of_a_known_key_spoils_a_good_one() -> None:
    forged = OTHER.signature_line("another text\n")

    with pytest.raises(NoteSignatureError) as caught:
        open_note(NOTE + forged, [SIGNER.verifier(), OTHER.verifier()])

    assert caught.value.code == "note_signature_invalid"


@given(st.integers(0, len(TEXT) - 2))
def test_a_changed_text_is_refused(place: int) -> None:
    changed = NOTE[:place] + "X" + NOTE[place + 1 :]

    with pytest.raises(NoteSignatureError):
        open_note(changed, [SIGNER.verifier()])


@given(st.integers(0, 64 * 8 - 1))
def test_a_flipped_bit_of_the_signature_is_refused(bit: int) -> None:
    blob = bytearray(base64.b64decode(LINE.split(" ")[2]))
    blob[4 + bit // 8] ^= 1 << bit % 8
    note = f"{TEXT}\n— log.example/eu/1 {base64.b64encode(blob).decode()}\n"

    with pytest.raises(NoteSignatureError):
        open_note(note, [SIGNER.verifier()])


def test_a_truncated_signature_is_refused() -> None:
    blob = base64.b64decode(LINE.split(" ")[2])[:-1]
    note = f"{TEXT}\n— log.example/eu/1 {base64.b64encode(blob).decode()}\n"

    with pytest.raises(NoteSignatureError):
        open_note(note, [SIGNER.verifier()])


@pytest.mark.parametrize(
    "note",
    [
        pytest.param("", id="nothing"),
        pytest.param(TEXT, id="no signature"),
        pytest.param(TEXT + "\n", id="an empty signature block"),
        pytest.param(NOTE[:-1], id="no final newline"),
        pytest.param(NOTE + "\n", id="an extra final newline"),
        pytest.param(NOTE.replace("\n", "\r\n"), id="CRLF"),
        pytest.param(NOTE.replace("15\n", "15\r\n"), id="one carriage return"),
        pytest.param(NOTE.replace("15", "1\t5"), id="a tab"),
        pytest.param(NOTE.replace("15", "1\x005"), id="a null"),
        pytest.param(NOTE + LINE, id="the same line twice"),
        pytest.param(TEXT + LINE, id="no empty line"),
        pytest.param("\n" + LINE, id="no text"),
        pytest.param(NOTE.replace("— ", "- "), id="a hyphen"),
        pytest.param(NOTE.replace("— ", "—"), id="no space after the dash"),
        pytest.param(NOTE.replace("— log.example/eu/1 ", "— log.example/eu/1"), id="one field"),
        pytest.param(NOTE.replace("— log", "—  log"), id="two spaces"),
        pytest.param(NOTE.replace("— log.", "— log+"), id="a plus in the name"),
        pytest.param(NOTE.replace("— log.", "— log\u00a0"), id="a Unicode space in the name"),
        pytest.param(NOTE[:-1] + " \n", id="a space at the end of the line"),
        pytest.param(NOTE[:-2] + "\n", id="base64 without padding"),
        pytest.param(NOTE + "— a.example AAAA\n", id="a signature of three bytes"),
        pytest.param(NOTE + "— a.example AAAAAA==\n", id="a key ID without a signature"),
        pytest.param(NOTE + "— a.example AAAAAAA!\n", id="not base64"),
        pytest.param(NOTE + "— a.example AAAAAAB=\n", id="base64 with stray bits"),
        pytest.param(NOTE + "— a.example AAAA_AA=\n", id="URL-safe base64"),
        pytest.param(NOTE + "— a.example ÄAAAAAA=\n", id="base64 that is not ASCII"),
        pytest.param("\ud800" + NOTE, id="a lone surrogate"),
        pytest.param("a" * 1_000_000 + NOTE, id="too long"),
    ],
)
def test_a_malformed_note_is_refused(note: str) -> None:
    with pytest.raises(NoteError) as caught:
        open_note(note, [SIGNER.verifier()])

    assert caught.value.code == "note_malformed"


def test_a_note_has_at_most_a_hundred_signatures() -> None:
    signers = [NoteSigner(f"s{n}.example", PRIVATE_KEY) for n in range(MAX_SIGNATURES + 1)]
    sign_note(TEXT, signers[:-1])

    with pytest.raises(NoteError):
        sign_note(TEXT, signers)


@pytest.mark.parametrize(
    ("text", "signers"),
    [("no newline", [SIGNER]), (TEXT, []), (TEXT, [SIGNER, SIGNER]), ("a\rb\n", [SIGNER])],
)
def test_a_malformed_note_is_not_signed(text: str, signers: list[NoteSigner]) -> None:
    with pytest.raises(NoteError):
        sign_note(text, signers)


@pytest.mark.parametrize(
    "vkey",
    [
        "",
        "example.com/foo",
        "example.com/foo+530d903a",
        VECTOR["vkey"].replace("530d903a", "530d903b"),
        VECTOR["vkey"].replace("530d903a", "530D903A"),
        VECTOR["vkey"].replace("example.com/foo", "example.com/bar"),
        VECTOR["vkey"].replace("example.com/foo", ""),
        VECTOR["vkey"].replace("example.com/foo", "example com"),
        VECTOR["vkey"] + "+",
        VECTOR["vkey"] + "\n",
        "example.com/foo+530d903a+" + base64.b64encode(b"\x01" + bytes(31)).decode(),
    ],
)
def test_a_malformed_verifier_key_is_refused(vkey: str) -> None:
    with pytest.raises(NoteError):
        NoteVerifier.parse(vkey)


@pytest.mark.parametrize("algorithm", [b"", b"\x00", b"\x02", b"\x04", b"\x06", b"\xff"])
def test_a_verifier_key_of_an_unknown_algorithm_is_refused(algorithm: bytes) -> None:
    material = algorithm + (bytes(32) if algorithm else b"")

    with pytest.raises(NoteError, match="unknown algorithm"):
        NoteVerifier.parse(f"example.com/foo+530d903a+{base64.b64encode(material).decode()}")


def test_two_different_known_keys_with_one_name_and_id_are_refused() -> None:
    twin = NoteVerifier("log.example/eu/1", OTHER.verifier().public_key)
    twin.key_id = SIGNER.verifier().key_id

    with pytest.raises(NoteError):
        open_note(NOTE, [SIGNER.verifier(), twin])


def test_the_same_known_key_twice_is_one() -> None:
    assert open_note(NOTE, [SIGNER.verifier(), NoteVerifier.parse(SIGNER.vkey())]) == TEXT


@given(st.binary())
def test_base64_comes_back_from_its_one_encoding(data: bytes) -> None:
    assert decode_base64(base64.b64encode(data).decode()) == data
