"""A ZIP file cut down until there is one file for given members, and one way to read it.

Rules kept: docs/spec/bundle.md section 1. Members are stored, not compressed, so nothing unpacks
to more than the file has; headers are rebuilt and compared, so nothing is hidden before, between
or behind members; names cannot leave a folder. Nothing is ever unpacked to a disk here. What the
members mean is left to `bundle`.
"""

from __future__ import annotations

import os
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, ClassVar

from auditvault.core.errors import AuditvaultError

MAX_MEMBERS = 16_384
MAX_MEMBER_SIZE = 64 * 2**20
"""Bytes."""
MAX_ARCHIVE_SIZE = 2**32 - 1
"""Bytes; more would need ZIP64."""
MAX_NAME_SIZE = 100

_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]*(?:/[a-z0-9][a-z0-9_.-]*)*")
_LOCAL = struct.Struct("<4sHHHHHIIIHH")
_CENTRAL = struct.Struct("<4sHHHHHHIIIHHHHHII")
_END = struct.Struct("<4sHHHHIIH")
_VERSION = 10
_MADE_BY = 3 << 8 | _VERSION  # Unix: tools that unpack then look at the attributes
_ATTRIBUTES = 0o100644 << 16  # a plain file that everybody may read
_DATE = 0x0021  # 1980-01-01, the first day there is
_BLOCK = 2**20


class ArchiveError(AuditvaultError):
    """Bytes are not an archive of this form, or values cannot be put into one."""

    code: ClassVar[str] = "archive_malformed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """Where one member stands."""

    name: str
    size: int
    """Bytes."""
    crc: int
    """CRC-32 of the content. It finds damage, not intent."""
    offset: int
    """Of its local header, from the file's first byte."""

    def local_header(self) -> bytes:
        """Return the one header that this member can have."""
        name = self.name.encode("ascii")
        fields = (_VERSION, 0, 0, 0, _DATE, self.crc, self.size, self.size, len(name), 0)
        return _LOCAL.pack(b"PK\x03\x04", *fields) + name

    def central_header(self) -> bytes:
        """Return its one entry in the central directory."""
        name = self.name.encode("ascii")
        fields = (_MADE_BY, _VERSION, 0, 0, 0, _DATE, self.crc, self.size, self.size, len(name))
        rest = (0, 0, 0, 0, _ATTRIBUTES, self.offset)
        return _CENTRAL.pack(b"PK\x01\x02", *fields, *rest) + name

    @property
    def content_offset(self) -> int:
        """Of its content, from the file's first byte."""
        return self.offset + _LOCAL.size + len(self.name)

    @property
    def end(self) -> int:
        """First byte behind its content."""
        return self.content_offset + self.size


class ArchiveWriter:
    """Writes members in ascending order of names; `close` makes the file whole."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._members: list[Member] = []
        self._end = 0

    def add(self, name: str, content: bytes) -> None:
        """Write one member; raises ArchiveError when name, order or a size breaks the rules."""
        _check_name(name)
        if self._members and name <= self._members[-1].name:
            raise ArchiveError("members are written in ascending order of names")
        if len(content) > MAX_MEMBER_SIZE:
            raise ArchiveError("a member is at most 64 MiB")
        if len(self._members) == MAX_MEMBERS:
            raise ArchiveError("an archive has at most 16,384 members")
        crc = zlib.crc32(content)
        member = Member(name=name, size=len(content), crc=crc, offset=self._end)
        if member.end > MAX_ARCHIVE_SIZE:
            raise ArchiveError("an archive is smaller than 4 GiB")
        self._file.write(member.local_header())
        self._file.write(content)
        self._members.append(member)
        self._end = member.end

    def close(self) -> None:
        """Write the central directory; raises ArchiveError without a member. The file stays open."""
        directory = b"".join(member.central_header() for member in self._members)
        if not self._members or self._end + len(directory) + _END.size > MAX_ARCHIVE_SIZE:
            raise ArchiveError("an archive has a member, and is smaller than 4 GiB")
        self._file.write(directory)
        self._file.write(_end_record(len(self._members), len(directory), self._end))


class Archive:
    """An archive in a seekable file, read member by member.

    Raises ArchiveError unless the file is one to the byte; contents are checked when they are read.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.members = {member.name: member for member in _read_directory(file)}
        for member in self.members.values():
            header = member.local_header()
            if _read_at(file, member.offset, len(header)) != header:
                raise ArchiveError("a member's header is not the one that it must have")

    def read(self, name: str) -> bytes:
        """Return a member's content, at most 64 MiB; raises ArchiveError where it is damaged."""
        return b"".join(self.blocks(name))

    def blocks(self, name: str) -> Iterator[bytes]:
        """Yield a member's content in blocks; raises ArchiveError at the end where it is damaged."""
        member = self.members[name]
        crc = 0
        for start in range(0, member.size, _BLOCK):
            length = min(_BLOCK, member.size - start)
            block = _read_at(self._file, member.content_offset + start, length)
            crc = zlib.crc32(block, crc)
            yield block
        if crc != member.crc:
            raise ArchiveError("a member is damaged")


