from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from auditvault.core.tlog.log_key import LogKey
from auditvault.core.tlog.note import NoteSigner
from auditvault.core.tlog.origin import OriginError
from auditvault.core.tlog.trust import TrustError, TrustStore

PRIVATE_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
SIGNER = NoteSigner("log.example/eu/1", PRIVATE_KEY)
ML_DSA = LogKey(
    algorithm="ml-dsa-44",
    public_key=MLDSA44PrivateKey.from_seed_bytes(bytes(32)).public_key().public_bytes_raw(),
)
ML_DSA_KEY = ML_DSA.encoded()
PUBLIC_KEY = base64.b64encode(SIGNER.verifier().public_key).decode()


def _store(*entries: object) -> TrustStore:
    return TrustStore.from_json(json.dumps({"logs": entries}))


def _by_key(*origins: object) -> TrustStore:
    return _store({"public_key": PUBLIC_KEY, "origins": origins})


def _vkeys(store: TrustStore, origin: str) -> list[str]:
    return [verifier.vkey() for verifier in store.verifiers_for(origin)]


def test_a_verifier_key_is_trusted_for_its_own_log() -> None:
    assert _vkeys(_store({"vkey": SIGNER.vkey()}), "log.example/eu/1") == [SIGNER.vkey()]


def test_a_verifier_key_is_trusted_for_no_other_log() -> None:
    assert _vkeys(_store({"vkey": SIGNER.vkey()}), "log.example/eu/2") == []


def test_a_public_key_becomes_a_verifier_named_by_the_origin() -> None:
    store = _by_key("log.example/eu/1")

    assert _vkeys(store, "log.example/eu/1") == [SIGNER.vkey()]


@pytest.mark.parametrize(
    ("pattern", "origin"),
    [
        ("log.example/eu/*", "log.example/eu/1"),
        ("log.example/eu/*", "log.example/eu/0f8fad5b-d9cb-469f-a165-70867728950e"),
        ("log.example/eu/1", "log.example/eu/1"),
        ("log.example/*", "log.example/eu"),
    ],
)
def test_a_pattern_matches(pattern: str, origin: str) -> None:
    assert len(_by_key(pattern).verifiers_for(origin)) == 1


@pytest.mark.parametrize(
    ("pattern", "origin"),
    [
        ("log.example/eu/*", "log.example/eu/"),
        ("log.example/eu/*", "log.example/eu"),
        ("log.example/eu/*", "log.example/eu/1/2"),
        ("log.example/eu/*", "log.example/us/1"),
        ("log.example/eu/*", "xlog.example/eu/1"),
        ("log.example/*", "log.example/eu/1"),
        ("log.example/eu/1", "log.example/eu/11"),
        ("log.example/eu/1", "log-example/eu/1"),
    ],
)
def test_a_pattern_does_not_match(pattern: str, origin: str) -> None:
    assert _by_key(pattern).verifiers_for(origin) == []


def test_the_same_key_given_twice_is_one_verifier() -> None:
    store = _store(
        {"vkey": SIGNER.vkey()},
        {"public_key": PUBLIC_KEY, "origins": ["log.example/eu/*", "log.example/eu/1"]},
    )

    assert _vkeys(store, "log.example/eu/1") == [SIGNER.vkey()]


def test_a_key_of_the_second_algorithm_is_trusted_beside_the_first() -> None:
    store = _store(
        {"public_key": PUBLIC_KEY, "origins": ["log.example/eu/*"], "algorithm": "ed25519"},
        {"public_key": ML_DSA_KEY, "origins": ["log.example/eu/*"], "algorithm": "ml-dsa-44"},
        {"vkey": ML_DSA.vkey("log.example/eu/2")},
    )

    assert _vkeys(store, "log.example/eu/1") == [SIGNER.vkey(), ML_DSA.vkey("log.example/eu/1")]
    assert _vkeys(store, "log.example/eu/2")[1:] == [ML_DSA.vkey("log.example/eu/2")]


