from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from auditvault.core.tlog.checkpoint import (
    Checkpoint,
    CheckpointError,
    NoteSigner,
    NoteUntrustedError,
    open_checkpoint,
    sign_note,
)
from auditvault.core.tlog.merkle import EMPTY_ROOT, MAX_SIZE

PRIVATE_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
ORIGIN = "log.example/eu/1"
SIGNER = NoteSigner(ORIGIN, PRIVATE_KEY)
CHECKPOINT = Checkpoint(origin=ORIGIN, size=15, root=bytes(range(32)))
BODY = CHECKPOINT.body()
ROOT = base64.b64encode(CHECKPOINT.root).decode()


@given(
    st.builds(
        Checkpoint,
        origin=st.from_regex(r"[A-Za-z0-9._:/-]{1,255}", fullmatch=True),
        size=st.integers(1, MAX_SIZE),
        root=st.binary(min_size=32, max_size=32),
    )
)
def test_a_checkpoint_comes_back_from_its_body(checkpoint: Checkpoint) -> None:
    assert Checkpoint.parse(checkpoint.body()) == checkpoint


def test_the_body_is_three_lines() -> None:
    assert f"{ORIGIN}\n15\n{ROOT}\n" == BODY


def test_the_empty_tree_has_the_empty_root() -> None:
    checkpoint = Checkpoint(origin=ORIGIN, size=0, root=EMPTY_ROOT)

    assert Checkpoint.parse(checkpoint.body()) == checkpoint


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("", id="nothing"),
        pytest.param(BODY[:-1], id="no final newline"),
        pytest.param(BODY + "\n", id="an empty extension line"),
        pytest.param(BODY + "extension\n", id="an extension line"),
        pytest.param(BODY.replace("\n", "\r\n"), id="CRLF"),
        pytest.param(BODY.replace("15", "015"), id="a leading zero"),
        pytest.param(BODY.replace("15", "00"), id="two zeros"),
        pytest.param(BODY.replace("15", "+15"), id="a plus"),
        pytest.param(BODY.replace("15", "-15"), id="a minus"),
        pytest.param(BODY.replace("15", " 15"), id="a space"),
        pytest.param(BODY.replace("15", "1_5"), id="an underscore"),
        pytest.param(BODY.replace("15", "0xf"), id="hexadecimal"),
        pytest.param(BODY.replace("15", "\u0661\u0665"), id="digits that are not ASCII"),
        pytest.param(BODY.replace("15", ""), id="no size"),
        pytest.param(BODY.replace("15", str(MAX_SIZE + 1)), id="too big a size"),
        pytest.param(BODY.replace("15", "0"), id="size zero with a root"),
        pytest.param(BODY.replace(ROOT, ROOT[:-1]), id="no padding"),
        pytest.param(BODY.replace(ROOT, "AAAA"), id="a short root"),
        pytest.param(BODY.replace(ROOT, ROOT[:-2] + "9="), id="stray bits in the root"),
        pytest.param(BODY.replace(ROOT, CHECKPOINT.root.hex()), id="a root in hex"),
        pytest.param(BODY.replace(ORIGIN, ""), id="no origin"),
        pytest.param(BODY.replace(ORIGIN, "a b"), id="a space in the origin"),
        pytest.param(BODY.replace(ORIGIN, "a+b"), id="a plus in the origin"),
    ],
)
def test_a_body_that_is_not_a_checkpoint_is_refused(body: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        Checkpoint.parse(body)

    assert caught.value.code == "checkpoint_malformed"


def test_a_signed_checkpoint_opens() -> None:
    note = sign_note(BODY, [SIGNER])

    assert open_checkpoint(note, origin=ORIGIN, verifiers=[SIGNER.verifier()]) == CHECKPOINT


def test_a_key_of_another_log_does_not_vouch_for_this_one() -> None:
    other = NoteSigner("log.example/eu/2", PRIVATE_KEY)
    note = sign_note(BODY, [other])

    with pytest.raises(NoteUntrustedError):
        open_checkpoint(note, origin=ORIGIN, verifiers=[other.verifier()])


def test_a_checkpoint_of_another_log_is_refused_under_the_right_key() -> None:
    other = Checkpoint(origin="log.example/eu/2", size=15, root=CHECKPOINT.root)
    note = sign_note(other.body(), [SIGNER])

    with pytest.raises(CheckpointError, match="another log"):
        open_checkpoint(note, origin=ORIGIN, verifiers=[SIGNER.verifier()])


def test_a_signed_text_that_is_not_a_checkpoint_is_refused() -> None:
    note = sign_note("hello\n", [SIGNER])

    with pytest.raises(CheckpointError):
        open_checkpoint(note, origin=ORIGIN, verifiers=[SIGNER.verifier()])
