"""Follows a log over HTTP, written from C2SP tlog-tiles, tlog-checkpoint and signed-note alone.

Stands for somebody else's monitor: it shares nothing with the code under test, knows a URL prefix and a verifier key,
and believes nothing that it has not computed. Every departure from the specifications is a `Departure`.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import http.client
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

WIDTH = 256
HASH = 32


class Departure(Exception):  # noqa: N818  # it names what the log did
    """The log did something that the specifications do not allow, or contradicted itself."""


class NotServed(Departure):
    """A resource that must be there was answered with another status than 200."""


class Follower:
    """What one monitor knows of one log."""

    def __init__(self, prefix: str, vkey: str, headers: Mapping[str, str] | None = None) -> None:
        parts = urlsplit(prefix)
        assert parts.scheme == "http"
        assert parts.hostname
        self._address = (parts.hostname, parts.port or 80)
        self._path = parts.path
        self._vkey = vkey
        self._headers = {"Accept-Encoding": "gzip, identity", **(headers or {})}
        self._kept: dict[str, bytes] = {}
        self.fetched: list[str] = []
        self.size = 0
        self.root = hashlib.sha256(b"").digest()

    def update(self) -> list[bytes]:
        """Fetch the newest checkpoint and everything new under it; return the new entries, all of them proved."""
        size, root = self._checkpoint()
        if size < self.size:
            raise Departure(f"the log shrank from {self.size} to {size}")
        rows = self._tiles(size)
        leaves = rows[0] if rows else []
        if tree_hash(leaves) != root:
            raise Departure("the tiles do not have the checkpoint's root")
        if tree_hash(leaves[: self.size]) != self.root:
            raise Departure("the tree does not begin with the one of the checkpoint before")
        entries = self._entries(self.size, leaves)
        self.size, self.root = size, root
        return entries

    def _checkpoint(self) -> tuple[int, bytes]:
        body, headers = self._get("checkpoint")
        expect(headers, "content-type", "text/plain; charset=utf-8")
        if "immutable" in headers["cache-control"]:
            raise Departure("a checkpoint changes")
        return parse_checkpoint(open_note(body.decode("utf-8"), self._vkey), self._vkey)

    def _tiles(self, size: int) -> list[list[bytes]]:
        """The hashes of every level; each above the first must be the root of the full tile below it."""
        rows: list[list[bytes]] = []
        level, count = 0, size
        while count:
            row = []
            for n in range((count + WIDTH - 1) // WIDTH):
                width = min(WIDTH, count - n * WIDTH)
                data = self._immutable(f"tile/{level}/{tile_index(n, width)}")
                if len(data) != width * HASH:
                    raise Departure(f"tile {level}/{n} is {len(data)} bytes for {width} hashes")
                row += [data[start : start + HASH] for start in range(0, len(data), HASH)]
            for i, value in enumerate(row if level else []):
                if value != tree_hash(rows[level - 1][i * WIDTH : (i + 1) * WIDTH]):
                    raise Departure(f"hash {i} of level {level} is not that of the tile below")
            rows.append(row)
            level, count = level + 1, count // WIDTH
        return rows

    def _entries(self, start: int, leaves: Sequence[bytes]) -> list[bytes]:
        """The entries from `start` on, out of their bundles, each checked against its leaf."""
        found = []
        for n in range(start // WIDTH, (len(leaves) + WIDTH - 1) // WIDTH):
            width = min(WIDTH, len(leaves) - n * WIDTH)
            bundle = parse_bundle(self._immutable(f"tile/entries/{tile_index(n, width)}"))
            hashes = [hashlib.sha256(b"\x00" + entry).digest() for entry in bundle]
            if hashes != list(leaves[n * WIDTH : n * WIDTH + width]):
                raise Departure(f"bundle {n} does not hash to its tile")
            found += bundle[max(0, start - n * WIDTH) :]
        return found

    def _immutable(self, path: str) -> bytes:
        if path not in self._kept:
            body, headers = self._get(path)
            expect(headers, "content-type", "application/octet-stream")
            if "max-age=" not in headers["cache-control"]:
                raise Departure("tiles and bundles are immutable, and must say so")
            self._kept[path] = body
        return self._kept[path]

    def _get(self, path: str) -> tuple[bytes, dict[str, str]]:
        self.fetched.append(path)
        connection = http.client.HTTPConnection(*self._address, timeout=30)
        try:
            connection.request("GET", f"{self._path}/{path}", headers=self._headers)
            answer = connection.getresponse()
            body = answer.read()
        finally:
            connection.close()
        if answer.status != http.client.OK:
            raise NotServed(f"{path}: {answer.status}")
        headers = {name.lower(): value for name, value in answer.getheaders()}
        if headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        return body, headers


def expect(headers: Mapping[str, str], name: str, value: str) -> None:
    """Refuse a header with another value."""
    if headers.get(name) != value:
        raise Departure(f"{name} is {headers.get(name)!r}")


def tile_index(n: int, width: int) -> str:
    """`<N>[.p/<W>]`."""
    digits = str(n)
    digits = digits.zfill((len(digits) + 2) // 3 * 3)
    groups = [digits[start : start + 3] for start in range(0, len(digits), 3)]
    path = "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]])
    return path if width == WIDTH else f"{path}.p/{width}"


def parse_bundle(data: bytes) -> list[bytes]:
    """Entries, each behind its length as a big-endian uint16."""
    entries = []
    while data:
        length = int.from_bytes(data[:2], "big")
        entry, data = data[2 : 2 + length], data[2 + length :]
        if len(entry) != length:
            raise Departure("a bundle ends inside an entry")
        entries.append(entry)
    return entries


def tree_hash(hashes: Sequence[bytes]) -> bytes:
    """MTH of RFC 6962 section 2.1 over leaf hashes."""
    if not hashes:
        return hashlib.sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    k = 1
    while 2 * k < len(hashes):
        k *= 2
    return hashlib.sha256(b"\x01" + tree_hash(hashes[:k]) + tree_hash(hashes[k:])).digest()


def open_note(note: str, vkey: str) -> str:
    """The text of a signed note that the key has signed."""
    name, key_id, public_key = parse_vkey(vkey)
    text, blank, signatures = note.rpartition("\n\n")
    if not blank or not signatures.endswith("\n"):
        raise Departure("not a signed note")
    text += "\n"
    for line in signatures.splitlines():
        dash, signer, encoded = line.split(" ")
        signature = base64.b64decode(encoded, validate=True)
        if dash == "\u2014" and signer == name and signature[:4] == key_id:
            try:
                public_key.verify(signature[4:], text.encode("utf-8"))
            except InvalidSignature as error:
                raise Departure("the signature does not verify") from error
            return text
    raise Departure("the log has not signed")


def parse_vkey(vkey: str) -> tuple[str, bytes, Ed25519PublicKey]:
    """Key name, key ID and key of `<name>+<hex>+<base64>`."""
    name, key_id, encoded = vkey.split("+", 2)
    key = base64.b64decode(encoded, validate=True)
    assert key[:1] == b"\x01"
    assert hashlib.sha256(name.encode() + b"\n" + key).digest()[:4].hex() == key_id
    return name, bytes.fromhex(key_id), Ed25519PublicKey.from_public_bytes(key[1:])


def parse_checkpoint(text: str, vkey: str) -> tuple[int, bytes]:
    """Size and root of a checkpoint of the log that the key is named after."""
    origin, size, root, *rest = text.split("\n")
    if origin != vkey.partition("+")[0]:
        raise Departure("a checkpoint of another log")
    if rest[-1:] != [""] or str(int(size)) != size or int(size) < 0:
        raise Departure("not a checkpoint")
    return int(size), base64.b64decode(root, validate=True)
