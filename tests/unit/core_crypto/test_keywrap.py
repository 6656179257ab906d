"""A wrap opens under its own key, for its own purpose and place, and nowhere else."""

from __future__ import annotations

import itertools
import pickle
from typing import Any
from uuid import UUID, uuid4

import pytest
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given
from hypothesis import strategies as st

from auditvault.core.crypto.keywrap import (
    MAX_VERSION,
    WRAP_SIZE,
    CryptoContextError,
    WrapError,
    WrapKey,
    WrapKeyMismatchError,
    WrapNotAuthenticError,
    WrapSuiteError,
    WrapTruncatedError,
    WrapVersionError,
    derive_key_and_commitment,
    id_bytes,
    wrap_context,
)

keys = st.binary(min_size=32, max_size=32)
ids = st.binary(min_size=16, max_size=16)
KEY = WrapKey(b"k" * 16, b"K" * 32)
SECRET = bytes(range(32))


def dek_fields() -> dict[str, Any]:
    return {
        "purpose": "subject-dek",
        "region": "eu",
        "tenant_id": b"t" * 16,
        "subject_id": b"s" * 16,
        "key_or_object_id": b"d" * 16,
        "version": 1,
        "data_class": "prompt",
        "wrapping_key_id": b"w" * 16,
    }


@given(key=keys, secret=keys, associated_data=st.binary(max_size=200))
def test_what_was_wrapped_unwraps(key: bytes, secret: bytes, associated_data: bytes) -> None:
    wrapped = WrapKey(b"i" * 16, key).wrap(secret, associated_data)
    assert len(wrapped) == WRAP_SIZE == 94
    assert WrapKey(b"i" * 16, key).unwrap(wrapped, associated_data) == secret


@given(secret=keys, salt=st.binary(max_size=128), info=st.binary(max_size=100))
def test_the_derivation_is_hkdf(secret: bytes, salt: bytes, info: bytes) -> None:
    expected = HKDF(SHA512(), 64, salt, info).derive(secret)
    assert b"".join(derive_key_and_commitment(secret, salt, info)) == expected


def test_two_wraps_of_one_secret_differ() -> None:
    assert KEY.wrap(SECRET, b"") != KEY.wrap(SECRET, b"")


def test_another_key_is_refused_before_anything_is_decrypted() -> None:
    wrapped = bytearray(KEY.wrap(SECRET, b"here"))
    wrapped[-1] ^= 1  # GCM would refuse this too, but is never asked
    with pytest.raises(WrapKeyMismatchError) as caught:
        WrapKey(b"k" * 16, b"L" * 32).unwrap(bytes(wrapped), b"elsewhere")
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_a_copied_commitment_does_not_make_another_key_right() -> None:
    other = WrapKey(b"o" * 16, b"O" * 32)
    commitment = other.wrap(SECRET, b"")[2:34]
    wrapped = KEY.wrap(SECRET, b"")
    with pytest.raises(WrapNotAuthenticError):
        other.unwrap(wrapped[:2] + commitment + wrapped[34:], b"")


def test_a_flipped_bit_anywhere_is_refused() -> None:
    wrapped = KEY.wrap(SECRET, b"here")
    for position, bit in itertools.product(range(len(wrapped)), range(8)):
        changed = bytearray(wrapped)
        changed[position] ^= 1 << bit
        with pytest.raises(WrapError):
            KEY.unwrap(bytes(changed), b"here")


def test_other_associated_data_is_refused() -> None:
    wrapped = KEY.wrap(SECRET, b"here")
    with pytest.raises(WrapNotAuthenticError):
        KEY.unwrap(wrapped, b"there")


@pytest.mark.parametrize(
    ("change", "error", "code"),
    [
        (lambda _: b"", WrapTruncatedError, "wrap_truncated"),
        (lambda wrap: wrap[:-1], WrapTruncatedError, "wrap_truncated"),
        (lambda wrap: wrap + b"\0", WrapError, "wrap_malformed"),
        (lambda wrap: b"\x02" + wrap[1:], WrapVersionError, "wrap_version_unknown"),
        (lambda wrap: wrap[:1] + b"\x02" + wrap[2:], WrapSuiteError, "wrap_suite_unknown"),
        (
            lambda wrap: wrap[:2] + bytes(32) + wrap[34:],
            WrapKeyMismatchError,
            "wrap_key_mismatch",
        ),
        (
            lambda wrap: wrap[:-1] + bytes([wrap[-1] ^ 1]),
            WrapNotAuthenticError,
            "wrap_not_authentic",
        ),
    ],
)
def test_each_defect_has_its_code(change: Any, error: type[WrapError], code: str) -> None:
    with pytest.raises(WrapError) as caught:
        KEY.unwrap(change(KEY.wrap(SECRET, b"")), b"")
    assert type(caught.value) is error
    assert caught.value.code == code


