"""The search that the canary test relies on finds what is hidden, in every encoding that it knows."""

from __future__ import annotations

import base64
import gzip
import hashlib
import os
from pathlib import Path

import pytest

from tests.acceptance.canaries import (
    Canaries,
    byte_patterns,
    needles,
    search_tree,
    text_patterns,
)

pytestmark = pytest.mark.timeout(60)

ENCODINGS = {
    "as it is": lambda text: text.encode(),
    "in capitals": lambda text: text.upper().encode(),
    "in UTF-16": lambda text: text.encode("utf-16"),
    "in hex": lambda text: text.encode().hex().encode(),
    "in base64": lambda text: base64.b64encode(b"x" + text.encode()),
    "in base64 further on": lambda text: base64.b64encode(b"xy" + text.encode() + b"yz"),
    "in gzip": lambda text: b"head" + gzip.compress(b"line\n" + text.encode() * 3) + b"tail",
    "in gzip in gzip": lambda text: gzip.compress(gzip.compress(text.encode())),
    "cut off": lambda text: text[:20].encode(),
}


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_the_search_finds_a_canary(encoding, tmp_path):
    canaries = Canaries()
    patterns = text_patterns("canary", canaries.marker)
    folder = tmp_path / "deep" / "er"
    folder.mkdir(parents=True)
    (folder / "innocent").write_bytes(os.urandom(5_000))

    (folder / "planted").write_bytes(
        os.urandom(1_000) + ENCODINGS[encoding](canaries.new("planted")) + os.urandom(1_000)
    )

    hits = [*search_tree(tmp_path, patterns)]
    assert needles(hits) == {"canary"}
    assert all(hit.place.startswith(str(folder / "planted")) for hit in hits)


def test_the_search_finds_a_hash_and_nothing_where_nothing_is(tmp_path):
    digest = hashlib.sha256(b"a content").digest()
    (tmp_path / "raw").write_bytes(b"x" + digest)
    (tmp_path / "hex").write_bytes(digest.hex().encode())
    (tmp_path / "none").write_bytes(bytes(2_000_000) + os.urandom(2_000_000))

    hits = [*search_tree(tmp_path, byte_patterns("hash", digest))]

    assert {Path(hit.place).name for hit in hits} == {"raw", "hex"}
