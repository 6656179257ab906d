"""One AES-GCM ciphertext that decrypts under two keys is made here, and refused by every format.

The attack is the classic one (Dodis, Grubbs, Ristenpart, Woodage 2018): with both keys known, the
tag is a linear equation in one ciphertext block, so one block chosen rightly gives one tag under
both keys.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from auditvault.core.crypto.envelope import EnvelopeKeyMismatchError, ObjectContext, open_
from auditvault.core.crypto.frames import open_frames
from auditvault.core.crypto.keywrap import WrapKey, WrapKeyMismatchError

BLOCK = 16
ONE = 1 << 127
"""The field's 1 in GCM's bit order (SP 800-38D section 6.3)."""
REDUCTION = 0xE1 << 120


def multiply(x: int, y: int) -> int:
    product = 0
    for bit in range(127, -1, -1):
        if x >> bit & 1:
            product ^= y
        y = (y >> 1) ^ (REDUCTION if y & 1 else 0)
    return product


def power(x: int, exponent: int) -> int:
    result = ONE
    while exponent:
        if exponent & 1:
            result = multiply(result, x)
        x = multiply(x, x)
        exponent >>= 1
    return result


def inverse(x: int) -> int:
    return power(x, 2**128 - 2)


@dataclass(frozen=True, kw_only=True, slots=True)
class Half:
    """One of the two keys, with the associated data that goes with it."""

    key: bytes
    associated_data: bytes

    def block(self, data: bytes) -> int:
        encryptor = Cipher(algorithms.AES(self.key), modes.ECB()).encryptor()
        return int.from_bytes(encryptor.update(data), "big")

    def tag(self, nonce: bytes, ciphertext: bytes) -> int:
        """The tag of a ciphertext of whole blocks, as an element of the field."""
        h, state = self.block(bytes(BLOCK)), 0
        padded = self.associated_data + bytes(-len(self.associated_data) % BLOCK)
        lengths = struct.pack(">QQ", len(self.associated_data) * 8, len(ciphertext) * 8)
        data = padded + ciphertext + lengths
        for at in range(0, len(data), BLOCK):
            state = multiply(state ^ int.from_bytes(data[at : at + BLOCK], "big"), h)
        return state ^ self.block(nonce + b"\0\0\0\1")


def collide(one: Half, other: Half, nonce: bytes, blocks: bytes) -> bytes:
    """Return `blocks`, one more block, and a tag, which decrypt under both keys."""
    difference = one.tag(nonce, blocks + bytes(BLOCK)) ^ other.tag(nonce, blocks + bytes(BLOCK))
    # The last block is multiplied by h twice: once with itself, once with the lengths.
    factor = power(one.block(bytes(BLOCK)), 2) ^ power(other.block(bytes(BLOCK)), 2)
    last = multiply(difference, inverse(factor)).to_bytes(BLOCK, "big")
    return blocks + last + one.tag(nonce, blocks + last).to_bytes(BLOCK, "big")


def derived(secret: bytes, salt: bytes | None, info: bytes) -> tuple[bytes, bytes]:
    out = HKDF(SHA512(), 64, salt, info).derive(secret)
    return out[:32], out[32:]


def lp(value: bytes) -> bytes:
    return struct.pack(">Q", len(value)) + value


CONTEXT = ObjectContext(
    region="eu",
    tenant_id=b"t" * 16,
    subject_id=b"s" * 16,
    object_id=b"o" * 16,
    version=1,
    data_class="prompt",
)
SALT = bytes(range(32))
ENVELOPE_NONCE = b"\x01" * 12
CEKS = (b"A" * 32, b"B" * 32)


def envelope_half(cek: bytes, commitment: bytes) -> Half:
    key = derived(cek, SALT, b"auditvault/envelope/1\x01")[0]
    return Half(key=key, associated_data=CONTEXT.associated_data() + lp(commitment))


def test_one_envelope_under_two_keys_opens_under_at_most_one() -> None:
    commitments = [derived(cek, SALT, b"auditvault/envelope/1\x01")[1] for cek in CEKS]
    for mine, foreign in ((0, 1), (1, 0)):
        one, other = (envelope_half(cek, commitments[mine]) for cek in CEKS)
        forged = collide(one, other, ENVELOPE_NONCE, b"chosen by the attacker: 3 blocks".ljust(48))
        for half in (one, other):  # AES-GCM itself is content with both keys
            assert AESGCM(half.key).decrypt(ENVELOPE_NONCE, forged, half.associated_data)
        envelope = b"AV\x01\x01" + SALT + commitments[mine] + forged
        assert open_(cek=CEKS[mine], context=CONTEXT, envelope=envelope)
        with pytest.raises(EnvelopeKeyMismatchError):
            open_(cek=CEKS[foreign], context=CONTEXT, envelope=envelope)


FRAMED_LABEL = b"auditvault/framed/1\x01"
ONLY_FRAME_NONCE = bytes(11) + b"\x01"


def framed_half(cek: bytes, commitment: bytes) -> Half:
    key = derived(cek, SALT, FRAMED_LABEL)[0]
    bound = CONTEXT.associated_data(FRAMED_LABEL) + lp(commitment)
    return Half(key=key, associated_data=bound)


def test_one_framed_envelope_under_two_keys_opens_under_at_most_one() -> None:
    commitments = [derived(cek, SALT, FRAMED_LABEL)[1] for cek in CEKS]
    for mine, foreign in ((0, 1), (1, 0)):
        one, other = (framed_half(cek, commitments[mine]) for cek in CEKS)
        forged = collide(one, other, ONLY_FRAME_NONCE, b"chosen by the attacker".ljust(48))
        for half in (one, other):
            assert AESGCM(half.key).decrypt(ONLY_FRAME_NONCE, forged, half.associated_data)
        head = b"AF\x01\x01" + SALT + commitments[mine]
        opened = open_frames(cek=CEKS[mine], context=CONTEXT, head=head, sealed=[forged])
        assert len(b"".join(opened.chunks)) == 32
        with pytest.raises(EnvelopeKeyMismatchError):
            open_frames(cek=CEKS[foreign], context=CONTEXT, head=head, sealed=[forged])


def test_one_wrap_under_two_keys_opens_under_at_most_one() -> None:
    keys = (b"K" * 32, b"L" * 32)
    nonce, associated_data = b"n" * 12, b"where it belongs"
    pairs = [derived(key, None, b"auditvault/wrap/1\x01") for key in keys]
    halves = [Half(key=key, associated_data=associated_data) for key, _ in pairs]
    forged = collide(halves[0], halves[1], nonce, b"sixteen bytes  .")
    for half in halves:
        assert len(AESGCM(half.key).decrypt(nonce, forged, associated_data)) == 32
    wrapped = b"\x01\x01" + pairs[0][1] + nonce + forged
    assert WrapKey(bytes(16), keys[0]).unwrap(wrapped, associated_data)
    with pytest.raises(WrapKeyMismatchError):
        WrapKey(bytes(16), keys[1]).unwrap(wrapped, associated_data)
