from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from auditvault.core.errors import AuditvaultError
from auditvault.core.tlog.bundle import BundleUncomparableError
from auditvault.core.tlog.bundle_manifest import BundleError, BundleMismatchError
from auditvault.core.tlog.entry_bundle import EntryBundleError
from auditvault.core.tlog.entry_chain import ChainError
from auditvault.core.tlog.merkle import ProofError, ProofRootError
from tests.reference import bundles, receipts
from tests.reference import merkle_oracle as oracle
from tests.reference.bundle_steps import LEAVES, LOG, MADE, check, checkpoint_at

ENTRIES = "bundle/records/0000000000000000256/entries"
HEADERS = "bundle/records/0000000000000000256/headers"


def with_entries(change: Callable[[list[bytes]], list[bytes]]) -> bytes:
    """The bundle, with the entries 256 to 511 changed, and sums mended."""
    return bundles.bundle({**MADE, ENTRIES: bundles.framed(change(LOG[256:512]))})


@pytest.mark.parametrize(
    "change",
    [
        lambda entries: entries[:-1],
        lambda entries: [*entries, entries[-1]],
        lambda _: [],
        lambda entries: [entries[0] + entries[1], *entries[2:]],
    ],
)
def test_another_number_of_entries_is_refused(
    change: Callable[[list[bytes]], list[bytes]],
) -> None:
    with pytest.raises(EntryBundleError):
        check(with_entries(change))


@pytest.mark.parametrize(
    "change",
    [
        lambda entries: [entries[1], entries[0], *entries[2:]],
        lambda entries: [entries[0], entries[0], *entries[2:]],
        lambda entries: entries[::-1],
    ],
)
def test_entries_in_another_order_are_refused(
    change: Callable[[list[bytes]], list[bytes]],
) -> None:
    with pytest.raises(ChainError):
        check(with_entries(change))


def test_entries_of_another_log_are_refused() -> None:
    other = [data.replace(b"0f8fad5b", b"1f8fad5b") for data in LOG[256:512]]

    with pytest.raises(ChainError, match="entry 256 is of another log"):
        check(with_entries(lambda _: other))


def test_a_whole_bundle_of_another_log_under_this_ones_name_is_refused() -> None:
    prev, other = bytes(32), []
    for index in range(bundles.SIZE):
        other.append(receipts.entry(index, prev, header=b'{"model":"another"}'))
        prev = receipts.leaf(other[-1])
    made = bundles.members(log=other)
    made["bundle/checkpoint"] = MADE["bundle/checkpoint"]

    with pytest.raises(ProofRootError):
        check(bundles.bundle(made))


def test_a_rewritten_last_entry_whose_chain_is_right_does_not_lead_to_the_root() -> None:
    last = receipts.entry(600, LEAVES[599], header=b'{"model":"another"}')
    name = "bundle/records/0000000000000000512/entries"

    with pytest.raises(ProofRootError):
        check(bundles.bundle({**MADE, name: bundles.framed([*LOG[512:600], last])}))


@pytest.mark.parametrize("change", [lambda d: d[32:], lambda d: d + bytes(32), lambda d: d + b"x"])
@pytest.mark.parametrize("name", ["bundle/proof", "bundle/consistency"])
def test_a_proof_of_another_length_is_refused(name: str, change: Callable[[bytes], bytes]) -> None:
    with pytest.raises(ProofError):
        check(bundles.bundle({**MADE, name: change(MADE[name])}))


def items(change: Callable[[list[Any]], Any]) -> bytes:
    """The bundle, with the headers 256 to 511 changed, and sums mended."""
    value = change(json.loads(MADE[HEADERS]))
    return bundles.bundle({**MADE, HEADERS: bundles.dumps(value)})


def own_headers() -> dict[str, bytes]:
    """A bundle's members in which every entry has a header and an opening of its own."""
    prev, log, found = bytes(32), [], []
    for index in range(3):
        header, opening = b'{"n":%d}' % index, bytes([index]) * 32
        commitment = receipts.commitment(header, opening)
        data = receipts.entry(index, prev).replace(
            receipts.commitment().hex().encode(), commitment.hex().encode()
        )
        prev = receipts.leaf(data)
        log.append(data)
        encoded = base64.b64encode(header).decode()
        found.append({"header": encoded, "opening": opening.hex()})
    made = bundles.members(first=0, end=3, size=3, previous=None, log=log)
    made["bundle/records/0000000000000000000/headers"] = bundles.dumps(found)
    return made


