from __future__ import annotations

import io
import re
import struct
import zipfile
from collections.abc import Callable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditvault.core.tlog import archive as module
from auditvault.core.tlog.archive import Archive, ArchiveError, ArchiveWriter
from tests.reference import bundles

MEMBERS = {"a": b"first", "b/c-1.txt": b"", "b/d": bytes(range(256))}
SEGMENT = st.from_regex(r"[a-z0-9][a-z0-9_.-]{0,8}", fullmatch=True)
NAMES = st.lists(SEGMENT, min_size=1, max_size=3).map("/".join)


def written(members: Mapping[str, bytes]) -> bytes:
    file = io.BytesIO()
    writer = ArchiveWriter(file)
    for name in sorted(members):
        writer.add(name, members[name])
    writer.close()
    return file.getvalue()


def contents(data: bytes) -> dict[str, bytes]:
    """Everything in an archive, read to the end."""
    found = Archive(io.BytesIO(data))
    return {name: found.read(name) for name in found.members}


GOOD = written(MEMBERS)


@given(st.dictionaries(NAMES, st.binary(max_size=300), min_size=1, max_size=6))
def test_what_is_written_is_read_and_any_zip_tool_reads_it_too(members: dict[str, bytes]) -> None:
    data = written(members)

    assert contents(data) == members
    assert data == bundles.archive(members)
    with zipfile.ZipFile(io.BytesIO(data)) as zipped:
        assert {name: zipped.read(name) for name in zipped.namelist()} == members


@pytest.mark.parametrize("bit", range(8))
def test_every_flipped_bit_is_refused(bit: int) -> None:
    for place in range(len(GOOD)):
        broken = bytearray(GOOD)
        broken[place] ^= 1 << bit
        with pytest.raises(ArchiveError):
            contents(bytes(broken))


def test_an_archive_cut_off_anywhere_is_refused() -> None:
    for length in range(len(GOOD)):
        with pytest.raises(ArchiveError):
            contents(GOOD[:length])


def test_an_archive_without_some_bytes_in_the_middle_is_refused() -> None:
    for place in range(len(GOOD)):
        with pytest.raises(ArchiveError):
            contents(GOOD[:place] + GOOD[place + 1 :])


@pytest.mark.parametrize(
    "data",
    [
        GOOD + GOOD,
        GOOD + written({"a": b"other"}),
        b"#!" + GOOD,
        GOOD + b"\x00",
        b"",
        b"PK\x05\x06" + bytes(18),
        b"not an archive at all, and longer than an end record",
    ],
)
def test_what_is_glued_together_or_none_is_refused(data: bytes) -> None:
    with pytest.raises(ArchiveError):
        contents(data)


