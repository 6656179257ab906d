"""A prune record: read to the letter, and believed only as far as it agrees with itself."""

from __future__ import annotations

import dataclasses
import json
from hashlib import sha256

import pytest

from auditvault.core.errors import AuditvaultError
from auditvault.core.tlog.canonical import canonical_bytes
from auditvault.core.tlog.entry import ZERO_HASH, Entry, leaf_hash, read_fields
from auditvault.core.tlog.merkle import CompactRange, ProofError
from auditvault.core.tlog.prune import ENTRY_TYPE, PruneRecord, PruneRecordError
from auditvault.core.tlog.tiles import TILE_WIDTH
from tests.reference.merkle_oracle import inclusion_path, tree_hash

LOG = "log.example/eu/0f8fad5b-d9cb-469f-a165-70867728950e"
SIZE = 600


def entries(count=SIZE, log=LOG):
    made, prev = [], ZERO_HASH
    for index in range(count):
        entry = Entry(
            log=log,
            index=index,
            prev=prev,
            recorded_at=f"2025-01-01T00:{index // 60:02}:{index % 60:02}.000000Z",
            type="interaction.recorded",
            src="test",
            commitment=sha256(b"%d" % index).digest(),
        ).to_bytes()
        prev = leaf_hash(entry)
        made.append(entry)
    return made


ENTRIES = entries()
LEAVES = [leaf_hash(entry) for entry in ENTRIES]


def record(minimum=512, size=SIZE, **changes):
    tree = CompactRange()
    tree.extend(LEAVES[:minimum])
    fields = {
        "record_id": "01a20ede-3aa4-7f4d-9049-ff0a1ba958a9",
        "log": LOG,
        "recorded_at": "2026-11-24T10:00:00.000000Z",
        "policy_id": "retention-2026",
        "policy_sha256": "00" * 32,
        "previous": 0,
        "minimum": minimum,
        "root": tree.root(),
        "nodes": tree.nodes,
        "last_entry": ENTRIES[minimum - 1],
        "signed_size": size,
        "signed_root": tree_hash(LEAVES[:size]),
        "proof": tuple(inclusion_path(minimum - 1, LEAVES[:size])),
        "cutoff": "2025-11-24T10:00:00.000000Z",
        "hold_sources": (),
        "holds_blocking": 0,
    }
    return PruneRecord(**(fields | changes))


@pytest.mark.parametrize(("minimum", "size"), [(256, 256), (256, 600), (512, 512), (512, 600)])
def test_a_record_is_read_as_it_was_written_and_says_where_the_log_begins(minimum, size):
    made = record(minimum, size)
    read = PruneRecord.from_bytes(made.to_bytes())
    start = read.start()
    assert read == made
    assert (start.tree.size, start.leaf) == (minimum, LEAVES[minimum - 1])
    assert start.time == read_fields(ENTRIES[minimum - 1]).recorded_at
    start.tree.extend(LEAVES[minimum:])
    assert start.tree.root() == tree_hash(LEAVES)


@pytest.mark.parametrize(
    "change",
    [
        {"root": bytes(32)},
        {"nodes": (bytes(32),)},
        {"nodes": ()},
        {"last_entry": ENTRIES[510]},
        {"last_entry": b"{}"},
        {"last_entry": entries(512, log=LOG.replace("eu", "us"))[511]},
        {"cutoff": "2024-12-31T00:00:00.000000Z"},
        {"cutoff": "2026-11-24T10:00:00.000001Z"},
        {"proof": ()},
        {"proof": record().proof[:-1]},
        {"proof": (*record().proof, bytes(32))},
        {"proof": (bytes(32), *record().proof[1:])},
        {"signed_root": bytes(32)},
        {"minimum": 256},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_record_that_contradicts_itself_is_no_beginning(change):
    made = PruneRecord.from_bytes(dataclasses.replace(record(), **change).to_bytes())
    with pytest.raises((PruneRecordError, ProofError)):
        made.start()


@pytest.mark.parametrize(
    "change",
    [
        {"previous": 512},
        {"previous": 1},
        {"previous": -1},
        {"minimum": 511},
        {"minimum": 768},
        {"holds_blocking": 1},
        {"policy_id": "a b"},
        {"policy_sha256": "00"},
        {"record_id": "1"},
        {"cutoff": "2025-11-24"},
        {"hold_sources": ("",)},
    ],
    ids=str,
)
def test_a_value_outside_its_rule_is_not_written(change):
    with pytest.raises(PruneRecordError):
        dataclasses.replace(record(), **change).to_bytes()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("v",), "auditvault/prune/2"),
        (("more",), 1),
        (("policy", "more"), 1),
        (("last", "more"), 1),
        (("holds", "more"), 1),
        (("holds", "blocking"), False),
        (("holds", "sources"), "none"),
        (("policy",), "retention-2026"),
        (("minimum",), "512"),
        (("minimum",), True),
        (("root",), "00"),
        (("range",), ["00"]),
        (("range",), ["00" * 32] * 65),
        (("last", "entry"), "###"),
        (("last", "proof"), None),
        (("log",), 1),
    ],
    ids=str,
)
def test_what_is_no_record_is_refused(path, value):
    members = json.loads(record().to_bytes())
    place = members
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(PruneRecordError):
        PruneRecord.from_bytes(canonical_bytes(members))


@pytest.mark.parametrize("key", ["v", "log", "policy", "previous", "root", "last", "holds"])
def test_a_record_without_a_member_is_refused(key):
    members = json.loads(record().to_bytes())
    del members[key]
    with pytest.raises(PruneRecordError):
        PruneRecord.from_bytes(canonical_bytes(members))


@pytest.mark.parametrize("data", [b"", b"[]", b"{} ", b"\xff", record().to_bytes() + b"\n"])
def test_other_bytes_are_refused(data):
    with pytest.raises(PruneRecordError):
        PruneRecord.from_bytes(data)


def test_every_flipped_byte_is_another_record_or_none():
    data = record().to_bytes()
    for place in range(0, len(data), 7):
        flipped = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
        try:
            assert PruneRecord.from_bytes(flipped) != record()
        except AuditvaultError:
            continue


def place(**changes):
    entry = Entry(
        log=LOG,
        index=SIZE,
        prev=LEAVES[-1],
        recorded_at="2026-11-24T10:00:00.000001Z",
        type=ENTRY_TYPE,
        src="auditvault",
        commitment=bytes(32),
    )
    return read_fields(dataclasses.replace(entry, **changes).to_bytes())


def test_an_entry_that_came_after_what_the_record_says_can_carry_it():
    record().check_place(place())


@pytest.mark.parametrize(
    "changes",
    [
        {"type": "access.search"},
        {"log": LOG.replace("eu", "us")},
        {"index": SIZE - 1},
        {"recorded_at": "2026-11-24T09:59:59.999999Z"},
    ],
    ids=str,
)
def test_another_entry_cannot_carry_the_record(changes):
    with pytest.raises(PruneRecordError):
        record().check_place(place(**changes))


def test_the_minimum_is_whole_tiles():
    assert record().minimum % TILE_WIDTH == 0
