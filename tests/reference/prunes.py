"""A log that said that it gives up its first entries, and what a bundle says of it, by hand.

Records are plain JSON, proofs `merkle_oracle`: nothing comes from the code under test.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any

from tests.reference import bundles, receipts
from tests.reference import merkle_oracle as oracle

MINIMUM = 256
INDEX = 650
SIZE = 700
OPENING = bytes(range(32))


def record(leaves: list[bytes], entries: list[bytes], **changes: Any) -> bytes:
    """The prune record of a log of INDEX entries or more, signed at 600."""
    members = {
        "v": "auditvault/prune/1",
        "id": "01a20ede-3aa4-7f4d-9049-ff0a1ba958a9",
        "log": receipts.ORIGIN,
        "recorded_at": "2026-11-23T10:00:00.000650Z",
        "policy": {"id": "retention-2026", "sha256": "00" * 32},
        "previous": 0,
        "minimum": MINIMUM,
        "root": oracle.tree_hash(leaves[:MINIMUM]).hex(),
        "range": [node.hex() for node in oracle.compact_range(leaves[:MINIMUM])],
        "last": {
            "entry": base64.b64encode(entries[MINIMUM - 1]).decode(),
            "size": 600,
            "root": oracle.tree_hash(leaves[:600]).hex(),
            "proof": [node.hex() for node in oracle.inclusion_path(MINIMUM - 1, leaves[:600])],
        },
        "cutoff": "2026-11-23T10:00:00.000300Z",
        "holds": {"sources": [], "blocking": 0},
    }
    return bundles.dumps(members | changes)


def log(**changes: Any) -> tuple[list[bytes], bytes]:
    """SIZE entries, the one at INDEX a prune entry, and its record."""
    entries = receipts.entries(INDEX)
    header = record([receipts.leaf(data) for data in entries], entries, **changes)
    prev = receipts.leaf(entries[-1])
    for index in range(INDEX, SIZE):
        entries.append(receipts.entry(index, prev))
        if index == INDEX:
            entries[-1] = (
                receipts.entry(index, prev)
                .replace(receipts.commitment().hex().encode(), commitment(header).encode())
                .replace(receipts.TYPE.encode(), b"log.pruned")
            )
        prev = receipts.leaf(entries[-1])
    return entries, header


def commitment(header: bytes) -> str:
    """The header commitment by its definition, in hex."""
    message = OPENING + len(b"log.pruned").to_bytes(8, "big") + b"log.pruned"
    message += len(header).to_bytes(8, "big") + header
    return hmac.new(
        hashlib.sha256(b"auditvault/commitment/1").digest(), message, "sha256"
    ).hexdigest()


def member(entries: list[bytes], header: bytes, **changes: Any) -> dict[str, bytes]:
    """The bundle's member about the prune entry, as it should be."""
    leaves = [receipts.leaf(data) for data in entries]
    found = {
        "entry": base64.b64encode(entries[INDEX]).decode(),
        "header": base64.b64encode(header).decode(),
        "opening": OPENING.hex(),
        "inclusion": [node.hex() for node in oracle.inclusion_path(INDEX, leaves)],
        "last_inclusion": [node.hex() for node in oracle.inclusion_path(MINIMUM - 1, leaves)],
        "consistency": [node.hex() for node in oracle.consistency_path(MINIMUM, leaves)],
    }
    return {f"bundle/prune/{INDEX:019d}": bundles.dumps(found | changes)}
