"""Records of an erasure ledger: read to the letter, signed, and each the one that follows."""

from __future__ import annotations

import base64
import dataclasses
import json
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from auditvault.core.errors import AuditvaultError
from auditvault.core.tlog.canonical import canonical_bytes
from auditvault.core.tlog.erasure_ledger import (
    NO_HASH,
    DestroyedKey,
    ErasureChain,
    ErasureChainError,
    ErasureRecord,
    ErasureRecordError,
    file_name,
    index_of,
    ledger_name,
    open_record,
    record_hash,
)
from auditvault.core.tlog.note import NoteError, NoteSigner, NoteUntrustedError, sign_note
from auditvault.core.tlog.trust import TrustStore

LOG = ledger_name("log.example", "eu")
KEY = Ed25519PrivateKey.from_private_bytes(bytes(31) + b"\1")
OTHER_KEY = Ed25519PrivateKey.from_private_bytes(bytes(31) + b"\2")
SUBJECTS = tuple(str(UUID(int=number)) for number in (1, 2))


def trusted(name, *, key=KEY):
    return [NoteSigner(name, key).verifier()]


def destroyed(number=7, **changes):
    values = {
        "key_id": str(UUID(int=number)),
        "subject_id": SUBJECTS[0],
        "data_class": "content",
        "version": 1,
    }
    return DestroyedKey(**values | changes)


def record(index=0, previous=NO_HASH, **changes):
    values = {
        "log": LOG,
        "index": index,
        "previous": previous,
        "recorded_at": "2026-11-24T22:00:00.000000Z",
        "erasure_id": str(UUID(int=100 + index)),
        "reference": str(UUID(int=3)),
        "tenant_id": str(UUID(int=4)),
        "subject_ids": SUBJECTS,
        "keys": (destroyed(), destroyed(8, version=2)),
    }
    return ErasureRecord(**values | changes)


def signed(made, *, key=KEY):
    return made.sign(NoteSigner(made.log, key))


def ledger(count=4):
    """The bytes of so many records, each after the one before."""
    found, previous = [], NO_HASH
    for index in range(count):
        found.append(signed(record(index, previous)))
        previous = record_hash(found[-1])
    return found


def verified(datas, region="eu", verifiers_for=trusted):
    chain = ErasureChain(region, verifiers_for)
    for data in datas:
        chain.add(data)
    return chain


ids = st.uuids().map(str)


@given(
    index=st.integers(0, 2**53 - 1),
    previous=st.binary(min_size=32, max_size=32),
    subjects=st.sets(ids, min_size=1, max_size=5),
    erasure=ids,
    version=st.integers(1, 2**53 - 1),
)
def test_what_was_signed_is_read_again(index, previous, subjects, erasure, version):
    made = record(
        index,
        previous,
        subject_ids=tuple(sorted(subjects)),
        erasure_id=erasure,
        keys=(destroyed(subject_id=min(subjects), version=version),),
    )
    assert open_record(signed(made), trusted) == made


def test_a_whole_ledger_is_verified_and_its_head_is_the_last_record():
    datas = ledger()
    chain = verified(datas)
    assert (chain.size, chain.head) == (4, record_hash(datas[-1]))


def test_an_empty_ledger_has_no_head():
    assert (verified([]).size, verified([]).head) == (0, NO_HASH)


def test_no_single_flipped_bit_is_read():
    data = signed(record())
    for place in range(0, len(data), 7):
        bad = bytearray(data)
        bad[place] ^= 1
        with pytest.raises(AuditvaultError):
            verified([bytes(bad)])


@pytest.mark.parametrize("gone", [0, 1, 2])
def test_a_record_taken_out_is_found(gone):
    datas = ledger()
    del datas[gone]
    with pytest.raises(ErasureChainError):
        verified(datas)


def test_two_records_that_changed_places_are_found():
    datas = ledger()
    datas[1], datas[2] = datas[2], datas[1]
    with pytest.raises(ErasureChainError):
        verified(datas)


