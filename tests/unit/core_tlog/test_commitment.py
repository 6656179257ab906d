from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditvault.core.tlog.commitment import (
    CommitmentError,
    CommitmentMismatchError,
    content_commitment,
    header_commitment,
    verify_content_commitment,
    verify_header_commitment,
)

OPENING = bytes(range(32))
HEADER = b'{"model":"m"}'
CONTENT = hashlib.sha256(b"content").digest()
labels = st.from_regex(r"[a-z_.]{1,64}", fullmatch=True)
openings = st.binary(min_size=32, max_size=32)


def _kc() -> bytes:
    return hashlib.sha256(b"auditvault/commitment/1").digest()


@given(openings, labels, st.binary())
def test_a_header_commitment_is_the_hmac_that_the_specification_writes(
    opening: bytes, entry_type: str, header: bytes
) -> None:
    message = opening
    message += len(entry_type).to_bytes(8, "big") + entry_type.encode()
    message += len(header).to_bytes(8, "big") + header

    commitment = header_commitment(opening, entry_type, header)

    assert commitment == hmac.new(_kc(), message, "sha256").digest()


@given(openings, labels, st.binary())
def test_a_content_commitment_is_the_hmac_that_the_specification_writes(
    opening: bytes, role: str, content: bytes
) -> None:
    digest = hashlib.sha256(content).digest()
    message = opening + len(role).to_bytes(8, "big") + role.encode() + digest

    commitment = content_commitment(opening, role, digest)

    assert commitment == hmac.new(_kc(), message, "sha256").digest()


@given(openings, labels, st.binary())
def test_what_was_committed_to_opens(opening: bytes, label: str, value: bytes) -> None:
    digest = hashlib.sha256(value).digest()

    verify_header_commitment(
        header_commitment(opening, label, value),
        opening=opening,
        entry_type=label,
        header_bytes=value,
    )
    verify_content_commitment(
        content_commitment(opening, label, digest),
        opening=opening,
        role=label,
        content_sha256=digest,
    )


@pytest.mark.parametrize(
    ("opening", "entry_type", "header"),
    [
        (bytes(32), "interaction", HEADER),
        (OPENING, "interactions", HEADER),
        (OPENING, "interaction", HEADER + b" "),
        (OPENING, "interaction", b""),
    ],
)
def test_a_header_commitment_opens_to_nothing_else(
    opening: bytes, entry_type: str, header: bytes
) -> None:
    commitment = header_commitment(OPENING, "interaction", HEADER)

    with pytest.raises(CommitmentMismatchError) as caught:
        verify_header_commitment(
            commitment, opening=opening, entry_type=entry_type, header_bytes=header
        )

    assert caught.value.code == "commitment_mismatch"


@pytest.mark.parametrize(
    ("opening", "role", "digest"),
    [
        (bytes(32), "input_messages", CONTENT),
        (OPENING, "output_messages", CONTENT),
        (OPENING, "input_messages", bytes(32)),
    ],
)
def test_a_content_commitment_opens_to_nothing_else(
    opening: bytes, role: str, digest: bytes
) -> None:
    commitment = content_commitment(OPENING, "input_messages", CONTENT)

    with pytest.raises(CommitmentMismatchError):
        verify_content_commitment(commitment, opening=opening, role=role, content_sha256=digest)


def test_a_flipped_bit_of_a_commitment_does_not_open() -> None:
    commitment = bytearray(header_commitment(OPENING, "interaction", HEADER))
    commitment[31] ^= 1

    with pytest.raises(CommitmentMismatchError):
        verify_header_commitment(
            bytes(commitment), opening=OPENING, entry_type="interaction", header_bytes=HEADER
        )


def test_a_truncated_commitment_does_not_open() -> None:
    commitment = header_commitment(OPENING, "interaction", HEADER)[:31]

    with pytest.raises(CommitmentMismatchError):
        verify_header_commitment(
            commitment, opening=OPENING, entry_type="interaction", header_bytes=HEADER
        )


@pytest.mark.parametrize("opening", [b"", bytes(31), bytes(33)])
def test_an_opening_of_another_size_is_refused(opening: bytes) -> None:
    with pytest.raises(CommitmentError):
        header_commitment(opening, "interaction", HEADER)


@pytest.mark.parametrize("label", ["", "A", "a" * 65, "a b", "é", "a\n"])
def test_a_role_outside_its_alphabet_is_refused(label: str) -> None:
    with pytest.raises(CommitmentError):
        content_commitment(OPENING, label, CONTENT)


def test_a_content_hash_of_another_size_is_refused() -> None:
    with pytest.raises(CommitmentError):
        content_commitment(OPENING, "input_messages", b"content")