@pytest.mark.parametrize("size", [0, 16, 31, 33])
def test_a_key_or_secret_of_another_size_is_refused(size: int) -> None:
    with pytest.raises(WrapError):
        WrapKey(b"k" * 16, bytes(size))
    with pytest.raises(WrapError):
        KEY.wrap(bytes(size), b"")


def test_a_wrap_key_shows_nothing_and_cannot_be_pickled() -> None:
    assert "K" * 8 not in repr(KEY)
    assert (b"K" * 8).hex() not in repr(KEY)
    with pytest.raises(TypeError):
        pickle.dumps(KEY)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("region", "us"),
        ("tenant_id", b"T" * 16),
        ("subject_id", b"S" * 16),
        ("key_or_object_id", b"D" * 16),
        ("version", 2),
        ("data_class", "output"),
        ("wrapping_key_id", b"W" * 16),
        ("purpose", "object-cek"),
    ],
)
def test_a_wrap_is_bound_to_every_field(field: str, value: Any) -> None:
    wrapped = KEY.wrap(SECRET, wrap_context(**dek_fields()))
    moved = wrap_context(**{**dek_fields(), field: value})
    with pytest.raises(WrapNotAuthenticError):
        KEY.unwrap(wrapped, moved)


def test_fields_cannot_slide_into_each_other() -> None:
    one = wrap_context(**{**dek_fields(), "region": "eu", "data_class": "prompt"})
    other = wrap_context(**{**dek_fields(), "region": "eup", "data_class": "rompt"})
    assert one != other


def test_an_id_is_the_same_as_uuid_and_as_bytes() -> None:
    tenant_id = uuid4()
    as_uuid = wrap_context(**{**dek_fields(), "tenant_id": tenant_id})
    assert as_uuid == wrap_context(**{**dek_fields(), "tenant_id": tenant_id.bytes})


@pytest.mark.parametrize("value", ["00000000-0000-0000-0000-000000000000", b"", bytes(15), 7])
def test_what_is_no_id_is_refused(value: Any) -> None:
    with pytest.raises(CryptoContextError):
        id_bytes(value)


PRESENT: dict[str, set[str]] = {
    "region-kek": set(),
    "tenant-kek": {"tenant_id", "wrapping_key_id"},
    "tag-secret": {"tenant_id", "wrapping_key_id"},
    "subject-dek": {"tenant_id", "wrapping_key_id", "subject_id", "data_class"},
    "object-cek": {"tenant_id", "wrapping_key_id", "subject_id", "data_class"},
}
OPTIONAL: dict[str, Any] = {
    "tenant_id": b"t" * 16,
    "subject_id": b"s" * 16,
    "data_class": "prompt",
    "wrapping_key_id": b"w" * 16,
}


@pytest.mark.parametrize("purpose", PRESENT)
def test_a_purpose_takes_exactly_its_fields(purpose: Any) -> None:
    for present in itertools.product([False, True], repeat=len(OPTIONAL)):
        chosen = {
            name: OPTIONAL[name] for name, is_in in zip(OPTIONAL, present, strict=True) if is_in
        }
        fields = {"purpose": purpose, "region": "eu", "key_or_object_id": UUID(int=1), "version": 1}
        if set(chosen) == PRESENT[purpose]:
            assert wrap_context(**fields, **chosen)
        else:
            with pytest.raises(CryptoContextError):
                wrap_context(**fields, **chosen)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("purpose", "subject_dek"),
        ("region", ""),
        ("region", "EU"),
        ("region", "eu\n"),
        ("region", "e" * 33),
        ("data_class", ""),
        ("data_class", "ä"),
        ("data_class", "p" * 65),
        ("version", 0),
        ("version", -1),
        ("version", MAX_VERSION + 1),
        ("version", True),
        ("version", "1"),
        ("subject_id", b"short"),
    ],
)
def test_a_value_outside_its_rule_is_refused(field: str, value: Any) -> None:
    with pytest.raises(CryptoContextError) as caught:
        wrap_context(**{**dek_fields(), field: value})
    assert caught.value.code == "crypto_context_invalid"
