from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditvault.core.tlog.canonical import canonical_bytes
from auditvault.core.tlog.entry import (
    MAX_ENTRY_SIZE,
    MAX_INDEX,
    ZERO_HASH,
    Entry,
    EntryError,
    EntryTemplate,
    leaf_hash,
    read_fields,
)

ENTRY = Entry(
    log="log.example/eu/0f8fad5b",
    index=1,
    prev=b"\x01" * 32,
    recorded_at="2026-11-23T10:00:00.000000Z",
    type="interaction.recorded",
    src="otlp:demo",
    commitment=b"\xab" * 32,
)

hashes = st.binary(min_size=32, max_size=32).filter(lambda value: value != ZERO_HASH)
times = st.datetimes(min_value=datetime(1, 1, 1)).map(  # noqa: DTZ001  # made UTC below
    lambda at: at.replace(tzinfo=UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ").rjust(27, "0")
)
entries = st.builds(
    Entry,
    log=st.from_regex(r"[A-Za-z0-9._:/-]{1,255}", fullmatch=True),
    index=st.integers(1, MAX_INDEX),
    prev=hashes,
    recorded_at=times,
    type=st.from_regex(r"[a-z_]+(\.[a-z_]+)*", fullmatch=True).filter(lambda t: len(t) <= 64),
    src=st.from_regex(r"[A-Za-z0-9._:/-]{1,128}", fullmatch=True),
    commitment=hashes,
)


def _with(**changes: object) -> bytes:
    """Return canonical bytes of ENTRY's members with changes; None takes a member away."""
    members = {**json.loads(ENTRY.to_bytes()), **changes}
    return canonical_bytes({key: value for key, value in members.items() if value is not None})


@given(entries)
def test_an_entry_comes_back_from_its_bytes(entry: Entry) -> None:
    data = entry.to_bytes()

    assert Entry.from_bytes(data) == entry
    assert len(data) < MAX_ENTRY_SIZE


def _read_as_json(data: bytes) -> Entry | None:
    """The obvious reader: parse, compare the keys, make an entry, write it again."""
    try:
        members = json.loads(data)
        entry = Entry(
            log=members["log"],
            index=int(members["i"]),
            prev=bytes.fromhex(members["prev"]),
            recorded_at=members["t"],
            type=members["type"],
            src=members["src"],
            commitment=bytes.fromhex(members["c"]),
        )
        return entry if entry.to_bytes() == data else None
    except (EntryError, ValueError, KeyError, TypeError):
        return None


def _read(data: bytes) -> Entry | None:
    try:
        return Entry(**dataclasses.asdict(read_fields(data)))
    except EntryError:
        return None


@given(entries, st.data())
def test_a_changed_byte_is_read_as_the_obvious_reader_reads_it(
    entry: Entry, data: st.DataObject
) -> None:
    written = bytearray(entry.to_bytes())
    at = data.draw(st.integers(0, len(written) - 1))
    written[at] = data.draw(st.sampled_from(b'09afgzAZ._:/-T"\\{},\n\x00\xff'))

    assert _read(bytes(written)) == _read_as_json(bytes(written))


@given(entries)
def test_the_template_writes_the_same_bytes(entry: Entry) -> None:
    rendered = EntryTemplate(entry.log).render(
        entry.index,
        entry.prev.hex(),
        entry.recorded_at,
        entry.type,
        entry.src,
        entry.commitment.hex(),
    )

    assert rendered == entry.to_bytes()


def test_the_template_writes_the_same_bytes_the_second_time() -> None:
    template = EntryTemplate(ENTRY.log)
    values = ("01" * 32, ENTRY.recorded_at, ENTRY.type, ENTRY.src, "ab" * 32)
    template.render(0, *values)

    assert template.render(1, *values) == ENTRY.to_bytes()


def test_the_template_stays_right_after_more_sources_than_it_remembers() -> None:
    template = EntryTemplate(ENTRY.log)
    values = ("01" * 32, ENTRY.recorded_at, ENTRY.type)

    rendered = [template.render(1, *values, f"otlp:{n}", "ab" * 32) for n in range(3000)]

    assert [Entry.from_bytes(data).src for data in rendered] == [f"otlp:{n}" for n in range(3000)]


@pytest.mark.parametrize(
    ("entry_type", "src"),
    [('a","x":"', "otlp"), ("interaction", 'a","x":"'), ("", "otlp"), ("interaction", "")],
)
def test_the_template_refuses_a_type_or_source_that_would_break_out(
    entry_type: str, src: str
) -> None:
    template = EntryTemplate(ENTRY.log)

    with pytest.raises(EntryError):
        template.render(1, "01" * 32, ENTRY.recorded_at, entry_type, src, "ab" * 32)


def test_the_template_refuses_a_log_that_is_not_an_origin() -> None:
    with pytest.raises(EntryError):
        EntryTemplate('a"b')


def test_the_first_entry_has_a_zero_prev() -> None:
    entry = dataclasses.replace(ENTRY, index=0, prev=ZERO_HASH)

    assert Entry.from_bytes(entry.to_bytes()) == entry


def test_a_leaf_hash_is_domain_separated() -> None:
    empty_leaf = "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"

    assert leaf_hash(b"").hex() == empty_leaf


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(_with(x="1"), id="an unknown key"),
        pytest.param(_with(src=None), id="a missing key"),
        pytest.param(_with(v="auditvault/entry/2"), id="another version"),
        pytest.param(_with(i=1), id="an index that is a number"),
        pytest.param(_with(i="01"), id="leading zeros"),
        pytest.param(_with(i="+1"), id="a plus sign"),
        pytest.param(_with(i="-1"), id="a negative index"),
        pytest.param(_with(i=""), id="an empty index"),
        pytest.param(_with(i="\u0661"), id="a digit that is not ASCII"),
        pytest.param(_with(i="1\n"), id="an index with a newline"),
        pytest.param(_with(i=str(MAX_INDEX + 1)), id="an index beyond the end"),
        pytest.param(_with(i="0"), id="an index of 0 after another entry"),
        pytest.param(_with(prev="0" * 64), id="a zero prev after the first entry"),
        pytest.param(_with(c="AB" * 32), id="upper-case hex"),
        pytest.param(_with(c="ab" * 31), id="a short hash"),
        pytest.param(_with(c="ab" * 33), id="a long hash"),
        pytest.param(_with(prev="zz" * 32), id="a prev that is not hex"),
        pytest.param(_with(t="2026-11-23T10:00:00Z"), id="no fraction"),
        pytest.param(_with(t="2026-11-23T10:00:00.000Z"), id="a short fraction"),
        pytest.param(_with(t="2026-11-23T10:00:00.000000+00:00"), id="an offset"),
        pytest.param(_with(t="2026-11-23 10:00:00.000000Z"), id="a space for T"),
        pytest.param(_with(t="2026-02-30T10:00:00.000000Z"), id="a day that does not exist"),
        pytest.param(_with(t="2026-11-23T24:00:00.000000Z"), id="an hour that does not exist"),
        pytest.param(_with(t="2026-11-23T10:00:60.000000Z"), id="a leap second"),
        pytest.param(_with(t="0000-11-23T10:00:00.000000Z"), id="the year 0"),
        pytest.param(_with(type="Interaction"), id="an upper-case type"),
        pytest.param(_with(type="a..b"), id="an empty word in the type"),
        pytest.param(_with(type="a" * 65), id="a long type"),
        pytest.param(_with(type="a\n"), id="a type with a newline"),
        pytest.param(_with(src="a b"), id="a space in the source"),
        pytest.param(_with(src="a" * 129), id="a long source"),
        pytest.param(_with(log=""), id="an empty log"),
        pytest.param(_with(log="a+b"), id="a plus in the log"),
        pytest.param(_with(log="a" * 256), id="a long log"),
        pytest.param(ENTRY.to_bytes() + b"\n", id="a final newline"),
        pytest.param(ENTRY.to_bytes().replace(b",", b", ", 1), id="white space"),
        pytest.param(ENTRY.to_bytes().replace(b'"otlp:demo"', b'"otlp\\u003ademo"'), id="escape"),
        pytest.param(b'{"c":"x",' + ENTRY.to_bytes()[1:], id="a repeated key"),
        pytest.param(b"[" + ENTRY.to_bytes() + b"]", id="an array"),
        pytest.param(b"", id="nothing"),
        pytest.param(b'"' + b"a" * MAX_ENTRY_SIZE + b'"', id="too long"),
    ],
)
def test_bytes_that_are_not_an_entry_to_the_letter_are_refused(data: bytes) -> None:
    with pytest.raises(EntryError) as caught:
        Entry.from_bytes(data)

    assert caught.value.code == "entry_malformed"


@pytest.mark.parametrize(
    "changes",
    [
        {"index": -1},
        {"index": True},
        {"index": MAX_INDEX + 1},
        {"prev": b"\x01" * 31},
        {"prev": ZERO_HASH},
        {"index": 0},
        {"commitment": b""},
        {"log": "with space"},
        {"recorded_at": "now"},
        {"type": ""},
        {"src": "ü"},
    ],
    ids=repr,
)
def test_an_entry_cannot_be_made_with_a_value_outside_its_rule(changes: dict[str, object]) -> None:
    with pytest.raises(EntryError):
        dataclasses.replace(ENTRY, **changes)  # type: ignore[arg-type]
