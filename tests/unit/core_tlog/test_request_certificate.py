"""A certificate is read as it was signed; a changed, contradictory or unknown one is not."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from auditvault.core.tlog.canonical import canonical_bytes
from auditvault.core.tlog.note import (
    NoteError,
    NoteSigner,
    NoteUntrustedError,
    NoteVerifier,
    parse_note,
    sign_note,
)
from auditvault.core.tlog.request_certificate import (
    Ground,
    LedgerRecord,
    Recipient,
    RegionPart,
    RequestCertificate,
    RequestCertificateError,
    certificate_name,
    open_certificate,
    read_certificate,
)

LOG = certificate_name("log.example", "eu")
KEY = Ed25519PrivateKey.from_private_bytes(bytes(31) + b"\1")
SIGNER = NoteSigner(LOG, KEY)


def instant(day: int) -> str:
    return f"2026-11-{day:02}T22:00:00.000000Z"


def certificate(**changes) -> RequestCertificate:
    return replace(
        RequestCertificate(
            log=LOG,
            certificate_id=str(UUID(int=1)),
            request_id=str(UUID(int=2)),
            kind="erasure",
            tenant_id=str(UUID(int=3)),
            regime="gdpr",
            regime_version="1",
            received_at=instant(1),
            completed_at=instant(20),
            issued_at=instant(28),
            outcome="partly",
            manifest=bytes(32),
            found=10,
            done=6,
            exempt=3,
            held=1,
            grounds=(Ground(ground="17(3)(b)", objects=1), Ground(ground="17(3)(e)", objects=2)),
            regions=(
                RegionPart(
                    region="eu",
                    done=4,
                    keys=2,
                    records=(LedgerRecord(index=7, record_hash=bytes(32)),),
                ),
                RegionPart(region="us", done=2, keys=0, records=()),
            ),
            checked=10,
            backups_past_recall_at=instant(27),
            recipients=(
                Recipient(recipient_id=str(UUID(int=4)), attempts=2, acknowledged_at=instant(25)),
                Recipient(recipient_id=str(UUID(int=5)), attempts=9, acknowledged_at=None),
            ),
        ),
        **changes,
    )


def trusted(name: str) -> list[NoteVerifier]:
    return [NoteVerifier(name, KEY.public_key().public_bytes_raw())]


def members() -> dict:
    text, _ = parse_note(certificate().sign(SIGNER).decode())
    return json.loads(text)


def signed(changed: dict) -> bytes:
    return sign_note(canonical_bytes(changed).decode() + "\n", [SIGNER]).encode()


def test_a_certificate_is_read_as_it_was_signed():
    data = certificate().sign(SIGNER)
    assert open_certificate(data, trusted) == read_certificate(data) == certificate()
    assert certificate().region == "eu"


def test_one_for_nothing_found_says_so_in_the_same_form():
    nothing = certificate(
        outcome="nothing_found",
        found=0,
        done=0,
        exempt=0,
        held=0,
        grounds=(),
        regions=(RegionPart(region="eu", done=0, keys=0, records=()),),
        checked=0,
        backups_past_recall_at=None,
        recipients=(),
    )
    assert open_certificate(nothing.sign(SIGNER), trusted) == nothing
    assert {each.name for each in fields(nothing)} == {each.name for each in fields(certificate())}


def test_only_a_trusted_key_counts():
    other = Ed25519PrivateKey.from_private_bytes(bytes(31) + b"\2")
    with pytest.raises(NoteUntrustedError):
        open_certificate(certificate().sign(NoteSigner(LOG, other)), trusted)


@given(st.data())
def test_no_byte_can_be_changed(data):
    body = bytearray(certificate().sign(SIGNER))
    place = data.draw(st.integers(min_value=0, max_value=len(body) - 1))
    body[place] ^= data.draw(st.integers(min_value=1, max_value=255))
    with pytest.raises((RequestCertificateError, NoteError)):
        open_certificate(bytes(body), trusted)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_certificate_or_refused(data):
    with pytest.raises((RequestCertificateError, NoteError)):
        read_certificate(data)


@pytest.mark.parametrize(
    "changes",
    [
        {"found": 11},
        {"done": 7, "found": 11},
        {"exempt": 4, "found": 11},
        {"outcome": "done"},
        {"outcome": "nothing_found"},
        {"outcome": "perfect"},
        {"kind": "deletion"},
        {"completed_at": instant(29)},
        {"received_at": instant(21)},
        {"issued_at": "2026-11-28"},
        {"log": "log.example/eu/x"},
        {"log": "ledger/certificates"},
        {"log": "eu/ledger/certificates"},
        {"request_id": "Erika"},
        {"regime": "GDPR"},
        {"manifest": bytes(31)},
        {"held": -1, "found": 8},
        {"grounds": (Ground(ground="Erika", objects=3),)},
        {"grounds": (Ground(ground="2", objects=1), Ground(ground="1", objects=2))},
        {"regions": (RegionPart(region="eu", done=6, keys=1, records=()),)},
        {
            "regions": (
                RegionPart(region="us", done=2, keys=0, records=()),
                RegionPart(region="eu", done=4, keys=0, records=()),
            )
        },
        {
            "recipients": (
                Recipient(recipient_id="a@example.org", attempts=1, acknowledged_at=None),
            )
        },
    ],
)
def test_what_contradicts_itself_or_could_name_somebody_is_not_signed(changes):
    changed = certificate(**changes)
    with pytest.raises(RequestCertificateError):
        changed.sign(NoteSigner(changed.log, KEY))


@pytest.mark.parametrize("opened", [1, False, None, "0"])
def test_nothing_is_certified_while_something_opens(opened):
    with pytest.raises(RequestCertificateError):
        read_certificate(signed(members() | {"verification": {"checked": 10, "opened": opened}}))


@pytest.mark.parametrize(
    "changes",
    [
        {"v": "auditvault/certificate/2"},
        {"subject": str(UUID(int=9))},
        {"objects": {"found": 10, "done": 6, "exempt": 3}},
        {"objects": {"found": True, "done": 6, "exempt": 3, "held": 1}},
        {"objects": []},
        {"regions": {}},
        {"recipients": [None]},
        {"kind": ["erasure"]},
    ],
)
def test_another_form_is_refused(changes):
    with pytest.raises(RequestCertificateError):
        read_certificate(signed(members() | changes))


@pytest.mark.parametrize("member", sorted(members()))
def test_no_member_may_be_missing(member):
    rest = members()
    del rest[member]
    with pytest.raises(RequestCertificateError):
        read_certificate(signed(rest))
