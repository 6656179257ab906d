"""The box decides, whatever the service around which it is put does."""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Callable
from datetime import datetime

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from auditvault.core.crypto.keywrap import (
    KeyProviderUnavailableError,
    KeyRefUnknownError,
    WrapError,
    WrapKeyMismatchError,
    WrapNotAuthenticError,
)
from auditvault.vault.providers.box import (
    MAX_OUTER_SIZE,
    binding,
    close_box,
    open_box,
    outer_of,
)
from auditvault.vault.providers.crc32c import crc32c
from auditvault.vault.providers.errors import KeyProviderUnusableError
from auditvault.vault.providers.service import PAUSE_SECONDS, BoxedKeyProvider, PerProcess

SECRET = bytes(range(32))
INNER_KEY = bytes(range(32, 64))
keys = st.binary(min_size=32, max_size=32)
refs = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=60)


def lp(value: bytes) -> bytes:
    return len(value).to_bytes(8, "big") + value


def box_of_the_spec(
    label: bytes,
    ref: str,
    context: bytes,
    inner_key: bytes,
    outer: bytes,
    secret: bytes,
    nonce: bytes,
) -> bytes:
    """docs/spec/keys.md section 3 and envelope.md section 3, from their text alone."""
    prk = hmac.digest(b"", inner_key, "sha512")
    okm = hmac.digest(prk, b"auditvault/wrap/1" + b"\x01" + b"\x01", "sha512")
    associated = lp(label) + lp(ref.encode()) + lp(context)
    sealed = AESGCM(okm[:32]).encrypt(nonce, secret, associated)
    return b"\x01" + len(outer).to_bytes(2, "big") + outer + b"\x01\x01" + okm[32:] + nonce + sealed


@given(label=st.binary(max_size=20), ref=refs, context=st.binary(max_size=80), inner_key=keys,
       outer=st.binary(min_size=1, max_size=300), secret=keys)  # fmt: skip
def test_a_box_is_what_the_specification_says(
    label: bytes, ref: str, context: bytes, inner_key: bytes, outer: bytes, secret: bytes
) -> None:
    box = close_box(
        label=label, key_ref=ref, context=context, inner_key=inner_key, outer=outer, secret=secret
    )
    nonce = box[-60:-48]
    assert box == box_of_the_spec(label, ref, context, inner_key, outer, secret, nonce)
    assert outer_of(box) == outer
    opened = open_box(label=label, key_ref=ref, context=context, inner_key=inner_key, box=box)
    assert opened == secret
    expected = hashlib.sha256(lp(label) + lp(ref.encode()) + lp(context)).digest()
    assert binding(label, ref, context) == expected


@pytest.mark.parametrize("size", [0, MAX_OUTER_SIZE + 1])
def test_a_ciphertext_of_no_or_too_many_bytes_makes_no_box(size: int) -> None:
    with pytest.raises(WrapError):
        close_box(
            label=b"l",
            key_ref="r",
            context=b"c",
            inner_key=INNER_KEY,
            outer=bytes(size),
            secret=SECRET,
        )


class Service:
    """A key service that binds nothing, does not notice changes, and answers what it is told to."""

    LABEL = b"test/1"

    def __init__(self) -> None:
        self.calls = 0
        self.answer: Callable[[bytes], bytes] = lambda outer: outer

    def make_key(self, epoch: int) -> str:
        return f"ref-{epoch}"

    def encrypt(self, _key_ref: str, inner_key: bytes, _bound_to: bytes) -> bytes:
        self.calls += 1
        return inner_key

    def decrypt(self, _key_ref: str, outer: bytes, _bound_to: bytes) -> bytes:
        self.calls += 1
        return self.answer(outer)

    def destroy(self, _key_ref: str) -> datetime | None:
        return None


