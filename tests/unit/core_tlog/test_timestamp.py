"""Stamps of a real authority, verified by the standard library and `cryptography`; two other verifiers agree."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from rfc3161_client import VerificationError, VerifierBuilder, decode_timestamp_response

from auditvault.core.errors import AuditvaultError
from auditvault.core.tlog import timestamp as subject
from auditvault.core.tlog.certificates import CertificateError
from auditvault.core.tlog.timestamp import verify_timestamp
from tests.reference.timestamp_authority import POLICY, TimestampAuthority, openssl

DATA = b"auditvault/super-root/1\n1\nAAAA\n"
KINDS = {
    "rsa": {},
    "p256": {"curve": ec.SECP256R1()},
    "p384": {"curve": ec.SECP384R1()},
    "named by sha-1": {"ess": "sha1"},
    "named by sha-512": {"ess": "sha512"},
}


@pytest.fixture(scope="module")
def tsa(tmp_path_factory: pytest.TempPathFactory) -> TimestampAuthority:
    return TimestampAuthority.make(tmp_path_factory.mktemp("tsa"))


@pytest.fixture(scope="module")
def query(tsa: TimestampAuthority) -> bytes:
    return query_for(DATA, tsa.folder)


@pytest.fixture(scope="module")
def answer(tsa: TimestampAuthority, query: bytes) -> bytes:
    return tsa.answer(query)


def query_for(data: bytes, folder: Path, *words: str) -> bytes:
    (folder / "asked").write_bytes(data)
    return openssl("ts", "-query", "-data", str(folder / "asked"), *(words or ("-sha256", "-cert")))


def roots_of(tsa: TimestampAuthority) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(tsa.root_file.read_bytes())


@pytest.mark.parametrize("kind", KINDS)
def test_an_honest_stamp_says_when_and_under_which_policy(kind: str, tmp_path: Path) -> None:
    tsa = TimestampAuthority.make(tmp_path, **KINDS[kind])
    found = verify_timestamp(tsa.answer(query_for(DATA, tmp_path)), DATA, roots_of(tsa))
    assert abs(found.gen_time - datetime.now(UTC)) < timedelta(minutes=1)
    assert found.policy == POLICY


def test_a_stamp_outlives_its_authoritys_certificate(tmp_path: Path) -> None:
    ended = TimestampAuthority.make(tmp_path, days=(-60, -1))
    then = datetime.now(UTC).replace(microsecond=0) - timedelta(days=5)
    dated = ended.answer_dated(query_for(DATA, tmp_path), then)
    assert verify_timestamp(dated, DATA, roots_of(ended)).gen_time == then


def test_a_stamp_made_after_its_certificate_ended_is_refused(tmp_path: Path) -> None:
    ended = TimestampAuthority.make(tmp_path, days=(-60, -1))
    response = ended.answer(query_for(DATA, tmp_path))
    with pytest.raises(CertificateError):
        verify_timestamp(response, DATA, roots_of(ended))


def test_a_stamp_over_other_bytes_is_refused(tsa: TimestampAuthority, answer: bytes) -> None:
    with pytest.raises(subject.TimestampImprintError):
        verify_timestamp(answer, DATA + b"x", roots_of(tsa))


def test_a_stamp_over_another_hash_of_the_bytes_is_refused(tsa: TimestampAuthority) -> None:
    response = tsa.answer(query_for(DATA, tsa.folder, "-sha512", "-cert"))
    with pytest.raises(subject.TimestampImprintError):
        verify_timestamp(response, DATA, roots_of(tsa))


def test_an_authority_under_another_root_is_refused(answer: bytes, tmp_path: Path) -> None:
    other = TimestampAuthority.make(tmp_path)
    with pytest.raises(CertificateError):
        verify_timestamp(answer, DATA, roots_of(other))


def test_no_roots_trust_nobody(answer: bytes) -> None:
    with pytest.raises(CertificateError):
        verify_timestamp(answer, DATA, [])


def test_a_certificate_put_in_for_another_of_the_same_key_is_refused(
    tsa: TimestampAuthority, query: bytes
) -> None:
    with pytest.raises((subject.TimestampSignatureError, CertificateError)):
        verify_timestamp(tsa.answer_for_mail(query), DATA, roots_of(tsa))


def test_a_stamp_without_its_certificate_is_refused(tsa: TimestampAuthority) -> None:
    response = tsa.answer(query_for(DATA, tsa.folder, "-sha256"))
    with pytest.raises(subject.TimestampSignatureError, match="without"):
        verify_timestamp(response, DATA, roots_of(tsa))


def test_a_refusal_is_no_stamp(tsa: TimestampAuthority) -> None:
    with pytest.raises(subject.TimestampRefusedError):
        verify_timestamp(bytes.fromhex("30053003020102"), DATA, roots_of(tsa))


def test_a_refusal_that_carries_a_stamp_is_none(tsa: TimestampAuthority, answer: bytes) -> None:
    granted, rejected = bytes.fromhex("3003020100"), bytes.fromhex("3003020102")
    assert answer.count(granted) == 1
    with pytest.raises(subject.TimestampRefusedError):
        verify_timestamp(answer.replace(granted, rejected), DATA, roots_of(tsa))


@pytest.mark.parametrize("data", [b"", b"0", b"\x30\x00", b"\x30\x80", b"<html>", bytes(70_000)])
def test_what_is_no_answer_is_refused(tsa: TimestampAuthority, data: bytes) -> None:
    with pytest.raises(subject.TimestampMalformedError):
        verify_timestamp(data, DATA, roots_of(tsa))


@pytest.mark.filterwarnings("ignore:Parsed a serial number")
def test_an_answer_cut_anywhere_is_refused(tsa: TimestampAuthority, answer: bytes) -> None:
    for end in range(len(answer)):
        with pytest.raises(subject.TimestampMalformedError):
            verify_timestamp(answer[:end], DATA, roots_of(tsa))


def theirs_accepts(response: bytes, tsa: TimestampAuthority) -> bool:
    try:
        decoded = decode_timestamp_response(response)
        verifier = VerifierBuilder(roots=roots_of(tsa)).build()
        return verifier.verify_message(decoded, DATA)
    except (VerificationError, ValueError):
        return False


@pytest.mark.filterwarnings("ignore:Parsed a serial number")
def test_a_changed_answer_says_the_same_or_is_refused_as_by_another_verifier(
    tsa: TimestampAuthority, answer: bytes
) -> None:
    """What we take, another verifier takes too; what is left to change says nothing."""
    said = verify_timestamp(answer, DATA, roots_of(tsa))
    taken = 0
    for at in range(len(answer)):
        changed = answer[:at] + bytes([answer[at] ^ random.Random(at).randint(1, 255)])
        changed += answer[at + 1 :]
        try:
            found = verify_timestamp(changed, DATA, roots_of(tsa))
        except AuditvaultError:
            continue
        taken += 1
        assert found == said
    # The version numbers, the list of hashes and the algorithms' parameters, which no signature covers.
    assert taken < 30


def test_three_verifiers_agree_on_an_honest_stamp(tsa: TimestampAuthority, answer: bytes) -> None:
    assert verify_timestamp(answer, DATA, roots_of(tsa))
    assert theirs_accepts(answer, tsa)
    assert "Verification: OK" in tsa.verify(DATA, answer)


def test_a_stamp_whose_attributes_were_signed_by_another_key_is_refused(
    tsa: TimestampAuthority, answer: bytes, tmp_path: Path
) -> None:
    """The signature of another authority, of the same length, in the place of this one's."""
    other = TimestampAuthority.make(tmp_path)
    signature = other.answer(query_for(DATA, tmp_path))[-256:]
    with pytest.raises(subject.TimestampSignatureError, match="signature is wrong"):
        verify_timestamp(answer[:-256] + signature, DATA, roots_of(tsa))
