"""A sealed object opens with its own key, in its own place, unchanged, and in no other way."""

from __future__ import annotations

import itertools
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditvault.core.crypto.envelope import (
    ENVELOPE_OVERHEAD,
    MAX_CONTENT_SIZE,
    ContextPrefix,
    EnvelopeError,
    EnvelopeKeyMismatchError,
    EnvelopeNotAuthenticError,
    EnvelopeSuiteError,
    EnvelopeTruncatedError,
    EnvelopeVersionError,
    ObjectContext,
    SealedContent,
    SealedObject,
    open_,
    open_object,
    rewrap_cek,
    seal,
    seal_object,
)
from auditvault.core.crypto.keywrap import (
    CryptoContextError,
    WrapError,
    WrapKey,
    WrapKeyMismatchError,
    WrapNotAuthenticError,
    wrap_context,
)

DEK = WrapKey(b"d" * 16, b"D" * 32)
PREFIX = ContextPrefix(region="eu", tenant_id=b"t" * 16, data_class="prompt")
PLACE: dict[str, Any] = {
    "dek": DEK,
    "prefix": PREFIX,
    "subject_id": b"s" * 16,
    "object_id": b"o" * 16,
    "version": 1,
}
CEK = b"C" * 32
CONTEXT: dict[str, Any] = {
    "region": "eu",
    "tenant_id": b"t" * 16,
    "subject_id": b"s" * 16,
    "object_id": b"o" * 16,
    "version": 1,
    "data_class": "prompt",
}

ids = st.binary(min_size=16, max_size=16) | st.uuids()
names = st.text(alphabet="abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=32)


def sealed(content: bytes = b"content") -> SealedObject:
    return seal_object(**PLACE, content=content)


def opened(made: SealedObject, **changes: Any) -> SealedContent:
    return open_object(
        **{**PLACE, "wrapped_cek": made.wrapped_cek, "envelope": made.envelope, **changes}
    )


@given(
    key=st.binary(min_size=32, max_size=32),
    key_id=ids,
    region=names,
    tenant_id=ids,
    data_class=names,
    subject_id=ids,
    object_id=ids,
    version=st.integers(1, 2**31 - 1),
    content=st.binary(max_size=2000),
)
def test_what_was_sealed_opens(**values: Any) -> None:
    place = {
        "dek": WrapKey(values["key_id"], values["key"]),
        "prefix": ContextPrefix(
            region=values["region"],
            tenant_id=values["tenant_id"],
            data_class=values["data_class"],
        ),
        "subject_id": values["subject_id"],
        "object_id": values["object_id"],
        "version": values["version"],
    }
    made = seal_object(**place, content=values["content"])
    content = open_object(**place, wrapped_cek=made.wrapped_cek, envelope=made.envelope)
    assert content == SealedContent(made.opening, values["content"])
    assert len(made.envelope) == ENVELOPE_OVERHEAD + 32 + len(values["content"])


@given(plaintext=st.binary(max_size=500))
def test_the_lower_half_round_trips(plaintext: bytes) -> None:
    made = seal(cek=CEK, context=ObjectContext(**CONTEXT), plaintext=plaintext)
    assert open_(cek=CEK, context=ObjectContext(**CONTEXT), envelope=made) == plaintext


def test_both_halves_write_one_format() -> None:
    made = sealed()
    context = wrap_context(
        purpose="object-cek",
        region="eu",
        tenant_id=b"t" * 16,
        subject_id=b"s" * 16,
        key_or_object_id=b"o" * 16,
        version=1,
        data_class="prompt",
        wrapping_key_id=DEK.key_id,
    )
    cek = DEK.unwrap(made.wrapped_cek, context)
    plaintext = open_(cek=cek, context=ObjectContext(**CONTEXT), envelope=made.envelope)
    assert plaintext == made.opening + b"content"


def test_nothing_random_is_used_twice() -> None:
    one, other = sealed(), sealed()
    assert one.opening != other.opening
    assert one.envelope[4:36] != other.envelope[4:36]  # salt
    assert one.envelope[36:68] != other.envelope[36:68]  # commitment, hence key
    assert one.wrapped_cek[34:46] != other.wrapped_cek[34:46]  # nonce


def other_prefix(**changes: Any) -> ContextPrefix:
    return ContextPrefix(
        **{"region": "eu", "tenant_id": b"t" * 16, "data_class": "prompt", **changes}
    )


@pytest.mark.parametrize(
    "change",
    [
        {"prefix": other_prefix(region="us")},
        {"prefix": other_prefix(tenant_id=b"T" * 16)},
        {"prefix": other_prefix(data_class="output")},
        {"subject_id": b"S" * 16},
        {"object_id": b"O" * 16},
        {"version": 2},
        {"dek": WrapKey(b"x" * 16, b"D" * 32)},  # the same key under another id
        {"subject_id": b"o" * 16, "object_id": b"s" * 16},
    ],
    ids=["region", "tenant", "class", "subject", "object", "version", "key id", "exchanged ids"],
)
def test_an_object_moved_elsewhere_does_not_open(change: dict[str, Any]) -> None:
    with pytest.raises(WrapNotAuthenticError):
        opened(sealed(), **change)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("region", "us"),
        ("tenant_id", b"T" * 16),
        ("subject_id", b"S" * 16),
        ("object_id", b"O" * 16),
        ("version", 2),
        ("data_class", "output"),
    ],
)
def test_an_envelope_is_bound_without_its_wrap(field: str, value: Any) -> None:
    made = seal(cek=CEK, context=ObjectContext(**CONTEXT), plaintext=b"plaintext")
    with pytest.raises(EnvelopeNotAuthenticError):
        open_(cek=CEK, context=ObjectContext(**{**CONTEXT, field: value}), envelope=made)


