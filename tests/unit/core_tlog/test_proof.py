from __future__ import annotations

import base64
import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditvault.core.errors import AuditvaultError
from auditvault.core.tlog.canonical import CanonicalFormError
from auditvault.core.tlog.checkpoint import CheckpointError
from auditvault.core.tlog.commitment import CommitmentMismatchError
from auditvault.core.tlog.entry import EntryError
from auditvault.core.tlog.merkle import ProofError
from auditvault.core.tlog.note import NoteError, NoteSignatureError, NoteUntrustedError
from auditvault.core.tlog.proof import (
    Receipt,
    ReceiptError,
    ReceiptMismatchError,
    ReceiptOpeningError,
    ReceiptPendingError,
    VerifiedReceipt,
)
from auditvault.core.tlog.trust import TrustStore
from tests.reference import merkle_oracle as oracle
from tests.reference import receipts

GOOD = receipts.receipt()
TRUST = TrustStore.from_json(receipts.dumps(receipts.trust()))
LEAVES = [receipts.leaf(data) for data in receipts.entries()]


def _verify(**changes: Any) -> VerifiedReceipt:
    receipt = Receipt.from_json(json.dumps(GOOD | changes))
    return receipt.verify(TRUST.verifiers_for(receipt.log))


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def test_a_good_receipt_is_verified() -> None:
    verified = _verify()

    assert verified.entry.index == receipts.INDEX
    assert verified.checkpoint.size == receipts.SIZE
    assert verified.header == {"model": "example-1", "status": "ok"}


@pytest.mark.parametrize("size", range(1, 20))
def test_every_receipt_of_a_small_log_is_verified(size: int) -> None:
    for index in range(size):
        receipt = Receipt.from_json(json.dumps(receipts.receipt(index, size)))
        receipt.verify(TRUST.verifiers_for(receipt.log))


def test_a_receipt_without_a_header_is_verified_without_one() -> None:
    receipt = Receipt.from_json(json.dumps(receipts.without(GOOD, "header", "opening")))

    assert receipt.verify(TRUST.verifiers_for(receipt.log)).header is None


def test_a_receipt_comes_back_from_its_dictionary() -> None:
    receipt = Receipt.from_json(json.dumps(GOOD))

    assert receipt.to_dict() == GOOD


def test_a_pending_receipt_comes_back_from_its_dictionary() -> None:
    members = receipts.without(GOOD, "header", "opening")
    pending = members | {"inclusion_proof": None, "checkpoint": None}

    assert Receipt.from_json(json.dumps(pending)).to_dict() == pending


def test_a_pending_receipt_is_not_verified() -> None:
    with pytest.raises(ReceiptPendingError) as caught:
        _verify(inclusion_proof=None, checkpoint=None)

    assert caught.value.code == "receipt_pending"


@pytest.mark.parametrize("half", ["header", "opening"])
def test_half_of_header_and_opening_is_not_verified(half: str) -> None:
    receipt = dataclasses.replace(Receipt.from_json(json.dumps(GOOD)), **{half: None})  # type: ignore[arg-type]

    with pytest.raises(ReceiptOpeningError):
        receipt.verify(TRUST.verifiers_for(receipt.log))


def test_a_receipt_is_not_verified_without_trusted_keys() -> None:
    with pytest.raises(NoteUntrustedError):
        Receipt.from_json(json.dumps(GOOD)).verify([])


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        pytest.param({"log": "log.example/eu/2"}, ReceiptMismatchError, id="another log"),
        pytest.param({"index": 5}, ReceiptMismatchError, id="another index"),
        pytest.param(
            {"entry": _b64(receipts.entries()[5])}, ReceiptMismatchError, id="another entry"
        ),
        pytest.param(
            {"entry": _b64(receipts.entries()[6] + b"\n")}, EntryError, id="an entry and more"
        ),
        pytest.param({"leaf_hash": LEAVES[5].hex()}, ReceiptMismatchError, id="another leaf"),
        pytest.param(
            {"checkpoint": receipts.note(oracle.tree_hash(LEAVES), key=receipts.OTHER_KEY)},
            NoteUntrustedError,
            id="a signature of another key",
        ),
        pytest.param(
            {"checkpoint": receipts.note(oracle.tree_hash(LEAVES), name="log.example/eu/2")},
            NoteUntrustedError,
            id="a signature under another name",
        ),
        pytest.param(
            {"checkpoint": receipts.note(oracle.tree_hash(LEAVES), origin="log.example/eu/2")},
            CheckpointError,
            id="a checkpoint of another log",
        ),
        pytest.param(
            {"checkpoint": receipts.note(oracle.tree_hash(LEAVES), size="011")},
            CheckpointError,
            id="a size with a leading zero",
        ),
        pytest.param(
            {"checkpoint": receipts.note(oracle.tree_hash(LEAVES), size=12)},
            ReceiptMismatchError,
            id="a checkpoint of another size",
        ),
        pytest.param(
            {"checkpoint": receipts.note(oracle.tree_hash(LEAVES[:10]))},
            ProofError,
            id="another root",
        ),
        pytest.param(
            {"checkpoint": GOOD["checkpoint"].replace("\n11\n", "\n12\n")},
            NoteSignatureError,
            id="a changed checkpoint",
        ),
        pytest.param({"checkpoint": GOOD["checkpoint"][:-1]}, NoteError, id="no final newline"),
        pytest.param(
            {"inclusion_proof": GOOD["inclusion_proof"] | {"hashes": []}},
            ProofError,
            id="an empty proof",
        ),
        pytest.param(
            {"inclusion_proof": GOOD["inclusion_proof"] | {"size": 10}},
            ReceiptMismatchError,
            id="a proof for another size",
        ),
        pytest.param(
            {"inclusion_proof": {"size": 0, "hashes": []}},
            ReceiptMismatchError,
            id="a proof for size zero",
        ),
        pytest.param({"opening": "00" * 32}, CommitmentMismatchError, id="another opening"),
        pytest.param({"header": _b64(b"{}")}, CommitmentMismatchError, id="another header"),
        pytest.param({"header": ""}, CommitmentMismatchError, id="an empty header"),
    ],
)
def test_a_receipt_with_a_wrong_part_is_refused(
    changes: dict[str, Any], error: type[AuditvaultError]
) -> None:
    with pytest.raises(error):
        _verify(**changes)