def zipped(change: Callable[[zipfile.ZipFile, zipfile.ZipInfo], None]) -> bytes:
    """An archive by Python's zipfile, right but for what `change` does."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        info = zipfile.ZipInfo("a", (1980, 1, 1, 0, 0, 0))
        info.create_system, info.create_version, info.extract_version = 3, 10, 10
        info.external_attr = 0o100644 << 16
        change(made, info)
    return file.getvalue()


def put(made: zipfile.ZipFile, info: zipfile.ZipInfo, name: str = "a", **fields: object) -> None:
    info.filename = name
    for field, value in fields.items():
        setattr(info, field, value)
    made.writestr(info, bytes(1000))


def test_the_changes_below_start_from_an_archive_that_is_right() -> None:
    assert contents(zipped(put)) == {"a": bytes(1000)}


@pytest.mark.parametrize(
    "name",
    [
        "../a",
        "/a",
        "a/../b",
        "a/./b",
        "a//b",
        "a/",
        "..",
        ".a",
        "a\\b",
        "C:a",
        "A",
        "a b",
        "a\n",
        "ä",
        "a" * 101,
    ],
)
def test_a_name_that_could_leave_its_folder_or_is_another_is_refused(name: str) -> None:
    with pytest.raises(ArchiveError):
        contents(zipped(lambda made, info: put(made, info, name)))
    with pytest.raises(ArchiveError):
        written({name: b""})


@pytest.mark.parametrize(
    "fields",
    [
        {"compress_type": zipfile.ZIP_DEFLATED},
        {"compress_type": zipfile.ZIP_LZMA},
        {"comment": b"x"},
        {"extra": b"\x00\x00\x00\x00"},
        {"date_time": (2026, 1, 1, 0, 0, 0)},
        {"external_attr": 0o120777 << 16},
        {"internal_attr": 1},
        {"create_system": 0},
        {"extract_version": 45},
    ],
)
def test_any_other_field_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ArchiveError):
        contents(zipped(lambda made, info: put(made, info, **fields)))


def test_a_compressed_bomb_is_refused_before_anything_is_unpacked() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("a", bytes(50_000_000))

    with pytest.raises(ArchiveError):
        Archive(file)


def test_a_comment_of_the_archive_is_refused() -> None:
    def comment(made: zipfile.ZipFile, info: zipfile.ZipInfo) -> None:
        put(made, info)
        made.comment = b"x"

    with pytest.raises(ArchiveError):
        contents(zipped(comment))


def test_members_that_share_bytes_are_refused() -> None:
    """Overlapping members are how a small archive unpacks to a huge one without compression."""
    data = written({"a": bytes(100), "b": bytes(100)})
    directory = data.index(b"PK\x01\x02")
    second = data.index(b"PK\x01\x02", directory + 4)
    broken = bytearray(data)
    broken[second + 42 : second + 46] = bytes(4)

    with pytest.raises(ArchiveError, match="entry in the directory"):
        Archive(io.BytesIO(bytes(broken)))


@pytest.mark.parametrize("order", [("b", "a"), ("a", "a")])
def test_members_out_of_order_or_twice_are_refused(order: tuple[str, str]) -> None:
    file = io.BytesIO()
    writer = ArchiveWriter(file)
    writer.add(order[0], b"")
    with pytest.raises(ArchiveError):
        writer.add(order[1], b"")

    # Two archives of one member each, put together as one: right but for the order.
    first, second = written({order[0]: b""}), written({order[1]: b""})
    local, central = first[:31], bytearray(second[31:78])
    central[42:46] = struct.pack("<I", 31)
    end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 2, 2, 94, 62, 0)
    with pytest.raises(ArchiveError, match="ascending"):
        Archive(io.BytesIO(local + second[:31] + first[31:78] + bytes(central) + end))


def test_more_members_than_there_may_be_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_MEMBERS", 2)

    with pytest.raises(ArchiveError):
        written(MEMBERS)
    with pytest.raises(ArchiveError):
        Archive(io.BytesIO(GOOD))


def test_a_member_longer_than_it_may_be_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_MEMBER_SIZE", 255)

    with pytest.raises(ArchiveError):
        written(MEMBERS)
    with pytest.raises(ArchiveError):
        Archive(io.BytesIO(GOOD))


def test_an_archive_longer_than_it_may_be_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_ARCHIVE_SIZE", len(GOOD) - 1)

    with pytest.raises(ArchiveError):
        written(MEMBERS)
    with pytest.raises(ArchiveError):
        Archive(io.BytesIO(GOOD))


def test_an_archive_without_a_member_is_refused() -> None:
    with pytest.raises(ArchiveError):
        written({})


def test_a_huge_directory_is_not_read() -> None:
    end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 1, 1, 10_000, 0, 0)

    with pytest.raises(ArchiveError, match="longer than it can be"):
        Archive(io.BytesIO(bytes(10_000) + end))


@pytest.mark.parametrize("behind_members", [True, False])
def test_bytes_hidden_before_or_in_the_directory_are_refused(behind_members: bool) -> None:
    directory = GOOD.index(b"PK\x01\x02")
    count, size, offset = struct.unpack("<HII", GOOD[-12:-2])
    members, entries, hidden = GOOD[:directory], GOOD[directory:-22], b"PK\x03\x04hidden"
    size, offset = (size, offset + len(hidden)) if behind_members else (size + len(hidden), offset)
    middle = hidden + entries if behind_members else entries + hidden
    end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, count, count, size, offset, 0)

    with pytest.raises(ArchiveError):
        contents(members + middle + end)


def test_no_message_repeats_what_stood_in_the_file() -> None:
    with pytest.raises(ArchiveError) as caught:
        contents(zipped(lambda made, info: put(made, info, "canary")).replace(b"canary", b"CANARY"))

    assert not re.search("canary", str(caught.value), re.IGNORECASE)
