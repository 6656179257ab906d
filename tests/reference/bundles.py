"""Makes evidence bundles by hand, for tests that then break them.

The container is Python's own `zipfile`, the manifest `json`, hashes and proofs `merkle_oracle`: nothing comes from
the code under test.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tests.reference import merkle_oracle as oracle
from tests.reference import receipts

SIZE = 700
FIRST = 200
END = 601
PREVIOUS = 150


def members(
    *,
    first: int = FIRST,
    end: int = END,
    size: int = SIZE,
    headers: bool = True,
    previous: int | None = PREVIOUS,
    log: Sequence[bytes] | None = None,
) -> dict[str, bytes]:
    """Return the members of a bundle that holds, without its manifest."""
    entries = receipts.entries(size) if log is None else log
    leaves = [receipts.leaf(data) for data in entries]
    made = {
        "bundle/checkpoint": receipts.note(oracle.tree_hash(leaves), size=size).encode(),
        "bundle/proof": b"".join(outside(leaves, first, end)),
        "bundle/keys": f"{receipts.ORIGIN}+00000000+any\n".encode(),
    }
    if previous:
        made["bundle/previous"] = receipts.note(
            oracle.tree_hash(leaves[:previous]), size=previous
        ).encode()
        path = oracle.consistency_path(previous, leaves) if previous < size else []
        made["bundle/consistency"] = b"".join(path)
    for start in starts(first, end):
        stop = min(end, (start // 256 + 1) * 256)
        name = f"bundle/records/{start:019d}"
        made[f"{name}/entries"] = framed(entries[start:stop])
        if headers:
            item = {
                "header": base64.b64encode(receipts.HEADER).decode(),
                "opening": receipts.OPENING.hex(),
            }
            made[f"{name}/headers"] = dumps([item] * (stop - start))
    return made


def stamped(
    log: Sequence[bytes],
    size: int,
    response: Callable[[bytes], bytes],
    *,
    checkpoint: str | None = None,
    end: int = SIZE,
) -> dict[str, bytes]:
    """Members that say that the first `size` entries were stamped; `response` stamps the super-root's text."""
    leaves = [receipts.leaf(data) for data in log]
    note = checkpoint or receipts.note(oracle.tree_hash(leaves[:size]), size=size)
    text = note.partition("\n\n")[0] + "\n"
    # One log alone: its leaf is the root.
    root = base64.b64encode(receipts.leaf(text.encode())).decode()
    super_root = f"auditvault/super-root/1\n1\n{root}\n"
    proof = {
        "v": "auditvault/timestamp/1",
        "checkpoint": note,
        "index": 0,
        "inclusion_proof": [],
        "super_root": super_root,
        "response": base64.b64encode(response(super_root.encode())).decode(),
    }
    made = {f"bundle/timestamps/{size:019d}/proof": json.dumps(proof).encode()}
    if size != end:
        path = oracle.consistency_path(size, leaves)
        made[f"bundle/timestamps/{size:019d}/consistency"] = b"".join(path)
    return made


def outside(leaves: Sequence[bytes], first: int, end: int) -> list[bytes]:
    """The roots of the biggest aligned subtrees that lie wholly outside of [first, end), from left to right."""

    def walk(start: int, width: int) -> list[bytes]:
        if start >= len(leaves):
            return []
        whole = start + width <= len(leaves)
        if whole and (start + width <= first or start >= end):
            return [oracle.tree_hash(leaves[start : start + width])]
        if width == 1:
            return []
        return walk(start, width // 2) + walk(start + width // 2, width // 2)

    width = 1
    while width < len(leaves):
        width *= 2
    return walk(0, width)


def starts(first: int, end: int) -> list[int]:
    """Where parts begin."""
    return sorted({first, *range((first // 256 + 1) * 256, end, 256)})


def framed(entries: Sequence[bytes]) -> bytes:
    """A C2SP entry bundle."""
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


def manifest(made: Mapping[str, bytes], **changes: Any) -> bytes:
    """The manifest of these members."""
    value = {
        "v": "auditvault/bundle/1",
        "log": receipts.ORIGIN,
        "first": FIRST,
        "end": END,
        "size": SIZE,
        "headers": "included",
        "members": {
            name: {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
            for name, data in made.items()
        },
    }
    return dumps(value | changes)


def bundle(made: Mapping[str, bytes], **changes: Any) -> bytes:
    """A bundle of these members, with a manifest that fits them."""
    return archive({**made, "manifest.json": manifest(made, **changes)})


def archive(made: Mapping[str, bytes]) -> bytes:
    """A ZIP file of these members in order of names, as the format wants it."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as zipped:
        for name in sorted(made):
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.create_system, info.create_version, info.extract_version = 3, 10, 10
            info.external_attr = 0o100644 << 16
            zipped.writestr(info, made[name])
    return file.getvalue()


def dumps(value: Any) -> bytes:
    """Canonical JSON of ASCII values."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def dumps_text(value: Any) -> bytes:
    """Canonical JSON of any text: a note has a dash that is not ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
