from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from auditvault.core.tlog.log_key import ED25519, ML_DSA_44, LogKey, LogKeyError, log_verifiers
from auditvault.core.tlog.mldsa import MlDsaVerifier
from auditvault.core.tlog.note import NoteError, NoteVerifier

VECTOR = json.loads((Path(__file__).parents[2] / "vectors" / "mldsa_note.json").read_text("utf-8"))
VKEYS = {ED25519: VECTOR["ed25519_vkey"], ML_DSA_44: VECTOR["ml_dsa_vkey"]}
KEYS = {algorithm: LogKey.from_vkey(vkey)[1] for algorithm, vkey in VKEYS.items()}
BOTH = pytest.mark.parametrize("algorithm", [ED25519, ML_DSA_44])


@BOTH
def test_a_verifier_key_comes_back_with_its_name(algorithm: str) -> None:
    name, key = LogKey.from_vkey(VKEYS[algorithm])

    assert (key.algorithm, key.vkey(name)) == (algorithm, VKEYS[algorithm])


@BOTH
def test_a_key_comes_back_from_base64(algorithm: str) -> None:
    assert LogKey.from_base64(algorithm, KEYS[algorithm].encoded()) == KEYS[algorithm]


def test_each_key_is_one_verifier_of_its_kind_under_the_name_asked_for() -> None:
    verifiers = log_verifiers("a.example", [*KEYS.values(), *KEYS.values()])

    assert [(type(verifier), verifier.name) for verifier in verifiers] == [
        (NoteVerifier, "a.example"),
        (MlDsaVerifier, "a.example"),
    ]


@pytest.mark.parametrize(
    ("algorithm", "size"),
    [(ED25519, 31), (ED25519, 1312), (ML_DSA_44, 32), (ML_DSA_44, 1313), ("rsa", 32), ("", 0)],
)
def test_a_key_of_another_algorithm_or_size_is_refused(algorithm: str, size: int) -> None:
    with pytest.raises(LogKeyError) as caught:
        LogKey(algorithm=algorithm, public_key=bytes(size))

    assert caught.value.code == "log_key_malformed"


def test_a_key_that_is_not_base64_is_refused() -> None:
    with pytest.raises(LogKeyError):
        LogKey.from_base64(ED25519, "?")


@pytest.mark.parametrize("byte", [b"", b"\x00", b"\x02", b"\x04", b"\xff"])
def test_a_verifier_key_of_another_type_is_refused(byte: bytes) -> None:
    material = base64.b64encode(byte + bytes(32) if byte else b"").decode()

    with pytest.raises(LogKeyError):
        LogKey.from_vkey(f"a.example+00000000+{material}")


@BOTH
@pytest.mark.parametrize("change", [("+", " "), ("log.", "lag."), ("+", "+00")])
def test_a_malformed_verifier_key_is_refused(algorithm: str, change: tuple[str, str]) -> None:
    with pytest.raises(NoteError):
        LogKey.from_vkey(VKEYS[algorithm].replace(*change, 1))