def test_a_record_edited_and_signed_anew_by_the_same_key_is_found_by_the_next():
    datas = ledger()
    edited = dataclasses.replace(open_record(datas[1], trusted), subject_ids=SUBJECTS[:1])
    datas[1] = signed(edited)
    with pytest.raises(ErasureChainError, match="record 2 does not follow"):
        verified(datas)


def test_a_record_of_another_key_is_not_believed():
    with pytest.raises(NoteUntrustedError):
        verified([signed(record(), key=OTHER_KEY)])


def test_a_record_of_another_region_is_not_taken():
    with pytest.raises(ErasureChainError, match="another ledger"):
        verified([signed(record())], region="us")


def test_a_record_of_another_host_is_not_taken_after_the_first():
    first = signed(record())
    other = record(1, record_hash(first), log=ledger_name("other.example", "eu"))
    with pytest.raises(ErasureChainError, match="another ledger"):
        verified([first, signed(other)])


def test_a_key_that_is_trusted_for_all_logs_of_a_region_is_not_trusted_for_its_erasures():
    public = NoteSigner("x", KEY).verifier().public_key
    entry = {"public_key": base64.b64encode(public).decode(), "origins": ["log.example/eu/*"]}
    store = TrustStore.from_json(json.dumps({"logs": [entry]}))
    with pytest.raises(NoteUntrustedError):
        verified([signed(record())], verifiers_for=store.verifiers_for)


@pytest.mark.parametrize(
    "changes",
    [
        {"index": -1},
        {"index": 2**53},
        {"subject_ids": ()},
        {"subject_ids": SUBJECTS[::-1]},
        {"subject_ids": SUBJECTS[:1] * 2},
        {"subject_ids": tuple(str(UUID(int=n)) for n in range(1001))},
        {"subject_ids": ("anna@example.org",)},
        {"tenant_id": str(UUID(int=4)).upper() + "x"},
        {"recorded_at": "2026-11-24 22:00:00"},
        {"recorded_at": "2026-11-24T22:00:00.000000+01:00"},
        {"log": "log.example/eu/0f8fad5b-d9cb-469f-a165-70867728950e"},
        {"log": "eu/ledger/erasures"},
        {"keys": (destroyed(subject_id=str(UUID(int=9))),)},
        {"keys": (destroyed(version=0),)},
        {"keys": (destroyed(data_class="Content!"),)},
        {"keys": tuple(map(destroyed, range(4001)))},
    ],
    ids="-".join,
)
def test_a_record_of_another_form_is_not_made(changes):
    with pytest.raises(ErasureRecordError):
        signed(record(**changes))


def test_the_largest_record_fits_a_note():
    subjects = tuple(sorted(str(UUID(int=2**100 + n)) for n in range(1000)))
    keys = tuple(destroyed(n, subject_id=subjects[0], data_class="c" * 31) for n in range(4000))
    assert len(signed(record(subject_ids=subjects, keys=keys))) < 1_000_000


@pytest.mark.parametrize("change", ["more", "less", "version"])
def test_a_signed_text_with_other_members_is_no_record(change):
    members = record()._members()
    if change == "more":
        members["name"] = "x"
    elif change == "less":
        del members["keys"]
    else:
        members["v"] = "auditvault/erasure/2"
    note = sign_note(canonical_bytes(members).decode() + "\n", [NoteSigner(LOG, KEY)])
    with pytest.raises(ErasureRecordError):
        open_record(note.encode(), trusted)


@pytest.mark.parametrize(
    "data", [b"", b"\xff", b"{}", b"{}\n\n", b"[]\n\n\xe2\x80\x94 x AAAAAAA=\n"]
)
def test_other_bytes_are_no_record(data):
    with pytest.raises((ErasureRecordError, NoteError)):
        open_record(data, trusted)


@given(st.integers(0, 10**19 - 1))
def test_a_file_name_says_its_index(index):
    assert index_of(file_name(index)) == index


@pytest.mark.parametrize("name", ["0", "1" * 20, "000000000000000000x", " " * 19, ".part"])
def test_another_name_is_no_records(name):
    with pytest.raises(ErasureRecordError):
        index_of(name)
