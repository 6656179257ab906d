"""The product writes, and reads, exactly the bytes that the specification's own script writes."""

from __future__ import annotations

import hashlib
import json
import runpy
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from auditvault.core.crypto.envelope import ContextPrefix, SealedContent, open_object, seal_object
from auditvault.core.crypto.frames import open_framed_object, seal_framed_object
from auditvault.core.crypto.keywrap import WrapKey, wrap_context
from auditvault.core.crypto.tags import TenantTagKeys

FOLDER = Path(__file__).parents[2] / "vectors"
VECTORS = json.loads((FOLDER / "envelope.json").read_text(encoding="ascii"))


def place(case: dict[str, Any]) -> dict[str, Any]:
    return {
        "dek": WrapKey(UUID(case["dek_id"]), bytes.fromhex(case["dek_hex"])),
        "prefix": ContextPrefix(
            region=case["region"],
            tenant_id=UUID(case["tenant_id"]),
            data_class=case["data_class"],
        ),
        "subject_id": UUID(case["subject_id"]),
        "object_id": UUID(case["object_id"]),
        "version": case["version"],
    }


def uuid_or_none(text: str | None) -> UUID | None:
    return None if text is None else UUID(text)


def test_the_file_is_what_its_script_writes() -> None:
    script = runpy.run_path(str(FOLDER / "make_envelope.py"))
    assert (FOLDER / "envelope.json").read_text(encoding="ascii") == script["document"]()


@pytest.mark.parametrize("case", VECTORS["objects"])
def test_sealing_gives_the_vector(case: dict[str, Any]) -> None:
    sealed = seal_object(
        **place(case),
        content=bytes.fromhex(case["content_hex"]),
        _randomness=bytes.fromhex(case["randomness_hex"]),
    )
    assert sealed.wrapped_cek.hex() == case["wrapped_cek_hex"]
    assert sealed.envelope.hex() == case["envelope_hex"]
    assert sealed.opening.hex() == case["opening_hex"]


@pytest.mark.parametrize("case", VECTORS["objects"])
def test_the_vector_opens(case: dict[str, Any]) -> None:
    opened = open_object(
        **place(case),
        wrapped_cek=bytes.fromhex(case["wrapped_cek_hex"]),
        envelope=bytes.fromhex(case["envelope_hex"]),
    )
    assert opened == SealedContent(
        bytes.fromhex(case["opening_hex"]), bytes.fromhex(case["content_hex"])
    )


def framed_content(case: dict[str, Any]) -> bytes:
    return bytes(k % 251 for k in range(case["content_size"]))


@pytest.mark.parametrize("case", VECTORS["framed"], ids=lambda case: str(case["content_size"]))
def test_sealing_framed_gives_the_vector(case: dict[str, Any]) -> None:
    sealed = seal_framed_object(
        **place(case),
        content=[framed_content(case)],
        _randomness=bytes.fromhex(case["randomness_hex"]),
    )
    frames = b"".join(sealed.frames)
    assert sealed.wrapped_cek.hex() == case["wrapped_cek_hex"]
    assert sealed.head.hex() == case["head_hex"]
    assert sealed.opening.hex() == case["opening_hex"]
    assert len(frames) == case["frames_size"]
    assert hashlib.sha256(frames).hexdigest() == case["frames_sha256_hex"]


@pytest.mark.parametrize(
    "case", [case for case in VECTORS["framed"] if "frames_hex" in case], ids=["0", "30"]
)
def test_the_framed_vector_opens(case: dict[str, Any]) -> None:
    opened = open_framed_object(
        **place(case),
        wrapped_cek=bytes.fromhex(case["wrapped_cek_hex"]),
        head=bytes.fromhex(case["head_hex"]),
        sealed=[bytes.fromhex(case["frames_hex"])],
    )
    assert opened.opening.hex() == case["opening_hex"]
    assert b"".join(opened.chunks) == framed_content(case)


@pytest.mark.parametrize("case", VECTORS["wraps"], ids=lambda case: case["purpose"])
def test_wrapping_gives_the_vector(case: dict[str, Any]) -> None:
    context = wrap_context(
        purpose=case["purpose"],
        region=case["region"],
        tenant_id=uuid_or_none(case["tenant_id"]),
        subject_id=uuid_or_none(case["subject_id"]),
        key_or_object_id=UUID(case["key_or_object_id"]),
        version=case["version"],
        data_class=case["data_class"],
        wrapping_key_id=uuid_or_none(case["wrapping_key_id"]),
    )
    key = WrapKey(bytes(16), bytes.fromhex(case["key_hex"]))
    wrapped = key.wrap(
        bytes.fromhex(case["secret_hex"]), context, _nonce=bytes.fromhex(case["nonce_hex"])
    )
    assert context.hex() == case["context_hex"]
    assert wrapped.hex() == case["wrapped_hex"]
    assert key.unwrap(wrapped, context).hex() == case["secret_hex"]


@pytest.mark.parametrize("case", VECTORS["tags"])
def test_tags_are_the_vector(case: dict[str, Any]) -> None:
    keys = TenantTagKeys.derive(
        bytes.fromhex(case["secret_hex"]), case["region"], UUID(case["tenant_id"])
    )
    lookup_tag = keys.lookup_tag(bytes.fromhex(case["content_sha256_hex"]))
    assert lookup_tag.hex() == case["lookup_tag_hex"]
    assert keys.identifier_tag(case["kind"], case["value"]).hex() == case["identifier_tag_hex"]
