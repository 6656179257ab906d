"""Recomputes every value of the worked examples in docs/spec from the code."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from auditvault.core.tlog.checkpoint import Checkpoint, NoteSigner, sign_note
from auditvault.core.tlog.commitment import content_commitment, header_commitment
from auditvault.core.tlog.entry import Entry, EntryTemplate, leaf_hash
from auditvault.core.tlog.merkle import root_of, verify_consistency, verify_inclusion
from auditvault.core.tlog.proof import Receipt
from auditvault.core.tlog.tiles import TileKey, consistency_proof, inclusion_proof
from auditvault.core.tlog.trust import TrustStore

SPEC = Path(__file__).parents[3] / "docs" / "spec"


def _example(page: str) -> dict[str, Any]:
    text = (SPEC / page).read_text("utf-8")
    (block,) = re.findall(r"^```json\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    value: dict[str, Any] = json.loads(block)
    return value


ENTRY = _example("entry.md")
CHECKPOINT = _example("checkpoint.md")
RECEIPT = _example("receipt.md")
PROOF = _example("proof.md")


def test_the_commitment_key_is_the_hash_of_its_label() -> None:
    assert hashlib.sha256(b"auditvault/commitment/1").hexdigest() == ENTRY["kc_hex"]


@pytest.mark.parametrize("index", [0, 1])
def test_the_header_message_is_opening_type_and_header(index: int) -> None:
    header, entry_type = ENTRY["headers"][index].encode(), ENTRY["type"].encode()
    message = bytes.fromhex(ENTRY["openings_hex"][index])
    message += len(entry_type).to_bytes(8, "big") + entry_type
    message += len(header).to_bytes(8, "big") + header

    assert message.hex() == ENTRY["header_message_hex"][index]


@pytest.mark.parametrize("index", [0, 1])
def test_the_header_commitments_are_the_pages(index: int) -> None:
    opening = bytes.fromhex(ENTRY["openings_hex"][index])

    commitment = header_commitment(opening, ENTRY["type"], ENTRY["headers"][index].encode())

    assert commitment.hex() == ENTRY["header_commitments_hex"][index]


def test_the_content_commitment_is_the_pages() -> None:
    content = ENTRY["content"]
    digest = hashlib.sha256(content["text"].encode()).digest()

    commitment = content_commitment(bytes.fromhex(content["opening_hex"]), content["role"], digest)

    assert commitment.hex() == content["commitment_hex"]


@pytest.mark.parametrize("index", [0, 1])
def test_the_entries_are_the_pages_to_the_byte(index: int) -> None:
    prev = "00" * 32 if index == 0 else ENTRY["leaf_hashes_hex"][index - 1]
    time = f"2026-11-23T10:00:0{index}.000000Z"
    commitment = ENTRY["header_commitments_hex"][index]
    log = Checkpoint.parse(CHECKPOINT["text"]).origin

    entry = Entry(
        log=log,
        index=index,
        prev=bytes.fromhex(prev),
        recorded_at=time,
        type=ENTRY["type"],
        src="otlp:demo",
        commitment=bytes.fromhex(commitment),
    )
    rendered = EntryTemplate(log).render(index, prev, time, ENTRY["type"], "otlp:demo", commitment)

    assert entry.to_bytes() == rendered == ENTRY["entries"][index].encode()


def test_the_leaf_hashes_and_the_root_are_the_pages() -> None:
    leaves = [leaf_hash(entry.encode()) for entry in ENTRY["entries"]]

    assert [leaf.hex() for leaf in leaves] == ENTRY["leaf_hashes_hex"]
    assert root_of(leaves).hex() == ENTRY["root_hex"]


def test_the_signed_checkpoint_is_the_pages() -> None:
    seed = bytes.fromhex(CHECKPOINT["private_seed_hex"])
    root = bytes.fromhex(ENTRY["root_hex"])
    checkpoint = Checkpoint.parse(CHECKPOINT["text"])
    signer = NoteSigner(checkpoint.origin, Ed25519PrivateKey.from_private_bytes(seed))

    note = sign_note(Checkpoint(origin=checkpoint.origin, size=2, root=root).body(), [signer])

    assert note == CHECKPOINT["note"]
    assert signer.vkey() == CHECKPOINT["vkey"]
    public_key = base64.b64encode(signer.verifier().public_key).decode()
    assert public_key == CHECKPOINT["public_key"]


def test_the_receipt_is_of_the_other_pages_log() -> None:
    receipt = Receipt.from_json(json.dumps(RECEIPT["receipt"]))

    assert receipt.entry == ENTRY["entries"][1].encode()
    assert receipt.header == ENTRY["headers"][1].encode()
    assert receipt.checkpoint == CHECKPOINT["note"]


def test_the_receipt_holds_under_the_pages_trust_file() -> None:
    receipt = Receipt.from_json(json.dumps(RECEIPT["receipt"]))
    trust = TrustStore.from_json(json.dumps(RECEIPT["trust"]))

    verified = receipt.verify(trust.verifiers_for(receipt.log))

    assert verified.header == {"model": "example-1", "status": "error"}


# --- proof.md --------------------------------------------------------------------------------------------


def _hex(values: list[bytes]) -> list[str]:
    return [value.hex() for value in values]


def _bytes(values: list[str]) -> list[bytes]:
    return [bytes.fromhex(value) for value in values]


PROOF_LEAVES = [leaf_hash(entry.encode()) for entry in PROOF["entries"]]


def _one_tile(keys: Sequence[TileKey]) -> Mapping[TileKey, bytes]:
    return {key: b"".join(PROOF_LEAVES[: key.width]) for key in keys}


def test_the_proofs_leaves_and_roots_are_the_pages() -> None:
    roots = {size: root_of(PROOF_LEAVES[: int(size)]).hex() for size in PROOF["roots_hex"]}

    assert _hex(PROOF_LEAVES) == PROOF["leaf_hashes_hex"]
    assert roots == PROOF["roots_hex"]


@pytest.mark.parametrize("example", PROOF["inclusion"], ids=lambda example: example["index"])
def test_the_inclusion_proofs_are_the_pages(example: dict[str, Any]) -> None:
    index, size = example["index"], example["size"]

    assert _hex(inclusion_proof(index, size, _one_tile)) == example["hashes"]
    verify_inclusion(
        leaf_hash=PROOF_LEAVES[index],
        index=index,
        size=size,
        proof=_bytes(example["hashes"]),
        root=bytes.fromhex(PROOF["roots_hex"][str(size)]),
    )


@pytest.mark.parametrize("example", PROOF["consistency"], ids=lambda example: example["from"])
def test_the_consistency_proofs_are_the_pages(example: dict[str, Any]) -> None:
    old, new = example["from"], example["to"]

    assert _hex(consistency_proof(old, new, _one_tile)) == example["hashes"]
    verify_consistency(
        old_size=old,
        new_size=new,
        old_root=bytes.fromhex(PROOF["roots_hex"][str(old)]),
        new_root=bytes.fromhex(PROOF["roots_hex"][str(new)]),
        proof=_bytes(example["hashes"]),
    )


def test_a_proof_for_size_four_fits_size_three_as_the_page_says() -> None:
    proof = inclusion_proof(0, 4, _one_tile)

    verify_inclusion(
        leaf_hash=PROOF_LEAVES[0], index=0, size=3, proof=proof, root=root_of(PROOF_LEAVES[:4])
    )
