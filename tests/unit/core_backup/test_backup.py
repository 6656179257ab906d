"""A backup's manifest and files: believed under the right keys, at the right place, and nowhere else."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from auditvault.core.backup import (
    FILE_START,
    BackupKey,
    Head,
    Manifest,
    ManifestError,
    ManifestSignatureError,
    ManifestVersionError,
    Place,
    SealedFile,
    open_manifest,
    sign_manifest,
)
from auditvault.core.crypto.envelope import EnvelopeError
from auditvault.core.crypto.keywrap import WrapError
from auditvault.core.tlog.canonical import canonical_bytes

AT = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
SIGNER = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
KEY = BackupKey(bytes(range(32)))
BACKUP = UUID("5b0a3f5e-35a2-4b0c-8f3f-0a4b0a6f3d11")
PLACE = Place(backup=BACKUP, region="eu", part="vault", dump="data", number=1)
FILE = SealedFile(name="data.0001", size=1234, sha256="ab" * 32)
HEAD = Head(log="localhost/eu/x", size=3, signed_size=2, signed_root="cd" * 32, note="note\n")
MANIFEST = Manifest(
    backup=BACKUP, part="ledger", region="eu", begun_at=AT, as_of=AT, finished_at=AT,
    auditvault="0.1.0", postgresql="18.1", pg_dump="18.1", key="00" * 16,
    dumps={"data": (FILE,), "schema": (FILE, FILE)}, rows={"ledger_entry": 3}, heads=(HEAD,),
    epoch=None, erasures={"index": 4, "hash": "ef" * 32},
)  # fmt: skip


def signed(**changes):
    return sign_manifest(dataclasses.replace(MANIFEST, **changes), SIGNER)


def opened(data):
    return open_manifest(data, [Ed25519PrivateKey.generate().public_key(), SIGNER.public_key()])


def test_a_manifest_is_what_was_signed():
    assert opened(signed()) == MANIFEST


@given(st.integers(min_value=0), st.integers(min_value=1, max_value=255))
def test_a_manifest_with_any_byte_changed_is_refused(at, flip):
    data = bytearray(signed())
    data[at % len(data)] ^= flip
    with pytest.raises(ManifestError):
        opened(bytes(data))


@given(st.integers(min_value=0))
def test_a_manifest_that_was_cut_is_refused(at):
    data = signed()
    with pytest.raises(ManifestError):
        opened(data[: at % len(data)])


def test_a_manifest_of_another_version_is_named():
    outer = json.loads(signed())
    outer["manifest"]["v"] = "auditvault/backup/2"
    with pytest.raises(ManifestVersionError):
        opened(canonical_bytes(outer))


def test_nobody_is_trusted_but_those_named():
    with pytest.raises(ManifestSignatureError):
        open_manifest(signed(), [Ed25519PrivateKey.generate().public_key()])


def test_a_signature_of_something_else_is_none():
    outer = json.loads(signed())
    outer["signature"] = json.loads(signed(region="us"))["signature"]
    with pytest.raises(ManifestSignatureError):
        opened(canonical_bytes(outer))


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"null", b'{"manifest":[]}', b"\xff"])
def test_something_else_is_no_manifest(body):
    with pytest.raises(ManifestError):
        opened(body)


def test_a_signed_manifest_of_a_strange_form_is_refused():
    from auditvault.core.backup import key_name

    body = {"v": "auditvault/backup/1", "part": "ledger"}
    signature = SIGNER.sign(b"auditvault/backup/1\n" + canonical_bytes(body))
    import base64

    outer = {
        "manifest": body,
        "key": key_name(SIGNER.public_key()),
        "signature": base64.b64encode(signature).decode(),
    }
    with pytest.raises(ManifestError, match="form"):
        opened(canonical_bytes(outer))


def test_a_time_without_a_zone_is_refused():
    with pytest.raises(ManifestError):
        dataclasses.replace(MANIFEST, as_of=datetime(2026, 11, 24))  # noqa: DTZ001


# --- files -----------------------------------------------------------------------------------------------


def sealed(content, place=PLACE, key=KEY):
    return b"".join(key.seal(place, content))


def read(data, place=PLACE, key=KEY):
    return b"".join(key.open(place, data[:FILE_START], [data[FILE_START:]]))


@given(st.lists(st.binary(max_size=70_000), max_size=4))
def test_a_file_opens_to_what_was_sealed(chunks):
    assert read(sealed(chunks)) == b"".join(chunks)


def test_a_file_is_never_sealed_alike():
    assert sealed([b"the same"]) != sealed([b"the same"])


ELSEWHERE = {
    "backup": UUID(int=1),
    "region": "us",
    "part": "ledger",
    "dump": "schema",
    "number": 2,
}


@pytest.mark.parametrize("field", ELSEWHERE)
def test_a_file_opens_at_its_place_alone(field):
    other = dataclasses.replace(PLACE, **{field: ELSEWHERE[field]})
    data = sealed([b"content"])
    KEY.check(PLACE, data)
    with pytest.raises(WrapError):
        KEY.check(other, data)
    with pytest.raises(WrapError):
        read(data, other)


def test_another_backup_key_opens_nothing():
    with pytest.raises(WrapError):
        read(sealed([b"content"]), key=BackupKey(bytes(32)))


@given(st.integers(min_value=0), st.integers(min_value=1, max_value=255))
def test_a_file_with_any_byte_changed_does_not_open(at, flip):
    data = bytearray(sealed([b"x" * 100]))
    data[at % len(data)] ^= flip
    with pytest.raises((WrapError, EnvelopeError)):
        read(bytes(data))


@given(st.integers(min_value=0))
def test_a_file_that_was_cut_does_not_open(at):
    data = sealed([b"x" * 100])
    with pytest.raises((WrapError, EnvelopeError)):
        read(data[: at % len(data)])