@pytest.mark.parametrize(
    ("header", "error"),
    [
        (b'{"b":1,"a":2}', CanonicalFormError),
        (b'{"a":1,"a":2}', CanonicalFormError),
        (b"[]", ReceiptMismatchError),
    ],
)
def test_a_committed_header_that_is_not_a_canonical_object_is_refused(
    header: bytes, error: type[AuditvaultError]
) -> None:
    receipt = Receipt.from_json(json.dumps(receipts.receipt(header=header)))

    with pytest.raises(error):
        receipt.verify(TRUST.verifiers_for(receipt.log))


@given(st.data())
def test_a_flipped_bit_anywhere_in_what_is_proved_is_refused(data: st.DataObject) -> None:
    part = data.draw(st.sampled_from(["entry", "leaf_hash", "proof", "header", "opening"]))
    receipt = Receipt.from_json(json.dumps(GOOD))

    def flip(value: bytes) -> bytes:
        bit = data.draw(st.integers(0, len(value) * 8 - 1))
        return (int.from_bytes(value, "big") ^ (1 << bit)).to_bytes(len(value), "big")

    if part == "proof":
        assert receipt.inclusion_proof is not None
        hashes = list(receipt.inclusion_proof.hashes)
        place = data.draw(st.integers(0, len(hashes) - 1))
        hashes[place] = flip(hashes[place])
        proof = dataclasses.replace(receipt.inclusion_proof, hashes=tuple(hashes))
        broken = dataclasses.replace(receipt, inclusion_proof=proof)
    else:
        changes: dict[str, Any] = {part: flip(getattr(receipt, part))}
        broken = dataclasses.replace(receipt, **changes)

    with pytest.raises(AuditvaultError):
        broken.verify(TRUST.verifiers_for(receipt.log))


@pytest.mark.parametrize(
    "changes",
    [
        {"v": "auditvault/receipt/2"},
        {"v": None},
        {"x": 1},
        {"interaction_id": "7D444840-9DC0-11D1-B245-5FFDCE74FAD2"},
        {"interaction_id": "\x1b[31m"},
        {"interaction_id": None},
        {"log": "a b"},
        {"log": 1},
        {"index": -1},
        {"index": "6"},
        {"index": True},
        {"index": 2**63},
        {"index": 10**30},
        {"index": 6.0},
        {"entry": "not base64"},
        {"entry": GOOD["entry"] + "\n"},
        {"entry": None},
        {"leaf_hash": "AB" * 32},
        {"leaf_hash": None},
        {"inclusion_proof": None},
        {"inclusion_proof": []},
        {"inclusion_proof": {"size": 11}},
        {"inclusion_proof": {"size": 11, "hashes": [], "x": 1}},
        {"inclusion_proof": {"size": "11", "hashes": []}},
        {"inclusion_proof": {"size": 11, "hashes": "00"}},
        {"inclusion_proof": {"size": 11, "hashes": [1]}},
        {"inclusion_proof": {"size": 11, "hashes": ["00" * 32] * 65}},
        {"checkpoint": None},
        {"checkpoint": 1},
        {"header": None},
        {"opening": None},
        {"opening": "00" * 31},
    ],
    ids=lambda changes: repr(changes)[:60],
)
def test_a_malformed_receipt_is_not_read(changes: dict[str, Any]) -> None:
    with pytest.raises(ReceiptError) as caught:
        Receipt.from_json(json.dumps(GOOD | changes))

    assert caught.value.code == "receipt_malformed"


@pytest.mark.parametrize("key", [key for key in GOOD if key not in {"header", "opening"}])
def test_a_receipt_without_a_required_key_is_not_read(key: str) -> None:
    with pytest.raises(ReceiptError):
        Receipt.from_json(json.dumps(receipts.without(GOOD, key)))


@pytest.mark.parametrize("data", ["", "[]", "null", b"\xff", '{"v":1,"v":1}', '{"v":1.5}', "{"])
def test_what_is_not_a_json_object_is_not_a_receipt(data: str | bytes) -> None:
    with pytest.raises(ReceiptError):
        Receipt.from_json(data)


def test_a_receipt_that_says_a_thing_twice_is_not_read() -> None:
    text = json.dumps(GOOD)[:-1] + f', "index": {receipts.INDEX}}}'

    with pytest.raises(ReceiptError, match="repeated"):
        Receipt.from_json(text)