def test_every_entry_may_have_a_header_of_its_own() -> None:
    check(bundles.bundle(own_headers(), first=0, end=3, size=3))


@pytest.mark.parametrize("keys", [("opening",), ("header",), ("header", "opening")])
def test_swapped_headers_and_openings_are_refused(keys: tuple[str, ...]) -> None:
    made = own_headers()
    name = "bundle/records/0000000000000000000/headers"
    found = json.loads(made[name])
    for key in keys:
        found[1][key], found[2][key] = found[2][key], found[1][key]
    made[name] = bundles.dumps(found)

    with pytest.raises(BundleMismatchError, match="header 1: "):
        check(bundles.bundle(made, first=0, end=3, size=3))


@pytest.mark.parametrize(
    "change",
    [
        lambda found: found[1:],
        lambda found: [*found, found[0]],
        lambda _: {},
        lambda found: [{}, *found[1:]],
        lambda found: [None, *found[1:]],
        lambda found: [found[0] | {"absent": "gone"}, *found[1:]],
        lambda found: [{"header": found[0]["header"]}, *found[1:]],
        lambda found: [found[0] | {"opening": "00"}, *found[1:]],
        lambda found: [found[0] | {"opening": found[0]["opening"].upper()}, *found[1:]],
        lambda found: [found[0] | {"header": "!"}, *found[1:]],
        lambda found: [{"absent": ""}, *found[1:]],
        lambda found: [{"absent": "\x1b[31m"}, *found[1:]],
        lambda found: [{"absent": 7}, *found[1:]],
        lambda found: [found[0] | {"opening": "00" * 32}, *found[1:]],
    ],
)
def test_headers_that_are_malformed_or_do_not_open_are_refused(
    change: Callable[[list[Any]], Any],
) -> None:
    with pytest.raises(BundleError):
        check(items(change))


def test_a_header_that_is_committed_to_and_no_object_is_refused() -> None:
    log = [receipts.entry(0, bytes(32), header=b"[]")]
    made = bundles.members(first=0, end=1, size=1, previous=None, log=log)
    item = {"header": base64.b64encode(b"[]").decode(), "opening": receipts.OPENING.hex()}
    made["bundle/records/0000000000000000000/headers"] = bundles.dumps([item])

    with pytest.raises(BundleMismatchError, match="not a JSON object"):
        check(bundles.bundle(made, first=0, end=1, size=1))


@pytest.mark.parametrize("size", [bundles.PREVIOUS, 200, 256, 300, 601, 700])
def test_a_kept_checkpoint_is_compared_by_proof_within_the_range_or_at_the_same_size(
    size: int,
) -> None:
    check(bundles.bundle(MADE), kept=checkpoint_at(size))


def test_an_empty_kept_checkpoint_is_the_beginning_of_any_log() -> None:
    check(bundles.bundle(MADE), kept=checkpoint_at(0))


@pytest.mark.parametrize("size", [bundles.PREVIOUS, 200, 256, 300, 601, 700])
def test_a_kept_checkpoint_of_another_history_is_found(size: int) -> None:
    other = [receipts.leaf(b"x"), *LEAVES[1:]]

    with pytest.raises(ProofRootError):
        check(bundles.bundle(MADE), kept=checkpoint_at(size, other))


@pytest.mark.parametrize("size", [1, 149, 151, 199, 602, 699, 701])
def test_a_kept_checkpoint_without_anything_to_compare_it_with_is_neither(size: int) -> None:
    with pytest.raises(BundleUncomparableError):
        check(bundles.bundle(MADE), kept=checkpoint_at(size, [*LEAVES, LEAVES[0]]))


@pytest.mark.parametrize(
    ("note", "code"),
    [
        (receipts.note(bytes(32), size=150), "proof_root_mismatch"),
        (receipts.note(oracle.tree_hash(LEAVES[:151]), size=151), "proof_length_wrong"),
        (receipts.note(oracle.tree_hash(LEAVES[:700]), size=701), "proof_size_invalid"),
        (
            receipts.note(oracle.tree_hash(LEAVES[:150]), size=150, key=receipts.OTHER_KEY),
            "note_untrusted",
        ),
        (receipts.note(oracle.tree_hash(LEAVES[:150]), size="0150"), "checkpoint_malformed"),
    ],
)
def test_a_previous_checkpoint_that_is_not_the_logs_is_refused(note: str, code: str) -> None:
    with pytest.raises(AuditvaultError) as caught:
        check(bundles.bundle({**MADE, "bundle/previous": note.encode()}))

    assert caught.value.code == code