def test_the_envelope_of_another_object_does_not_open() -> None:
    with pytest.raises(EnvelopeKeyMismatchError):
        opened(sealed(), envelope=sealed().envelope)


def test_another_dek_is_refused_by_the_commitment() -> None:
    with pytest.raises(WrapKeyMismatchError):
        opened(sealed(), dek=WrapKey(DEK.key_id, b"E" * 32))


def test_another_cek_is_refused_before_anything_is_decrypted() -> None:
    made = seal(cek=CEK, context=ObjectContext(**CONTEXT), plaintext=b"plaintext")
    changed = made[:-1] + bytes([made[-1] ^ 1])  # GCM would refuse it, but is never asked
    with pytest.raises(EnvelopeKeyMismatchError) as caught:
        open_(cek=b"D" * 32, context=ObjectContext(**CONTEXT), envelope=changed)
    assert caught.value.__context__ is None  # no InvalidTag came first


def test_a_flipped_bit_anywhere_is_refused() -> None:
    made = sealed(b"short")
    for position, bit in itertools.product(range(len(made.envelope)), range(8)):
        changed = bytearray(made.envelope)
        changed[position] ^= 1 << bit
        with pytest.raises(EnvelopeError):
            opened(made, envelope=bytes(changed))


def test_every_shorter_or_longer_envelope_is_refused() -> None:
    made = sealed(b"short")
    for size in range(len(made.envelope)):
        with pytest.raises(EnvelopeError):
            opened(made, envelope=made.envelope[:size])
    with pytest.raises(EnvelopeNotAuthenticError):
        opened(made, envelope=made.envelope + b"\0")


@pytest.mark.parametrize(
    ("change", "error", "code"),
    [
        (lambda _: b"", EnvelopeTruncatedError, "envelope_truncated"),
        (lambda made: made[:83], EnvelopeTruncatedError, "envelope_truncated"),
        (lambda made: b"XV" + made[2:], EnvelopeError, "envelope_malformed"),
        (
            lambda made: made[:2] + b"\x02" + made[3:],
            EnvelopeVersionError,
            "envelope_version_unknown",
        ),
        (lambda made: made[:3] + b"\x00" + made[4:], EnvelopeSuiteError, "envelope_suite_unknown"),
        (
            lambda made: made[:4] + bytes(32) + made[36:],
            EnvelopeKeyMismatchError,
            "envelope_key_mismatch",
        ),
        (
            lambda made: made[:36] + bytes(32) + made[68:],
            EnvelopeKeyMismatchError,
            "envelope_key_mismatch",
        ),
        (lambda made: made[:-1], EnvelopeNotAuthenticError, "envelope_not_authentic"),
    ],
)
def test_each_defect_has_its_code(change: Any, error: type[EnvelopeError], code: str) -> None:
    made = sealed()
    with pytest.raises(EnvelopeError) as caught:
        opened(made, envelope=change(made.envelope))
    assert type(caught.value) is error
    assert caught.value.code == code


