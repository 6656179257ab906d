from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditvault.core.tlog.entry import EntryError
from auditvault.core.tlog.entry_bundle import EntryBundleError, parse_entries, render_entries
from auditvault.core.tlog.entry_chain import ChainError, EntryChain, EntryRun
from auditvault.core.tlog.merkle import CompactRange
from tests.reference import bundles, receipts
from tests.reference import merkle_oracle as oracle

ENTRIES = receipts.entries(40)
LEAVES = [receipts.leaf(data) for data in ENTRIES]


def chain_at(index: int, **options: object) -> EntryChain:
    tree = CompactRange()
    tree.extend(LEAVES[:index])
    return EntryChain(receipts.ORIGIN, tree, **options)  # type: ignore[arg-type]


@given(st.lists(st.integers(0, 40), max_size=6), st.sets(st.integers(0, 50), max_size=6))
def test_roots_are_kept_at_every_size_asked_for_however_entries_come(
    cuts: list[int], sizes: set[int]
) -> None:
    chain, start = chain_at(0, sizes=sizes), 0
    for cut in [*sorted(cuts), 40]:
        assert chain.extend(ENTRIES[start:cut]) == LEAVES[start:cut]
        start = cut

    assert chain.roots == {size: oracle.tree_hash(LEAVES[:size]) for size in sizes if size <= 40}
    assert (chain.tree.root(), chain.prev) == (oracle.tree_hash(LEAVES), LEAVES[-1])
    assert (chain.first_time, chain.time) == (
        "2026-11-23T10:00:00.000000Z",
        "2026-11-23T10:00:00.000039Z",
    )


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (ENTRIES[8], "entry 7 has another index"),
        (receipts.entry(7, LEAVES[6], log="log.example/eu/other"), "entry 7 is of another log"),
        (receipts.entry(7, LEAVES[5]), "entry 7 does not name the entry before it"),
        (
            ENTRIES[7].replace(b"10:00:00.000007", b"09:59:59.999999"),
            "entry 7 is older than the entry before it",
        ),
    ],
)
def test_an_entry_that_does_not_follow_is_named(data: bytes, reason: str) -> None:
    chain = chain_at(5, prev=LEAVES[4])

    with pytest.raises(ChainError, match=reason):
        chain.extend([*ENTRIES[5:7], data])


def test_an_entry_that_is_none_is_named() -> None:
    with pytest.raises(EntryError, match="entry 2: "):
        chain_at(0).extend([*ENTRIES[:2], b"{}"])


def test_without_the_leaf_before_the_first_entrys_own_word_stands() -> None:
    chain = chain_at(5)

    chain.extend([receipts.entry(5, bytes([1]) * 32)])

    with pytest.raises(ChainError, match="entry 6"):
        chain.extend([ENTRIES[6]])


# --- entries that are compared and not read --------------------------------------------------------------


def verdict(cuts: list[list[bytes]]) -> tuple[str, list[bytes], str]:
    """What taking these entries, call by call, comes to: what is wrong, the leaf hashes, the last time."""
    run, leaves = EntryRun(receipts.ORIGIN, 0), []
    try:
        for entries in cuts:
            leaves += run.extend(entries)
    except (EntryError, ChainError) as error:
        return f"{error.code}: {error.message}", [], ""
    return "", leaves, run.time


@given(
    index=st.integers(1, 11),
    at=st.integers(0, 500),
    old=st.integers(0, 3),
    new=st.binary(max_size=3) | st.sampled_from([b"A", b"f", b"0", b" ", b'"', b"\\", b"\x80"]),
)
def test_an_entry_is_taken_in_a_row_if_and_only_if_it_is_taken_alone(
    index: int, at: int, old: int, new: bytes
) -> None:
    data = ENTRIES[index]
    at %= len(data)
    entries = [*ENTRIES[:index], data[:at] + new + data[at + old :], *ENTRIES[index + 1 : 12]]

    # Alone, an entry is read by its rule.
    assert verdict([entries]) == verdict([[entry] for entry in entries])


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        (receipts.commitment().hex().encode(), receipts.commitment().hex().upper().encode()),
        (b"interaction.recorded", b"interaction..recorded"),
        (b"2026-11-23T10:00:00.000007Z", b"2026-02-30T10:00:00.000007Z"),
        (b"2026-11-23T10:00:00.000007Z", b"2026-11-23T10:00:00.000006Z"),
        (b"2026-11-23T10:00:00.000007Z", b"2026-11-23T10:00:00.000005Z"),
        (b"otlp:demo", b"otlp:" + bytes([0x65]) * 200),
        (b"otlp:demo", b"another"),
        (b'"i":"7"', b'"i":"07"'),
        (b'"i":"7"', b'"i":"8"'),
        (b'{"c":', b'{ "c":'),
        (b"entry/1", b"entry/2"),
    ],
)
def test_what_alone_would_not_be_taken_is_not_taken_in_a_row_either(
    was: bytes, becomes: bytes
) -> None:
    data = ENTRIES[7].replace(was, becomes)
    assert data != ENTRIES[7]
    entries = [*ENTRIES[:7], data]

    assert verdict([entries]) == verdict([[entry] for entry in entries])


def test_entries_that_end_alike_are_taken_in_a_row() -> None:
    made, prev = [], bytes(32)
    for index in range(30):
        data = receipts.entry(index, prev).replace(b".%06dZ" % index, b".000000Z")
        made.append(data)
        prev = receipts.leaf(data)

    assert verdict([made]) == (
        "",
        [receipts.leaf(data) for data in made],
        "2026-11-23T10:00:00.000000Z",
    )


# --- entry bundles ---------------------------------------------------------------------------------------


@given(st.lists(st.binary(max_size=300), max_size=20))
def test_entries_are_framed_as_tlog_tiles_says_and_read_again(entries: list[bytes]) -> None:
    data = render_entries(entries)

    assert data == bundles.framed(entries)
    assert parse_entries(data, len(entries)) == entries


@given(st.lists(st.binary(max_size=30), min_size=1, max_size=5), st.data())
def test_a_bundle_cut_off_or_of_another_length_is_refused(
    entries: list[bytes], data: st.DataObject
) -> None:
    whole = render_entries(entries)
    length = data.draw(st.integers(0, len(whole) - 1))

    with pytest.raises(EntryBundleError):
        parse_entries(whole[:length], len(entries))
    with pytest.raises(EntryBundleError, match="more entries"):
        parse_entries(whole, len(entries) - 1)
    with pytest.raises(EntryBundleError):
        parse_entries(whole + b"\x00", len(entries))


def test_an_entry_too_long_for_its_length_is_refused() -> None:
    with pytest.raises(EntryBundleError):
        render_entries([bytes(65_536)])
