"""Chains of certificates: what may sign time stamps, with OpenSSL's judgement beside ours."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from auditvault.core.tlog.certificates import CertificateError, check_timestamp_signer

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
STAMPING = ExtendedKeyUsageOID.TIME_STAMPING
KEYS = {name: ec.generate_private_key(ec.SECP256R1()) for name in ("root", "middle", "low", "tsa")}
CA = x509.BasicConstraints(ca=True, path_length=None)
NOT_CA = x509.BasicConstraints(ca=False, path_length=None)
MAY_SIGN_CERTIFICATES = (5,)


def usage(*bits: int) -> x509.KeyUsage:
    """The key usage with those bits of RFC 5280 section 4.2.1.3 set."""
    return x509.KeyUsage(*[bit in bits for bit in range(9)])


def certificate(
    name: str,
    issuer: str,
    *extensions: tuple[x509.ExtensionType, bool],
    days: tuple[int, int] = (-30, 30),
    key: str | None = None,
    signed_by: str | None = None,
    algorithm: Any = None,
) -> x509.Certificate:
    """A certificate of `name` by `issuer`, valid from `days[0]` until `days[1]` from now."""

    def named(common: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])

    builder = (
        x509.CertificateBuilder()
        .subject_name(named(name))
        .issuer_name(named(issuer))
        .public_key(KEYS[key or name].public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW + timedelta(days=days[0]))
        .not_valid_after(NOW + timedelta(days=days[1]))
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(KEYS[signed_by or issuer], algorithm or hashes.SHA256())


def eku(*usages: ObjectIdentifier) -> x509.ExtendedKeyUsage:
    return x509.ExtendedKeyUsage(usages)


ROOT = certificate("root", "root", (CA, True))
MIDDLE = certificate("middle", "root", (CA, True))
STAMPER = (eku(STAMPING), True)


def accepts(
    leaf: x509.Certificate,
    others: Sequence[x509.Certificate] = (),
    roots: Sequence[x509.Certificate] = (ROOT,),
    at: datetime = NOW,
) -> bool:
    try:
        check_timestamp_signer(leaf, others, roots, at)
    except CertificateError:
        return False
    return True


def openssl_accepts(
    folder: Path, leaf: x509.Certificate, others: Sequence[x509.Certificate], at: datetime = NOW
) -> bool:
    for name, listed in {"leaf": [leaf], "others": others, "roots": [ROOT]}.items():
        text = b"".join(each.public_bytes(Encoding.PEM) for each in listed)
        (folder / f"{name}.pem").write_bytes(text)
    words = ["-purpose", "timestampsign", "-attime", str(int(at.timestamp())), "-no-CApath"]
    if others:
        words += ["-untrusted", str(folder / "others.pem")]
    done = subprocess.run(
        ["openssl", "verify", *words, "-CAfile", folder / "roots.pem", folder / "leaf.pem"],
        capture_output=True,
        check=False,
    )
    return done.returncode == 0


GOOD: dict[str, tuple[x509.Certificate, list[x509.Certificate]]] = {
    "by the root": (certificate("tsa", "root", STAMPER, (NOT_CA, True)), []),
    "by one in between": (certificate("tsa", "middle", STAMPER), [MIDDLE]),
    "by two in between, in any order": (
        certificate("tsa", "low", STAMPER),
        [certificate("low", "middle", (CA, True)), MIDDLE],
    ),
    "with key usage": (
        certificate("tsa", "middle", STAMPER, (usage(0), True)),
        [certificate("middle", "root", (CA, True), (usage(*MAY_SIGN_CERTIFICATES), True))],
    ),
    "under a path length that is enough": (
        certificate("tsa", "middle", STAMPER),
        [certificate("middle", "root", (x509.BasicConstraints(ca=True, path_length=0), True))],
    ),
    "beside an expired namesake of the one in between": (
        certificate("tsa", "middle", STAMPER),
        [certificate("middle", "root", (CA, True), days=(-30, -1)), MIDDLE],
    ),
}

UNKNOWN = x509.UnrecognizedExtension(ObjectIdentifier("1.2.3.4"), b"\x05\x00")
BAD: dict[str, tuple[x509.Certificate, list[x509.Certificate]]] = {
    "without a purpose": (certificate("tsa", "root"), []),
    "for mail": (certificate("tsa", "root", (eku(ExtendedKeyUsageOID.EMAIL_PROTECTION), True)), []),
    "for mail too": (
        certificate("tsa", "root", (eku(STAMPING, ExtendedKeyUsageOID.EMAIL_PROTECTION), True)),
        [],
    ),
    "with a purpose that is not critical": (
        certificate("tsa", "root", (eku(STAMPING), False)),
        [],
    ),
    "expired": (certificate("tsa", "root", STAMPER, days=(-30, -1)), []),
    "not yet valid": (certificate("tsa", "root", STAMPER, days=(1, 30)), []),
    "not for signatures": (certificate("tsa", "root", STAMPER, (usage(2), True)), []),
    "with something critical that nobody knows": (
        certificate("tsa", "root", STAMPER, (UNKNOWN, True)),
        [],
    ),
    "signed by another key of the root's name": (
        certificate("tsa", "root", STAMPER, signed_by="low"),
        [],
    ),
    "by one in between that did not come along": (certificate("tsa", "middle", STAMPER), []),
    "by one in between that is no authority": (
        certificate("tsa", "middle", STAMPER),
        [certificate("middle", "root", (NOT_CA, True))],
    ),
    "by one in between that does not say what it is": (
        certificate("tsa", "middle", STAMPER),
        [certificate("middle", "root")],
    ),
    "by one in between that may not sign certificates": (
        certificate("tsa", "middle", STAMPER),
        [certificate("middle", "root", (CA, True), (usage(0), True))],
    ),
    "by one in between that has expired": (
        certificate("tsa", "middle", STAMPER),
        [certificate("middle", "root", (CA, True), days=(-30, -1))],
    ),
    "deeper than a path length allows": (
        certificate("tsa", "low", STAMPER),
        [
            certificate("low", "middle", (CA, True)),
            certificate("middle", "root", (x509.BasicConstraints(ca=True, path_length=0), True)),
        ],
    ),
    "by one in between for web servers": (
        certificate("tsa", "middle", STAMPER),
        [certificate("middle", "root", (CA, True), (eku(ExtendedKeyUsageOID.SERVER_AUTH), False))],
    ),
    "by two that vouch for each other": (
        certificate("tsa", "middle", STAMPER),
        [certificate("middle", "low", (CA, True)), certificate("low", "middle", (CA, True))],
    ),
}
# OpenSSL looks at a critical purpose only when it verifies a stamp as a whole (`openssl ts`), and at nobody's purpose
# on the way.
STRICTER_HERE = {
    "for mail too",
    "with a purpose that is not critical",
    "without a purpose",
    "by one in between for web servers",
}


@pytest.mark.parametrize("case", GOOD)
def test_a_certificate_for_stamps_is_accepted(case: str, tmp_path: Path) -> None:
    leaf, others = GOOD[case]
    assert accepts(leaf, others)
    assert openssl_accepts(tmp_path, leaf, others)


@pytest.mark.parametrize("case", BAD)
def test_any_other_is_refused(case: str, tmp_path: Path) -> None:
    leaf, others = BAD[case]
    assert not accepts(leaf, others)
    assert case in STRICTER_HERE or not openssl_accepts(tmp_path, leaf, others)


def test_a_certificate_is_judged_at_the_instant_that_is_given() -> None:
    leaf = certificate("tsa", "root", STAMPER, days=(-30, -1))
    assert accepts(leaf, at=NOW - timedelta(days=2))


def test_a_root_that_has_expired_vouches_for_nobody() -> None:
    old = certificate("root", "root", (CA, True), days=(-60, -40))
    assert not accepts(certificate("tsa", "root", STAMPER), roots=[old])


def test_a_root_that_came_along_is_not_trusted() -> None:
    assert not accepts(certificate("tsa", "root", STAMPER), [ROOT], roots=[MIDDLE])


def test_without_roots_nobody_is_trusted() -> None:
    assert not accepts(certificate("tsa", "root", STAMPER), [ROOT], roots=[])


def test_a_signers_own_certificate_is_no_root() -> None:
    own = certificate("tsa", "tsa", STAMPER)
    assert not accepts(own, [own], roots=[own])