@pytest.mark.parametrize(
    "answer",
    [
        lambda _outer: os.urandom(32),
        lambda _outer: bytes(32),
        lambda outer: outer[:31],
        lambda outer: outer + b"\0",
        lambda _outer: b"",
    ],
    ids=["another", "zeros", "short", "long", "nothing"],
)
def test_another_key_than_was_encrypted_opens_nothing(answer: Callable[[bytes], bytes]) -> None:
    service = Service()
    provider = BoxedKeyProvider(service)
    wrapped = provider.wrap("r", SECRET, b"c")
    service.answer = answer
    with pytest.raises(WrapKeyMismatchError):
        provider.unwrap("r", wrapped, b"c")


@pytest.mark.parametrize(("ref", "context"), [("s", b"c"), ("r", b"d"), ("r", b""), ("rc", b"")])
def test_a_careless_service_does_not_move_a_wrap(ref: str, context: bytes) -> None:
    provider = BoxedKeyProvider(Service())
    wrapped = provider.wrap("r", SECRET, b"c")
    assert provider.unwrap("r", wrapped, b"c") == SECRET
    with pytest.raises(WrapNotAuthenticError):
        provider.unwrap(ref, wrapped, context)


@pytest.mark.parametrize("place", range(3 + 32 + 94))
def test_a_malleable_ciphertext_is_found(place: int) -> None:
    provider = BoxedKeyProvider(Service())
    changed = bytearray(provider.wrap("r", SECRET, b"c"))
    changed[place] ^= 1
    with pytest.raises(WrapError):
        provider.unwrap("r", bytes(changed), b"c")


def test_two_boxes_cannot_be_put_together() -> None:
    provider = BoxedKeyProvider(Service())
    one, other = provider.wrap("r", SECRET, b"c"), provider.wrap("r", SECRET, b"c")
    with pytest.raises(WrapKeyMismatchError):
        provider.unwrap("r", one[:-94] + other[-94:], b"c")


def test_health_asks_for_its_own_bytes_back() -> None:
    service = Service()
    provider = BoxedKeyProvider(service)
    provider.health("r")
    assert service.calls == 2


def test_a_silent_service_is_left_alone_for_a_while_by_everybody() -> None:
    def silent(_outer: bytes) -> bytes:
        raise KeyProviderUnavailableError("silent")

    now = [100.0]
    service = Service()
    provider = BoxedKeyProvider(service, monotonic=lambda: now[0])
    wrapped = provider.wrap("r", SECRET, b"c")
    service.answer = silent
    for _ in range(3):
        with pytest.raises(KeyProviderUnavailableError):
            provider.unwrap("r", wrapped, b"c")
    assert service.calls == 2  # the wrap, and one that asked
    service.answer = lambda outer: outer
    now[0] += PAUSE_SECONDS
    assert provider.unwrap("r", wrapped, b"c") == SECRET


def test_what_is_not_the_services_fault_is_no_reason_to_wait() -> None:
    def refuses(_outer: bytes) -> bytes:
        raise KeyProviderUnusableError("no")

    service = Service()
    provider = BoxedKeyProvider(service)
    wrapped = provider.wrap("r", SECRET, b"c")
    service.answer = refuses
    for _ in range(2):
        with pytest.raises(KeyProviderUnusableError):
            provider.unwrap("r", wrapped, b"c")
    assert service.calls == 3


@pytest.mark.parametrize("ref", ["", "a b", "ä", "x" * 1025, "a\n"])
def test_what_is_no_reference_reaches_no_service(ref: str) -> None:
    service = Service()
    with pytest.raises(KeyRefUnknownError):
        BoxedKeyProvider(service).destroy(ref)
    with pytest.raises((KeyRefUnknownError, UnicodeEncodeError)):
        BoxedKeyProvider(service).wrap(ref, SECRET, b"c")
    assert service.calls == 0


def test_a_client_is_made_once_and_again_when_it_was_forgotten() -> None:
    made: list[object] = []
    client = PerProcess(lambda: made.append(object()) or made[-1])
    assert client.get() is client.get()
    client.forget()
    assert client.get() is made[1]


def test_the_checksum_is_the_one_of_rfc_3720() -> None:
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(b"\xff" * 32) == 0x62A8AB43