def _read_directory(file: BinaryIO) -> list[Member]:
    file_size = file.seek(0, os.SEEK_END)
    if not _END.size <= file_size <= MAX_ARCHIVE_SIZE:
        raise ArchiveError("not the size of an archive")
    end_record = _read_at(file, file_size - _END.size, _END.size)
    _, _, _, _, count, directory_size, directory_offset, _ = _END.unpack(end_record)
    if end_record != _end_record(count, directory_size, directory_offset):
        raise ArchiveError("not an archive, or one that was cut off or added to")
    if not 1 <= count <= MAX_MEMBERS:
        raise ArchiveError("an archive has 1 to 16,384 members")
    # Both ends meet, so nothing stands before the first member or behind the directory.
    if directory_offset + directory_size + _END.size != file_size:
        raise ArchiveError("something stands before or behind the archive")
    if directory_size > count * (_CENTRAL.size + MAX_NAME_SIZE):
        raise ArchiveError("the directory is longer than it can be")
    directory = _read_at(file, directory_offset, directory_size)
    members = _parse_directory(directory, count)
    if members[-1].end != directory_offset:
        raise ArchiveError("something stands between the members and their directory")
    return members


def _parse_directory(directory: bytes, count: int) -> list[Member]:
    members: list[Member] = []
    at = offset = 0
    for _ in range(count):
        fields = directory[at : at + _CENTRAL.size]
        if len(fields) < _CENTRAL.size:
            raise ArchiveError("the directory is cut off")
        _, _, _, _, _, _, _, crc, _, size, name_size, *_rest = _CENTRAL.unpack(fields)
        name = _parse_name(directory[at + _CENTRAL.size : at + _CENTRAL.size + name_size])
        member = Member(name=name, size=size, crc=crc, offset=offset)
        header = member.central_header()
        if directory[at : at + len(header)] != header:
            raise ArchiveError("a member's entry in the directory is not the one that it must have")
        if size > MAX_MEMBER_SIZE:
            raise ArchiveError("a member is at most 64 MiB")
        if members and name <= members[-1].name:
            raise ArchiveError("members stand in ascending order of names, each once")
        members.append(member)
        at, offset = at + len(header), member.end
    if at != len(directory):
        raise ArchiveError("the directory has more than the members")
    return members


def _parse_name(data: bytes) -> str:
    try:
        name = data.decode("ascii")
    except UnicodeDecodeError:
        raise ArchiveError("a member's name is ASCII") from None
    _check_name(name)
    return name


def _check_name(name: str) -> None:
    if len(name) > MAX_NAME_SIZE or not _NAME.fullmatch(name):
        raise ArchiveError("a member's name is not one that it may have")


def _end_record(count: int, directory_size: int, directory_offset: int) -> bytes:
    return _END.pack(b"PK\x05\x06", 0, 0, count, count, directory_size, directory_offset, 0)


def _read_at(file: BinaryIO, offset: int, length: int) -> bytes:
    file.seek(offset)
    data = file.read(length)
    if len(data) != length:
        raise ArchiveError("the file is shorter than its directory says")
    return data