def test_a_cek_rewrapped_under_a_new_dek_opens_the_same_envelope() -> None:
    new_dek = WrapKey(uuid4(), b"N" * 32)
    made = sealed()
    moved = rewrap_cek(
        old_dek=DEK,
        new_dek=new_dek,
        prefix=PREFIX,
        subject_id=b"s" * 16,
        object_id=b"o" * 16,
        wrapped_cek=made.wrapped_cek,
    )
    assert opened(made, dek=new_dek, wrapped_cek=moved).content == b"content"
    with pytest.raises(WrapKeyMismatchError):
        opened(made, wrapped_cek=moved)
    with pytest.raises(WrapKeyMismatchError):
        opened(made, dek=new_dek)


def test_a_cek_is_rewrapped_for_its_own_object_only() -> None:
    with pytest.raises(WrapNotAuthenticError):
        rewrap_cek(
            old_dek=DEK,
            new_dek=WrapKey(uuid4(), b"N" * 32),
            prefix=PREFIX,
            subject_id=b"s" * 16,
            object_id=b"O" * 16,
            wrapped_cek=sealed().wrapped_cek,
        )


def test_the_largest_content_is_sealed_and_a_larger_one_refused() -> None:
    largest = bytes(MAX_CONTENT_SIZE)
    made = sealed(largest)
    assert opened(made).content == largest
    with pytest.raises(EnvelopeError):
        sealed(largest + b"\0")
    with pytest.raises(EnvelopeError, match="longer than an envelope"):
        opened(made, envelope=made.envelope + b"\0")


@pytest.mark.parametrize("size", [0, 16, 31, 33])
def test_a_cek_of_another_size_is_refused(size: int) -> None:
    context = ObjectContext(**CONTEXT)
    with pytest.raises(EnvelopeError):
        seal(cek=bytes(size), context=context, plaintext=b"")
    with pytest.raises(EnvelopeError):
        open_(cek=bytes(size), context=context, envelope=bytes(100))


@pytest.mark.parametrize(
    "change",
    [{"subject_id": b"s"}, {"object_id": "o" * 16}, {"version": 0}, {"version": 2**31}],
)
def test_an_id_or_version_that_is_none_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(CryptoContextError):
        seal_object(**{**PLACE, **change}, content=b"")


def test_a_prefix_of_an_unknown_suite_is_refused() -> None:
    with pytest.raises(EnvelopeSuiteError):
        other_prefix(suite=2)


@given(opening=st.binary(min_size=32, max_size=32), content=st.binary(max_size=100))
def test_what_was_packed_unpacks(opening: bytes, content: bytes) -> None:
    packed = SealedContent(opening, content)
    assert SealedContent.unpack(packed.pack()) == packed


def test_packing_is_strict() -> None:
    with pytest.raises(EnvelopeError):
        SealedContent(bytes(31), b"").pack()
    with pytest.raises(EnvelopeError):
        SealedContent(bytes(32), bytes(MAX_CONTENT_SIZE + 1)).pack()
    with pytest.raises(EnvelopeError):
        SealedContent.unpack(bytes(31))
    with pytest.raises(EnvelopeError):
        SealedContent.unpack(bytes(33 + MAX_CONTENT_SIZE))


def test_an_envelope_without_an_opening_is_not_an_object() -> None:
    cek_context = wrap_context(
        purpose="object-cek",
        data_class="prompt",
        region="eu",
        tenant_id=b"t" * 16,
        subject_id=b"s" * 16,
        key_or_object_id=b"o" * 16,
        version=1,
        wrapping_key_id=DEK.key_id,
    )
    made = seal(cek=CEK, context=ObjectContext(**CONTEXT), plaintext=b"too short")
    with pytest.raises(EnvelopeError):
        open_object(**PLACE, wrapped_cek=DEK.wrap(CEK, cek_context), envelope=made)


def test_neither_opening_nor_content_shows_in_a_repr() -> None:
    made = sealed(b"private words")
    assert repr(made.opening) not in repr(made)
    assert "private" not in repr(opened(made))


def test_no_error_repeats_what_was_sealed() -> None:
    made = sealed(b"private words")
    with pytest.raises(EnvelopeError) as caught:
        opened(made, envelope=made.envelope[:-1])
    assert "private" not in str(caught.value)
    with pytest.raises(WrapError) as refused:
        opened(made, version=3)
    assert "private" not in str(refused.value)
