"""Writes envelope.json: envelopes, wraps and tags from fixed bytes, after docs/spec/envelope.md.

Shares no code with the product, and takes HKDF from another library than the product does. Run it
after a change of the specification, which is a new format version: `python
tests/vectors/make_envelope.py`.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import struct
from pathlib import Path
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

TENANT = UUID("0f8fad5b-d9cb-469f-a165-70867728950e")
SUBJECT = UUID("7d444840-9dc0-41d1-b245-5ffdce74fad2")
OBJECT = UUID("01939c4e-7d5c-7c4a-8b5e-3d8f0a6b2c11")
DEK_ID = UUID("6b1d2f3a-4c5e-4f60-8a7b-9c0d1e2f3a4b")
TENANT_KEK_ID = UUID("c56a4180-65aa-42ec-a945-5fd21dec0538")
REGION_KEK_ID = UUID("9f1c2d3e-4b5a-4697-8897-a6b5c4d3e2f1")
OUT = Path(__file__).with_name("envelope.json")


def counting(first: int, size: int) -> bytes:
    return bytes((first + k) % 256 for k in range(size))


def lp(value: bytes) -> bytes:
    return struct.pack(">Q", len(value)) + value


def hkdf(secret: bytes, salt: bytes | None, info: bytes) -> tuple[bytes, bytes]:
    out = HKDF(SHA512(), 64, salt, info).derive(secret)
    return out[:32], out[32:]


def envelope(case: dict[str, Any], random: bytes) -> str:
    cek, salt, opening = random[:32], random[32:64], random[64:96]
    key, commitment = hkdf(cek, salt, b"auditvault/envelope/1\x01")
    fields = [
        b"auditvault/envelope/1\x01",
        case["region"].encode(),
        UUID(case["tenant_id"]).bytes,
        case["data_class"].encode(),
        UUID(case["subject_id"]).bytes,
        UUID(case["object_id"]).bytes,
        struct.pack(">Q", case["version"]),
        commitment,
    ]
    plaintext = opening + bytes.fromhex(case["content_hex"])
    sealed = AESGCM(key).encrypt(b"\x01" * 12, plaintext, b"".join(map(lp, fields)))
    return (b"AV\x01\x01" + salt + commitment + sealed).hex()


def context(case: dict[str, Any]) -> bytes:
    def raw(name: str) -> bytes:
        return b"" if case[name] is None else UUID(case[name]).bytes

    fields = [
        b"auditvault/wrap/1\x01",
        case["purpose"].encode(),
        case["region"].encode(),
        raw("tenant_id"),
        (case["data_class"] or "").encode(),
        raw("wrapping_key_id"),
        raw("subject_id"),
        raw("key_or_object_id"),
        struct.pack(">Q", case["version"]),
    ]
    return b"".join(map(lp, fields))


def wrap(key: bytes, nonce: bytes, secret: bytes, associated_data: bytes) -> str:
    derived, commitment = hkdf(key, None, b"auditvault/wrap/1\x01")
    sealed = AESGCM(derived).encrypt(nonce, secret, associated_data)
    return (b"\x01\x01" + commitment + nonce + sealed).hex()


def object_case(content: bytes, version: int, first: int) -> dict[str, Any]:
    dek, random = counting(first, 32), counting(first + 64, 108)
    case: dict[str, Any] = {
        "dek_id": str(DEK_ID),
        "dek_hex": dek.hex(),
        "region": "eu",
        "tenant_id": str(TENANT),
        "subject_id": str(SUBJECT),
        "object_id": str(OBJECT),
        "version": version,
        "data_class": "prompt",
        "content_hex": content.hex(),
        "randomness_hex": random.hex(),
        "opening_hex": random[64:96].hex(),
    }
    wrapping = case | {
        "purpose": "object-cek",
        "wrapping_key_id": str(DEK_ID),
        "key_or_object_id": str(OBJECT),
    }
    case["wrapped_cek_hex"] = wrap(dek, random[96:], random[:32], context(wrapping))
    case["envelope_hex"] = envelope(case, random)
    return case


def framed(case: dict[str, Any], random: bytes, content: bytes) -> bytes:
    cek, salt, opening = random[:32], random[32:64], random[64:96]
    key, commitment = hkdf(cek, salt, b"auditvault/framed/1\x01")
    fields = [
        b"auditvault/framed/1\x01",
        case["region"].encode(),
        UUID(case["tenant_id"]).bytes,
        case["data_class"].encode(),
        UUID(case["subject_id"]).bytes,
        UUID(case["object_id"]).bytes,
        struct.pack(">Q", case["version"]),
        commitment,
    ]
    plaintext, out = opening + content, b"AF\x01\x01" + salt + commitment
    starts = range(0, len(plaintext), 65536)
    for k, start in enumerate(starts):
        nonce = bytes(7) + struct.pack(">IB", k, start == starts[-1])
        frame = plaintext[start : start + 65536]
        out += AESGCM(key).encrypt(nonce, frame, b"".join(map(lp, fields)))
    return out


def framed_case(size: int, version: int, first: int) -> dict[str, Any]:
    case = object_case(b"", version, first)
    random = bytes.fromhex(case["randomness_hex"])
    whole = framed(case, random, bytes(k % 251 for k in range(size)))
    del case["content_hex"], case["envelope_hex"]
    case |= {
        "content_size": size,
        "content_byte_k": "k mod 251",
        "head_hex": whole[:68].hex(),
        "frames_size": len(whole) - 68,
        "frames_sha256_hex": hashlib.sha256(whole[68:]).hexdigest(),
    }
    return case if size > 100 else case | {"frames_hex": whole[68:].hex()}


def wrap_case(purpose: str, first: int, **fields: Any) -> dict[str, Any]:
    case: dict[str, Any] = {
        "purpose": purpose,
        "region": "eu",
        "tenant_id": None,
        "subject_id": None,
        "data_class": None,
        "wrapping_key_id": None,
        "version": 1,
        **fields,
    }
    key, secret, nonce = counting(first, 32), counting(first + 32, 32), counting(first + 64, 12)
    associated_data = context(case)
    return case | {
        "context_hex": associated_data.hex(),
        "key_hex": key.hex(),
        "secret_hex": secret.hex(),
        "nonce_hex": nonce.hex(),
        "wrapped_hex": wrap(key, nonce, secret, associated_data),
    }


def wrap_cases() -> list[dict[str, Any]]:
    tenant, subject = str(TENANT), str(SUBJECT)
    region_kek, tenant_kek = str(REGION_KEK_ID), str(TENANT_KEK_ID)
    under_region = {"tenant_id": tenant, "wrapping_key_id": region_kek}
    return [
        wrap_case("region-kek", 1, key_or_object_id=region_kek, version=3),
        wrap_case("tenant-kek", 2, key_or_object_id=tenant_kek, version=3, **under_region),
        wrap_case("tag-secret", 3, key_or_object_id=tenant_kek, **under_region),
        wrap_case(
            "subject-dek",
            4,
            key_or_object_id=str(DEK_ID),
            tenant_id=tenant,
            subject_id=subject,
            data_class="prompt",
            wrapping_key_id=tenant_kek,
        ),
    ]


def tag_case() -> dict[str, Any]:
    secret, digest = counting(7, 32), hashlib.sha256(b"What is the capital of France?").digest()
    info = lp(b"auditvault/tags/1") + lp(b"eu") + lp(TENANT.bytes)
    lookup_key, identifier_key = hkdf(secret, None, info)
    named = lp(b"user") + lp("zoë@example.org".encode())
    return {
        "secret_hex": secret.hex(),
        "region": "eu",
        "tenant_id": str(TENANT),
        "content_sha256_hex": digest.hex(),
        "lookup_tag_hex": hmac.digest(lookup_key, digest, "sha256").hex(),
        "kind": "user",
        "value": "zoë@example.org",
        "identifier_tag_hex": hmac.digest(identifier_key, named, "sha256").hex(),
    }


def document() -> str:
    contents = [(b"", 1, 0), (b"What is the capital of France?", 1, 16), (counting(0, 300), 2, 32)]
    # Nothing, little, one full frame, one byte more, and several frames.
    sizes = [(0, 1, 48), (30, 2, 64), (65504, 1, 80), (65505, 1, 96), (200000, 1, 112)]
    vectors = {
        "objects": [object_case(*content) for content in contents],
        "framed": [framed_case(*case) for case in sizes],
        "wraps": wrap_cases(),
        "tags": [tag_case()],
    }
    return json.dumps(vectors, indent=2, ensure_ascii=True) + "\n"


if __name__ == "__main__":
    OUT.write_text(document(), encoding="ascii")
