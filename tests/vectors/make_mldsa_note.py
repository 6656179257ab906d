"""Writes mldsa_note.json: a checkpoint under an Ed25519 and an ML-DSA-44 signature, from fixed keys.

Shares no code with the product: docs/spec/checkpoint.md sections 1 and 2 are put together here byte by
byte. ML-DSA-44 signs with fresh randomness, so the note is another one each time, while everything else
stays: keys, key IDs, vkeys and the signed message. Run it after a change of the specification, which is
a new signature type: `python tests/vectors/make_mldsa_note.py`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import struct
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

ORIGIN = "log.example/eu/0f8fad5b-d9cb-469f-a165-70867728950e"
SIZE = 2
ROOT = bytes.fromhex("15b6cfba16048dbef5592cc63c3d7cc449a7b8a57e01122fc73cdcc7813c0ae4")
ED25519_SEED = bytes(range(32))
ML_DSA_SEED = bytes(range(32, 64))
TIMESTAMP = 1_795_000_000
OUT = Path(__file__).with_name("mldsa_note.json")


def opaque(text: str) -> bytes:
    return struct.pack(">B", len(text.encode())) + text.encode()


def vkey(kind: bytes, public_key: bytes) -> tuple[bytes, str]:
    material = kind + public_key
    key_id = hashlib.sha256(ORIGIN.encode() + b"\n" + material).digest()[:4]
    return key_id, f"{ORIGIN}+{key_id.hex()}+{base64.b64encode(material).decode()}"


def line(key_id: bytes, signature: bytes) -> str:
    return f"\u2014 {ORIGIN} {base64.b64encode(key_id + signature).decode()}\n"


def main() -> None:
    ed25519 = Ed25519PrivateKey.from_private_bytes(ED25519_SEED)
    ml_dsa = MLDSA44PrivateKey.from_seed_bytes(ML_DSA_SEED)
    ed25519_id, ed25519_vkey = vkey(b"\x01", ed25519.public_key().public_bytes_raw())
    ml_dsa_id, ml_dsa_vkey = vkey(b"\x06", ml_dsa.public_key().public_bytes_raw())
    text = f"{ORIGIN}\n{SIZE}\n{base64.b64encode(ROOT).decode()}\n"
    message = (
        b"subtree/v1\n\x00"
        + opaque(ORIGIN)
        + struct.pack(">Q", TIMESTAMP)
        + opaque(ORIGIN)
        + struct.pack(">QQ", 0, SIZE)
        + ROOT
    )
    signature = struct.pack(">Q", TIMESTAMP) + ml_dsa.sign(message)
    vector = {
        "ed25519_seed_hex": ED25519_SEED.hex(),
        "ml_dsa_seed_hex": ML_DSA_SEED.hex(),
        "timestamp": TIMESTAMP,
        "ed25519_vkey": ed25519_vkey,
        "ml_dsa_vkey": ml_dsa_vkey,
        "text": text,
        "ml_dsa_message_hex": message.hex(),
        "note": f"{text}\n{line(ed25519_id, ed25519.sign(text.encode()))}{line(ml_dsa_id, signature)}",
    }
    OUT.write_text(json.dumps(vector, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