def test_a_key_is_followed_in_the_logs_that_are_named_and_in_no_other() -> None:
    key = LogKey(algorithm="ed25519", public_key=SIGNER.verifier().public_key)
    follow = ["log.example/eu/2"]
    store = _store({"public_key": PUBLIC_KEY, "origins": ["log.example/eu/*"], "follow": follow})

    assert store.follows(key, "log.example/eu/2")
    assert not store.follows(key, "log.example/eu/1")
    assert not store.follows(ML_DSA, "log.example/eu/2")
    assert store.followed_in("log.example/eu") == {"log.example/eu/2"}
    assert store.followed_in("log.example/us") == set()


def test_nothing_is_followed_unless_the_file_says_so() -> None:
    key = LogKey(algorithm="ed25519", public_key=SIGNER.verifier().public_key)

    assert not _by_key("log.example/eu/*").follows(key, "log.example/eu/1")


def test_asking_for_something_that_is_not_an_origin_is_an_error() -> None:
    with pytest.raises(OriginError):
        _by_key("log.example/eu/*").verifiers_for("a b")


@pytest.mark.parametrize(
    "entry",
    [
        {},
        [],
        "vkey",
        {"vkey": 1},
        {"vkey": "nonsense"},
        {"vkey": SIGNER.vkey(), "origins": ["log.example/eu/1"]},
        {"vkey": SIGNER.vkey(), "follow": ["log.example/eu/2"]},
        {"public_key": PUBLIC_KEY, "origins": ["log.example/eu/*"], "follow": "log.example/eu/2"},
        {"public_key": PUBLIC_KEY, "origins": ["log.example/eu/*"], "follow": [1]},
        {"public_key": PUBLIC_KEY, "origins": ["log.example/eu/*"], "follow": ["a b"]},
        {"public_key": PUBLIC_KEY, "origins": ["log.example/eu/*"], "follow": ["log.example/us/2"]},
        {"public_key": PUBLIC_KEY, "origins": ["log.example/eu/*"], "follow": ["log.example/eu/*"]},
        {"vkey": NoteSigner("ümlaut", PRIVATE_KEY).vkey()},
        {"public_key": PUBLIC_KEY},
        {"public_key": PUBLIC_KEY, "origins": []},
        {"public_key": PUBLIC_KEY, "origins": "log.example/eu/1"},
        {"public_key": PUBLIC_KEY, "origins": [1]},
        {"public_key": PUBLIC_KEY, "origins": ["*"]},
        {"public_key": PUBLIC_KEY, "origins": ["/*"]},
        {"public_key": PUBLIC_KEY, "origins": ["log.example/*/1"]},
        {"public_key": PUBLIC_KEY, "origins": ["log.example/eu*"]},
        {"public_key": PUBLIC_KEY, "origins": ["log.example/*/*"]},
        {"public_key": PUBLIC_KEY, "origins": [""]},
        {"public_key": PUBLIC_KEY[:-4], "origins": ["log.example/eu/1"]},
        {"public_key": base64.b64encode(bytes(31)).decode(), "origins": ["log.example/eu/1"]},
        {"public_key": PUBLIC_KEY, "origins": ["log.example/eu/1"], "algorithm": "ml-dsa-44"},
        {"public_key": ML_DSA_KEY, "origins": ["log.example/eu/1"]},
        {"public_key": PUBLIC_KEY, "origins": ["log.example/eu/1"], "algorithm": "rsa"},
        {"public_key": PUBLIC_KEY, "origins": ["log.example/eu/1"], "algorithm": None},
        {"public_key": None, "origins": ["log.example/eu/1"]},
        {"public_key": PUBLIC_KEY, "origins": ["log.example/eu/1"], "comment": "x"},
    ],
    ids=repr,
)
def test_a_malformed_entry_is_refused(entry: Any) -> None:
    with pytest.raises(TrustError) as caught:
        _store(entry)

    assert caught.value.code == "trust_malformed"


@pytest.mark.parametrize(
    "data",
    [
        "",
        "[]",
        "{}",
        '{"logs": []}',
        '{"logs": {}}',
        '{"logs": [1.5]}',
        '{"logs": [], "logs": []}',
        '{"logs": [], "more": 1}',
        b"\xff",
        "[" * 200_000,
    ],
    ids=lambda data: repr(data[:20]),
)
def test_a_malformed_file_is_refused(data: str | bytes) -> None:
    with pytest.raises(TrustError):
        TrustStore.from_json(data)
