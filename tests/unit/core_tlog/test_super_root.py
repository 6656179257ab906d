"""The super-root: which bytes are stamped, and that a checkpoint is under them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from auditvault.core.tlog.checkpoint import Checkpoint, CheckpointError
from auditvault.core.tlog.merkle import EMPTY_ROOT, ProofError, ProofIndexError, ProofRootError
from auditvault.core.tlog.note import NoteSigner, NoteUntrustedError, NoteVerifier, sign_note
from auditvault.core.tlog.super_root import (
    SuperRoot,
    SuperRootError,
    SuperRootTree,
    TimestampProof,
    TimestampProofError,
    checkpoint_leaf,
)
from tests.reference.merkle_oracle import inclusion_path, tree_hash

SPEC = Path(__file__).parents[3] / "docs" / "spec" / "timestamp.md"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key().public_bytes_raw()

origins = st.lists(
    st.uuids().map(lambda found: f"log.example/eu/{found}"), min_size=1, max_size=40, unique=True
)


def checkpoints_of(names: list[str]) -> list[Checkpoint]:
    return [
        Checkpoint(origin=name, size=n + 1, root=sha256(name.encode()).digest())
        for n, name in enumerate(sorted(names))
    ]


def proof_of(checkpoints: list[Checkpoint], index: int) -> TimestampProof:
    tree = SuperRootTree.over(checkpoints)
    signer = NoteSigner(checkpoints[index].origin, KEY)
    return TimestampProof(
        checkpoint=sign_note(checkpoints[index].body(), [signer]),
        index=index,
        inclusion_proof=tree.inclusion_proof(index),
        super_root=tree.super_root(),
        response=b"an answer",
    )


@given(origins)
def test_every_log_is_proved_to_be_under_the_super_root(names: list[str]) -> None:
    checkpoints = checkpoints_of(names)
    for index, checkpoint in enumerate(checkpoints):
        proof = proof_of(checkpoints, index)
        verifiers = [NoteVerifier(checkpoint.origin, PUBLIC)]
        opened = proof.check_checkpoint(origin=checkpoint.origin, verifiers=verifiers)
        assert opened == checkpoint
        assert proof.check_inclusion(opened) == proof.super_root.imprint()


@given(origins)
def test_root_and_proofs_are_those_of_the_obvious_algorithm(names: list[str]) -> None:
    checkpoints = checkpoints_of(names)
    hashes = [sha256(b"\0" + found.body().encode()).digest() for found in checkpoints]
    tree = SuperRootTree.over(checkpoints)
    assert tree.super_root().root == tree_hash(hashes)
    for index in range(len(hashes)):
        assert list(tree.inclusion_proof(index)) == inclusion_path(index, hashes)


@given(origins, st.data())
def test_no_other_checkpoint_is_under_it(names: list[str], data: st.DataObject) -> None:
    checkpoints = checkpoints_of(names)
    index = data.draw(st.integers(0, len(checkpoints) - 1))
    true = checkpoints[index]
    other = data.draw(
        st.sampled_from(
            [
                Checkpoint(origin=true.origin, size=true.size + 1, root=true.root),
                Checkpoint(origin=true.origin, size=true.size, root=bytes(32)),
                Checkpoint(origin=f"{true.origin}x", size=true.size, root=true.root),
            ]
        )
    )
    with pytest.raises(ProofRootError):
        proof_of(checkpoints, index).check_inclusion(other)


@given(origins, st.data())
def test_a_changed_proof_proves_nothing(names: list[str], data: st.DataObject) -> None:
    checkpoints = checkpoints_of(names)
    index = data.draw(st.integers(0, len(checkpoints) - 1))
    proof = proof_of(checkpoints, index)
    size, root, hashes = proof.super_root.size, proof.super_root.root, proof.inclusion_proof
    flipped = bytes([root[0] ^ 1]) + root[1:]
    changes: list[dict[str, Any]] = [
        {"inclusion_proof": (*hashes, bytes(32))},
        {"super_root": SuperRoot(size=size, root=flipped)},
        {"index": size},
    ]
    if hashes:
        changes.append({"inclusion_proof": hashes[:-1]})
        changes.append({"inclusion_proof": (bytes(32), *hashes[1:])})
    pick = data.draw(st.sampled_from(changes))
    values = {name: getattr(proof, name) for name in TimestampProof.__dataclass_fields__} | pick
    with pytest.raises(ProofError):
        TimestampProof(**values).check_inclusion(checkpoints[index])


@given(origins, st.data())
def test_a_proof_survives_its_json(names: list[str], data: st.DataObject) -> None:
    checkpoints = checkpoints_of(names)
    proof = proof_of(checkpoints, data.draw(st.integers(0, len(checkpoints) - 1)))
    assert TimestampProof.from_json(json.dumps(proof.to_dict())) == proof


@given(st.integers(1, 2**63 - 1), st.binary(min_size=32, max_size=32))
def test_a_super_root_survives_its_text(size: int, root: bytes) -> None:
    found = SuperRoot(size=size, root=root)
    assert SuperRoot.parse(found.text()) == found


@given(st.integers(1, 1000), st.integers(1, 1000), st.binary(min_size=32, max_size=32))
def test_the_imprint_binds_the_size(one: int, other: int, root: bytes) -> None:
    imprints = [SuperRoot(size=size, root=root).imprint() for size in (one, other)]
    assert (imprints[0] == imprints[1]) == (one == other)


TRUE = SuperRoot(size=3, root=bytes(range(32))).text()


@pytest.mark.parametrize(
    "text",
    [
        "",
        TRUE[:-1],
        TRUE + "\n",
        TRUE.replace("\n", "\r\n"),
        TRUE.replace("\n3\n", "\n03\n"),
        TRUE.replace("\n3\n", "\n-3\n"),
        TRUE.replace("super-root/1", "super-root/2"),
        TRUE.replace("=", ""),
        TRUE + "an extension\n",
        Checkpoint(origin="auditvault/super-root/1", size=0, root=EMPTY_ROOT).body(),
        Checkpoint(origin="log.example/eu/x", size=3, root=bytes(32)).body(),
    ],
)
def test_a_text_that_is_no_super_root_is_refused(text: str) -> None:
    with pytest.raises(SuperRootError):
        SuperRoot.parse(text)


@pytest.mark.parametrize("size", [0, -1, 2**63, True, 1.0])
def test_a_super_root_of_another_size_is_refused(size: Any) -> None:
    with pytest.raises(SuperRootError):
        SuperRoot(size=size, root=bytes(32))


@pytest.mark.parametrize("root", [b"", bytes(31), bytes(33), "x" * 32])
def test_a_root_that_is_no_hash_is_refused(root: Any) -> None:
    with pytest.raises(SuperRootError):
        SuperRoot(size=1, root=root)


def test_a_tree_without_logs_is_refused() -> None:
    with pytest.raises(SuperRootError):
        SuperRootTree.over([])


def test_leaves_that_are_no_hashes_are_refused() -> None:
    with pytest.raises(SuperRootError):
        SuperRootTree((bytes(32), bytes(31)))


@pytest.mark.parametrize(
    "arrange", [lambda two: two[::-1], lambda two: [two[0], two[0]], lambda two: [*two, two[1]]]
)
def test_checkpoints_out_of_order_or_twice_are_refused(
    arrange: Callable[[list[Checkpoint]], list[Checkpoint]],
) -> None:
    with pytest.raises(SuperRootError):
        SuperRootTree.over(arrange(checkpoints_of(["log.example/eu/a", "log.example/eu/b"])))


@pytest.mark.parametrize("index", [-1, 2, True, "0"])
def test_a_place_that_is_not_in_the_tree_has_no_proof(index: Any) -> None:
    tree = SuperRootTree.over(checkpoints_of(["log.example/eu/a", "log.example/eu/b"]))
    with pytest.raises(SuperRootError):
        tree.inclusion_proof(index)


def test_a_proof_past_the_end_is_refused() -> None:
    checkpoints = checkpoints_of(["log.example/eu/a", "log.example/eu/b"])
    members = proof_of(checkpoints, 1).to_dict() | {"index": 2}
    with pytest.raises(ProofIndexError):
        TimestampProof.from_json(json.dumps(members)).check_inclusion(checkpoints[1])


def a_proof() -> dict[str, Any]:
    return proof_of(checkpoints_of(["log.example/eu/a", "log.example/eu/b"]), 1).to_dict()


@pytest.mark.parametrize(
    "change",
    [
        {"v": "auditvault/timestamp/2"},
        {"extra": 1},
        {"index": -1},
        {"index": "1"},
        {"index": True},
        {"inclusion_proof": "00"},
        {"inclusion_proof": ["00" * 31]},
        {"inclusion_proof": ["AA" * 32]},
        {"inclusion_proof": [1]},
        {"inclusion_proof": ["00" * 32] * 65},
        {"super_root": "auditvault/super-root/1\n"},
        {"super_root": None},
        {"response": "AA"},
        {"response": None},
        {"checkpoint": None},
    ],
)
def test_a_proof_of_another_form_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(TimestampProofError):
        TimestampProof.from_json(json.dumps(a_proof() | change))


@pytest.mark.parametrize("key", sorted(a_proof()))
def test_a_proof_that_lacks_something_is_refused(key: str) -> None:
    members = a_proof()
    del members[key]
    with pytest.raises(TimestampProofError):
        TimestampProof.from_json(json.dumps(members))


def test_a_checkpoint_that_nobody_trusted_signed_is_refused() -> None:
    proof = TimestampProof.from_json(json.dumps(a_proof()))
    with pytest.raises(NoteUntrustedError):
        proof.check_checkpoint(origin="log.example/eu/b", verifiers=[])


def test_a_checkpoint_of_another_log_is_refused() -> None:
    proof = TimestampProof.from_json(json.dumps(a_proof()))
    verifiers = [NoteVerifier(name, PUBLIC) for name in ("log.example/eu/a", "log.example/eu/b")]
    with pytest.raises((NoteUntrustedError, CheckpointError)):
        proof.check_checkpoint(origin="log.example/eu/a", verifiers=verifiers)


def test_the_pages_example_is_what_the_code_computes() -> None:
    (block,) = re.findall(
        r"^```json\n(.*?)^```$", SPEC.read_text("utf-8"), re.DOTALL | re.MULTILINE
    )
    page = json.loads(block)
    checkpoints = [Checkpoint.parse(text) for text in page["checkpoints"]]
    tree = SuperRootTree.over(checkpoints)
    assert [checkpoint_leaf(found).hex() for found in checkpoints] == page["leaf_hashes_hex"]
    assert tree.super_root().text() == page["super_root"]
    assert sha256(page["super_root"].encode()).hexdigest() == page["imprint_hex"]
    assert tree.super_root().imprint().hex() == page["imprint_hex"]
    found = [value.hex() for value in tree.inclusion_proof(page["index"])]
    assert found == page["inclusion_proof"]
