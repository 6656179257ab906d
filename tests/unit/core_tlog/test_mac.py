"""The fast MACs give what the standard library's HMAC gives."""

from __future__ import annotations

import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditvault.core.tlog.mac import FixedKeyMac, hmac_sha512


@given(key=st.binary(max_size=64), message=st.binary(max_size=300))
def test_the_fixed_key_mac_is_hmac_sha256(key: bytes, message: bytes) -> None:
    assert FixedKeyMac(key).digest(message) == hmac.digest(key, message, "sha256")


@given(key=st.binary(max_size=128), message=st.binary(max_size=300))
def test_the_long_mac_is_hmac_sha512(key: bytes, message: bytes) -> None:
    assert hmac_sha512(key, message) == hmac.digest(key, message, "sha512")


def test_a_key_longer_than_a_block_is_refused_by_the_fixed_key_mac() -> None:
    with pytest.raises(ValueError, match="hashed first"):
        FixedKeyMac(bytes(65))


def test_a_key_longer_than_a_block_is_refused_by_the_long_mac() -> None:
    with pytest.raises(ValueError, match="hashed first"):
        hmac_sha512(bytes(129), b"")
