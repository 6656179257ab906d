"""Where a log in the layout of C2SP tlog-tiles is read from: a URL, or a directory.

Rules kept: docs/spec/checkpoint.md section 4. Every read names how long the answer may be, packed
and unpacked. A redirect is refused: it could take a token to somebody else. What was read is left
to `following` to believe.
"""

from __future__ import annotations

import http.client
import ipaddress
import os
import zlib
from contextlib import suppress
from pathlib import Path
from typing import ClassVar, Protocol
from urllib.parse import urlsplit

from auditvault.core.errors import AuditvaultError
from auditvault.core.tlog.copy_names import CHECKPOINTS, CopiedName, CopyNameError

_TIMEOUT_SECONDS = 60
_GZIP = 16 + zlib.MAX_WBITS
_PRINTABLE = range(0x21, 0x7F)


class SourceError(AuditvaultError):
    """Something could not be had. Nothing is said about the log."""

    code: ClassVar[str] = "source_unavailable"


class SourceMissingError(SourceError):
    """There is nothing under that name."""


class SourceContentError(AuditvaultError):
    """What was given out is longer than it can be, or packed wrongly."""

    code: ClassVar[str] = "source_malformed"


class Source(Protocol):
    """Gives the bytes under a path of C2SP tlog-tiles."""

    def read(self, path: str, limit: int) -> bytes:
        """Return at most `limit` bytes; raises SourceError, SourceContentError."""
        ...


class DirectorySource:
    """A log's files below a directory.

    In a write-once copy (docs/spec/copies.md), which has no file `checkpoint`, that is the newest under `checkpoints`.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def read(self, path: str, limit: int) -> bytes:
        """Return the file's content; raises SourceError, SourceContentError, CopyNameError."""
        try:
            return self._read(path, limit)
        except SourceMissingError:
            newest = self._newest_copied() if path == "checkpoint" else None
            if newest is None:
                raise
        note = self._read(f"{CHECKPOINTS}/{newest}", limit)
        newest.check(note)
        return note

    def _newest_copied(self) -> CopiedName | None:
        newest = None
        with suppress(OSError):
            for found in os.scandir(self._directory / CHECKPOINTS):
                with suppress(CopyNameError):
                    name = CopiedName.parse(found.name)
                    newest = max(newest or name, name)
        return newest

    def _read(self, path: str, limit: int) -> bytes:
        try:
            with (self._directory / path).open("rb") as file:
                data = file.read(limit + 1)
        except (FileNotFoundError, NotADirectoryError):
            raise SourceMissingError(f"{path} is not there") from None
        except OSError as error:
            reason = error.strerror or "it cannot be read"
            raise SourceError(f"{path} cannot be read: {reason}") from error
        if len(data) > limit:
            raise SourceContentError(f"{path} is longer than it can be")
        return data


class HttpSource:
    """A log behind a URL, which is the prefix that `checkpoint` and `tile/…` follow.

    Raises SourceError when the URL is none, or when a token would leave the machine unencrypted.
    """

    def __init__(self, url: str, token: str | None = None) -> None:
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            raise SourceError("the URL is none") from None
        if parts.scheme not in {"http", "https"} or not host or parts.query or parts.fragment:
            raise SourceError("a log's URL is http(s)://host/path")
        if parts.username is not None or any(ord(letter) not in _PRINTABLE for letter in url):
            raise SourceError("a log's URL is ASCII, and has no user in it")
        if token and parts.scheme == "http" and not _is_loopback(host):
            raise SourceError("a token is sent over https, or to this machine")
        encrypted = parts.scheme == "https"
        kind = http.client.HTTPSConnection if encrypted else http.client.HTTPConnection
        self._connection = kind(host, port, timeout=_TIMEOUT_SECONDS)
        self._prefix = parts.path.rstrip("/")
        self._headers = {"Accept-Encoding": "gzip", "User-Agent": "auditvault-verify"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"

    def read(self, path: str, limit: int) -> bytes:
        """Return the body; raises SourceError, SourceContentError when it is longer."""
        try:
            return self._read(path, limit)
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            # The error's own text may quote the answer.
            raise SourceError(f"{path} could not be fetched: {type(error).__name__}") from None

    def close(self) -> None:
        """Close the connection; the next read opens it again."""
        self._connection.close()

    def _read(self, path: str, limit: int) -> bytes:
        self._connection.request("GET", f"{self._prefix}/{path}", headers=self._headers)
        answer = self._connection.getresponse()
        body = answer.read(limit + 1)
        if len(body) > limit or answer.status != http.client.OK:
            self._connection.close()  # the rest is not read
        if answer.status in {http.client.NOT_FOUND, http.client.GONE}:
            raise SourceMissingError(f"{path} was answered with {answer.status}")
        if answer.status != http.client.OK:
            raise SourceError(f"{path} was answered with {answer.status}")
        if answer.length and len(body) <= limit:  # it announced more, and ended
            self._connection.close()
            raise SourceError(f"{path} was cut off")
        if answer.getheader("Content-Encoding", "identity").lower() in {"gzip", "x-gzip"}:
            body = _unpacked(path, body, limit)
        if len(body) > limit:
            raise SourceContentError(f"{path} is longer than it can be")
        return body


def _unpacked(path: str, body: bytes, limit: int) -> bytes:
    unpacker = zlib.decompressobj(_GZIP)
    try:
        data = unpacker.decompress(body, limit + 1)
    except zlib.error:
        raise SourceContentError(f"{path} is packed wrongly") from None
    if len(data) <= limit and not unpacker.eof:
        raise SourceContentError(f"{path} is packed wrongly")
    return data


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
