"""Makes a small log and receipts from it, for tests that then break them.

Hashes and proofs come from `merkle_oracle`, not from the code under test.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.reference import merkle_oracle as oracle

ORIGIN = "log.example/eu/0f8fad5b-d9cb-469f-a165-70867728950e"
PRIVATE_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC_KEY = PRIVATE_KEY.public_key().public_bytes_raw()
OTHER_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
SIZE = 11
INDEX = 6
TYPE = "interaction.recorded"
HEADER = b'{"model":"example-1","status":"ok"}'
OPENING = bytes(range(32))


def commitment(header: bytes = HEADER, opening: bytes = OPENING) -> bytes:
    """Return the header commitment by its definition."""
    message = opening + len(TYPE).to_bytes(8, "big") + TYPE.encode()
    message += len(header).to_bytes(8, "big") + header
    key = hashlib.sha256(b"auditvault/commitment/1").digest()
    return hmac.new(key, message, "sha256").digest()


def entry(index: int, prev: bytes, header: bytes = HEADER, log: str = ORIGIN) -> bytes:
    """Return an entry's bytes."""
    return (
        f'{{"c":"{commitment(header).hex()}","i":"{index}","log":"{log}","prev":"{prev.hex()}",'
        f'"src":"otlp:demo","t":"2026-11-23T10:00:00.{index:06d}Z","type":"{TYPE}",'
        '"v":"auditvault/entry/1"}'
    ).encode()


def entries(count: int = SIZE, header: bytes = HEADER) -> list[bytes]:
    """Return the entries of a log, chained."""
    prev, made = bytes(32), []
    for index in range(count):
        made.append(entry(index, prev, header))
        prev = leaf(made[-1])
    return made


def leaf(data: bytes) -> bytes:
    """Return an entry's leaf hash."""
    return hashlib.sha256(b"\x00" + data).digest()


def note(
    root: bytes,
    *,
    size: int | str = SIZE,
    origin: str = ORIGIN,
    name: str = ORIGIN,
    key: Ed25519PrivateKey = PRIVATE_KEY,
) -> str:
    """Return a signed checkpoint."""
    text = f"{origin}\n{size}\n{base64.b64encode(root).decode()}\n"
    public = key.public_key().public_bytes_raw()
    key_id = hashlib.sha256(name.encode() + b"\n\x01" + public).digest()[:4]
    signature = base64.b64encode(key_id + key.sign(text.encode())).decode()
    return f"{text}\n\u2014 {name} {signature}\n"


def receipt(index: int = INDEX, size: int = SIZE, header: bytes = HEADER) -> dict[str, Any]:
    """Return a receipt that holds, with its header."""
    log = entries(size, header)
    leaves = [leaf(data) for data in log]
    return {
        "v": "auditvault/receipt/1",
        "interaction_id": "7d444840-9dc0-11d1-b245-5ffdce74fad2",
        "log": ORIGIN,
        "index": index,
        "entry": base64.b64encode(log[index]).decode(),
        "leaf_hash": leaves[index].hex(),
        "inclusion_proof": {
            "size": size,
            "hashes": [value.hex() for value in oracle.inclusion_path(index, leaves)],
        },
        "checkpoint": note(oracle.tree_hash(leaves), size=size),
        "header": base64.b64encode(header).decode(),
        "opening": OPENING.hex(),
    }


def trust() -> dict[str, Any]:
    """Return a trust file's content that holds the log's key."""
    key = base64.b64encode(PUBLIC_KEY).decode()
    return {"logs": [{"public_key": key, "origins": ["log.example/eu/*"]}]}


def without(members: dict[str, Any], *keys: str) -> dict[str, Any]:
    """Return a copy without some keys."""
    return {key: value for key, value in members.items() if key not in keys}


def dumps(value: object) -> str:
    """Return JSON text."""
    return json.dumps(value)
