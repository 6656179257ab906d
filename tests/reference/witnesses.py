"""Makes a log's submissions to a witness by the words of the specifications.

Hashes, proofs and signatures come from `merkle_oracle` and `receipts` and not from the code under
test.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.reference import merkle_oracle as oracle
from tests.reference import receipts

ORIGIN = receipts.ORIGIN
OTHER_ORIGIN = "log.example/eu/7d444840-9dc0-4a11-b245-5ffdce74fad2"
WITNESS = "witness.example/w1"
WITNESS_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(2, 34)))
NOW = 1_795_428_000
EMPTY_ROOT = hashlib.sha256(b"").digest()


def leaves(count: int, *, fork_at: int | None = None) -> list[bytes]:
    """Return the leaf hashes of a log, or of one that is another from index `fork_at` on."""
    made = list(oracle.leaves(count))
    if fork_at is not None:
        made[fork_at:] = [oracle.leaf(-1 - index) for index in range(fork_at, count)]
    return made


def note(hashes: Sequence[bytes], *, origin: str = ORIGIN) -> str:
    """Return the signed checkpoint over these leaf hashes."""
    return receipts.note(oracle.tree_hash(hashes), size=len(hashes), origin=origin, name=origin)


def proof(old: int, hashes: Sequence[bytes]) -> list[bytes]:
    """Return the consistency proof from `old` leaves to all of them."""
    return [] if old in (0, len(hashes)) else oracle.consistency_path(old, hashes)


def body(old: int | str, hashes: Sequence[bytes], signed: str) -> bytes:
    """Return a request's body."""
    lines = [f"old {old}", *(base64.b64encode(value).decode() for value in hashes)]
    return ("\n".join(lines) + "\n\n" + signed).encode()


def submission(old: int, size: int, *, fork_at: int | None = None, origin: str = ORIGIN) -> bytes:
    """Return a whole request that an honest log, or one that forked, would send."""
    hashes = leaves(size, fork_at=fork_at)
    return body(old, proof(old, hashes), note(hashes, origin=origin))


def origin_hash(origin: str) -> str:
    """Return the name of a log in a witness's URLs."""
    return hashlib.sha256(origin.encode()).hexdigest()


def key_id(name: str, public_key: bytes, algorithm: bytes = b"\x04") -> bytes:
    """Return a key ID by its definition."""
    return hashlib.sha256(name.encode() + b"\n" + algorithm + public_key).digest()[:4]


def cosignature(
    text: str,
    time: int,
    *,
    name: str = WITNESS,
    key: Ed25519PrivateKey = WITNESS_KEY,
) -> str:
    """Return a cosignature line."""
    signature = key.sign(f"cosignature/v1\ntime {time}\n{text}".encode())
    blob = key_id(name, key.public_key().public_bytes_raw()) + time.to_bytes(8, "big") + signature
    return f"\u2014 {name} {base64.b64encode(blob).decode()}\n"
