"""An operator's log in which keys come and go, and what a bundle brings of it, by hand.

Records are plain JSON, proofs `merkle_oracle`, signatures those of `receipts`: nothing comes from the code under test.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.reference import bundles, receipts
from tests.reference import merkle_oracle as oracle

OPERATOR = "log.example/eu/2b1f6d0e-77c1-4a55-9a51-6f3f0f3d9a10"
OTHER_REGION = "log.example/us/2b1f6d0e-77c1-4a55-9a51-6f3f0f3d9a10"
TENANT = "log.example/eu/7c9e6679-7425-40de-944b-e07fc1f90ae7"
OPENING = bytes(range(32))


def key(number: int) -> Ed25519PrivateKey:
    """A key; number 0 is the one of `receipts`."""
    return Ed25519PrivateKey.from_private_bytes(bytes(range(number, number + 32)))


FIRST, SECOND, THIRD, STRANGER = (key(number) for number in (0, 2, 3, 9))


def public(private: Ed25519PrivateKey) -> str:
    """The public key in base64."""
    return base64.b64encode(private.public_key().public_bytes_raw()).decode()


def sign(root: bytes, size: int, origin: str, keys: Sequence[Ed25519PrivateKey]) -> str:
    """A checkpoint with a line of each key."""
    notes = [receipts.note(root, size=size, origin=origin, name=origin, key=each) for each in keys]
    text = notes[0].partition("\n\n")[0]
    return f"{text}\n\n" + "".join(note.partition("\n\n")[2] for note in notes)


def trust(*follow: str, keys: Sequence[Ed25519PrivateKey] = (FIRST,)) -> dict[str, Any]:
    """A trust file for the region's logs; `follow` are the logs that its keys are followed in."""
    entries = [{"public_key": public(each), "origins": ["log.example/eu/*"]} for each in keys]
    return {"logs": [entry | ({"follow": list(follow)} if follow else {}) for entry in entries]}


class OperatorsLog:
    """Entries of the operator's log, and what opens them."""

    def __init__(self, origin: str = OPERATOR) -> None:
        self.origin = origin
        self.entries: list[bytes] = []
        self.headers: list[bytes] = []

    @property
    def leaves(self) -> list[bytes]:
        return [receipts.leaf(data) for data in self.entries]

    def announce(self, private: Ed25519PrivateKey) -> int:
        """Append an announcement; returns its index."""
        return self.append("checkpoint_key.announced", _details(private))

    def retire(self, private: Ed25519PrivateKey) -> int:
        """Append a retirement; returns its index."""
        return self.append("checkpoint_key.retired", _details(private))

    def happen(self) -> int:
        """Append something that is about no key."""
        return self.append("clock.skew", {})

    def append(self, action: str, details: dict[str, Any]) -> int:
        """Append an entry with an admin header."""
        index = len(self.entries)
        header = bundles.dumps({"v": "auditvault/admin/1", "action": action, "details": details})
        prev = self.leaves[-1] if self.entries else bytes(32)
        members = {
            "c": commitment(header, action),
            "i": str(index),
            "log": self.origin,
            "prev": prev.hex(),
            "src": "auditvault",
            "t": f"2026-11-23T10:00:00.{index:06d}Z",
            "type": action,
            "v": "auditvault/entry/1",
        }
        self.entries.append(bundles.dumps(members))
        self.headers.append(header)
        return index

    def note(self, size: int, *keys: Ed25519PrivateKey) -> str:
        """The checkpoint of the first `size` entries."""
        return sign(oracle.tree_hash(self.leaves[:size]), size, self.origin, keys)

    def record(self, index: int, size: int, **changes: Any) -> dict[str, Any]:
        """What proves entry `index` under the checkpoint of `size` entries."""
        proof = oracle.inclusion_path(index, self.leaves[:size])
        return {
            "entry": base64.b64encode(self.entries[index]).decode(),
            "header": base64.b64encode(self.headers[index]).decode(),
            "opening": OPENING.hex(),
            "inclusion": [value.hex() for value in proof],
        } | changes

    def step(self, size: int, *keys: Ed25519PrivateKey, since: int = 0, **changes: Any) -> bytes:
        """The member at `size`, which follows the one at `since`, with every key's entry between."""
        path = oracle.consistency_path(since, self.leaves[:size]) if 0 < since < size else []
        records = [
            self.record(index, size)
            for index in range(since, size)
            if b'"type":"checkpoint_key.' in self.entries[index]
        ]
        found = {
            "checkpoint": self.note(size, *keys),
            "consistency": [value.hex() for value in path],
            "records": records,
        }
        return bundles.dumps_text(found | changes)

    def members(self, *steps: tuple[int, Sequence[Ed25519PrivateKey]]) -> dict[str, bytes]:
        """The members of a bundle for steps at these sizes, signed by these keys."""
        made, since = {}, 0
        for size, keys in steps:
            made[name(size)] = self.step(size, *keys, since=since)
            since = size
        return made


def name(size: int) -> str:
    """The name of the member at `size`."""
    return f"bundle/history/{size:019d}"


def commitment(header: bytes, kind: str) -> str:
    """The header commitment by its definition, in hex."""
    message = OPENING + len(kind).to_bytes(8, "big") + kind.encode()
    message += len(header).to_bytes(8, "big") + header
    constant = hashlib.sha256(b"auditvault/commitment/1").digest()
    return hmac.new(constant, message, "sha256").hexdigest()


def _details(private: Ed25519PrivateKey) -> dict[str, str]:
    return {"algorithm": "ed25519", "public_key": public(private), "key_id": "00000000"}
