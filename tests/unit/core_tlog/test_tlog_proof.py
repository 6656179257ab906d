from __future__ import annotations

import base64
import dataclasses
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditvault.core.tlog.bundle import Bundle
from auditvault.core.tlog.bundle_proofs import entry_proof
from auditvault.core.tlog.merkle import ProofError, ProofIndexError
from auditvault.core.tlog.tlog_proof import TlogProof, TlogProofError
from tests.reference import bundles, receipts
from tests.reference import merkle_oracle as oracle
from tests.reference.bundle_steps import LEAVES, LOG, MADE, VERIFIER

SIZE = 11
ENTRIES = receipts.entries(SIZE)
SMALL = [receipts.leaf(data) for data in ENTRIES]
NOTE = receipts.note(oracle.tree_hash(SMALL), size=SIZE)


def proof(index: int = 6) -> TlogProof:
    return TlogProof(
        index=index,
        hashes=tuple(oracle.inclusion_path(index, SMALL)),
        checkpoint=NOTE,
        entry=ENTRIES[index],
    )


def check(found: TlogProof, entry: bytes | None = None) -> None:
    checkpoint = found.check_checkpoint(origin=receipts.ORIGIN, verifiers=[VERIFIER])
    found.check_inclusion(entry or found.entry or b"", checkpoint)


def test_the_text_is_the_specifications() -> None:
    """c2sp.org/tlog-proof, section Format, written by hand."""
    lines = [
        "c2sp.org/tlog-proof@v1",
        f"extra {base64.b64encode(ENTRIES[6]).decode()}",
        "index 6",
        *[base64.b64encode(node).decode() for node in oracle.inclusion_path(6, SMALL)],
    ]
    assert proof().to_text() == "\n".join(lines) + "\n\n" + NOTE


@pytest.mark.parametrize("index", range(SIZE))
def test_every_entrys_proof_is_read_back_and_holds(index: int) -> None:
    read = TlogProof.parse(proof(index).to_text())
    assert read == proof(index)
    check(read)


def test_a_proof_without_its_entry_is_read_too() -> None:
    bare = dataclasses.replace(proof(), entry=None)
    assert TlogProof.parse(bare.to_text()) == bare
    check(bare, ENTRIES[6])


def test_a_proof_of_a_log_of_one_entry_has_no_hashes() -> None:
    root = oracle.tree_hash(SMALL[:1])
    alone = TlogProof(index=0, hashes=(), checkpoint=receipts.note(root, size=1))
    assert TlogProof.parse(alone.to_text()) == alone
    check(alone, ENTRIES[0])


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("@v1", "@v2"),
        lambda text: "\n" + text,
        lambda text: text.replace("\n\n", "\n", 1),
        lambda text: text.replace("index 6", "index 06"),
        lambda text: text.replace("index 6", "index -6"),
        lambda text: text.replace("index 6", "index 6 "),
        lambda text: text.replace("index 6\n", ""),
        lambda text: text.replace("extra ", "extra  "),
        lambda text: text.replace("extra ", "Extra "),
        lambda text: text.replace("index 6", "extra AAAA\nindex 6"),
        lambda text: text.replace("index 6", "index 6\n!"),
        lambda text: text.replace("index 6", "index 6\nAAAA"),
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace("index 6", "index 6\n" + "\n".join(["A" * 43 + "="] * 64)),
        lambda text: text + " " * 1_200_000,
        lambda _: "",
        lambda _: "c2sp.org/tlog-proof@v1\n\n",
        lambda _: "c2sp.org/tlog-proof@v1\nextra \nindex 0\n\n",
    ],
)  # fmt: skip
def test_a_text_of_another_form_is_refused(change) -> None:
    with pytest.raises(TlogProofError):
        TlogProof.parse(change(proof().to_text()))


@pytest.mark.parametrize("index", [0, 5, 7, 10, 11, 2**40])
def test_an_entry_is_not_proved_at_another_index(index: int) -> None:
    with pytest.raises(ProofError):
        check(dataclasses.replace(proof(), index=index))


def test_another_entry_is_not_proved() -> None:
    with pytest.raises(ProofError):
        check(proof(), ENTRIES[5])


@given(st.integers(0, 5), st.integers(0, 255))
def test_a_flipped_bit_is_found(at: int, bit: int) -> None:
    hashes = list(proof().hashes)
    at %= len(hashes)
    hashes[at] = (int.from_bytes(hashes[at], "big") ^ 1 << bit).to_bytes(32, "big")
    with pytest.raises(ProofError):
        check(dataclasses.replace(proof(), hashes=tuple(hashes)))


OPENED = Bundle(io.BytesIO(bundles.bundle(MADE)))


@pytest.mark.parametrize("index", [200, 255, 256, 400, 511, 512, 600])
def test_a_bundle_gives_each_of_its_entries_the_proof_that_the_whole_log_gives(index: int) -> None:
    found = entry_proof(OPENED, index)
    assert found.hashes == tuple(oracle.inclusion_path(index, LEAVES))
    assert found.entry == LOG[index]
    check(found)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_bundle_gives_any_of_its_entries_its_proof(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 60))
    first = data.draw(st.integers(0, size - 1))
    end = data.draw(st.integers(first + 1, size))
    index = data.draw(st.integers(first, end - 1))
    log = receipts.entries(size)
    made = bundles.members(first=first, end=end, size=size, previous=None, headers=False, log=log)
    scope = {"first": first, "end": end, "size": size, "headers": "not_requested"}
    bundle = Bundle(io.BytesIO(bundles.bundle(made, **scope)))
    leaves = [receipts.leaf(entry) for entry in log]
    assert entry_proof(bundle, index).hashes == tuple(oracle.inclusion_path(index, leaves))


@pytest.mark.parametrize("index", [-1, 0, 199, 601, 699, 700])
def test_a_bundle_gives_no_proof_of_what_it_does_not_hold(index: int) -> None:
    with pytest.raises(ProofIndexError):
        entry_proof(OPENED, index)
