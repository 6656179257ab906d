"""Whether a certificate may sign time stamps, at an instant, under roots that the caller trusts.

Rules kept: docs/spec/timestamp.md section 6, a strict part of RFC 5280 section 6: names and
signatures chain up to a root, everybody on the way may sign certificates and was valid at the
instant, nobody has a critical extension that is not understood. Revocation is not looked at: there
is nobody to ask offline.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from auditvault.core.errors import AuditvaultError

MAX_CHAIN = 6
"""Certificates between the signer's and the root's, both included."""
_MAX_TRIES = 64  # a set of certificates that all name each other must not keep us for ever

_UNDERSTOOD = frozenset(
    {ExtensionOID.BASIC_CONSTRAINTS, ExtensionOID.KEY_USAGE, ExtensionOID.EXTENDED_KEY_USAGE}
)
_WEAK_HASHES = frozenset({"md5", "sha1"})
_UNREADABLE = (ValueError, TypeError, UnsupportedAlgorithm, x509.DuplicateExtension)


class CertificateError(AuditvaultError):
    """A certificate does not lead to a trusted root, or is not one for time stamps."""

    code: ClassVar[str] = "certificate_not_trusted"


def check_timestamp_signer(
    certificate: x509.Certificate,
    others: Sequence[x509.Certificate],
    roots: Sequence[x509.Certificate],
    at: datetime,
) -> None:
    """Raise CertificateError unless `certificate` could sign a time stamp at `at`.

    `others` are what came along, in any order, trusted for nothing; `roots` are the caller's.
    """
    _check_signer(certificate, at)
    tries = [0]
    if not _leads_to_root(certificate, others, roots, at, (), tries):
        raise CertificateError("its certificate does not lead to a root that you trust")


def _check_signer(certificate: x509.Certificate, at: datetime) -> None:
    """RFC 3161 section 2.3: critical, and for nothing but time stamps."""
    _check_valid(certificate, at)
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    except x509.ExtensionNotFound:
        raise CertificateError("its certificate is not one for time stamps") from None
    if not usage.critical or list(usage.value) != [ExtendedKeyUsageOID.TIME_STAMPING]:
        raise CertificateError("its certificate is not one for time stamps alone")
    key_usage = _key_usage(certificate)
    if key_usage and not (key_usage.digital_signature or key_usage.content_commitment):
        raise CertificateError("its certificate is not one for signatures")


def _leads_to_root(
    certificate: x509.Certificate,
    others: Sequence[x509.Certificate],
    roots: Sequence[x509.Certificate],
    at: datetime,
    below: tuple[x509.Certificate, ...],
    tries: list[int],
) -> bool:
    chain = (*below, certificate)
    if len(chain) >= MAX_CHAIN:
        return False
    # The signer's own certificate is not counted by a path length.
    between = len(chain) - 1
    if any(_issued(root, certificate, between, at) for root in roots):
        return True
    for issuer in others:
        tries[0] += 1
        if tries[0] > _MAX_TRIES:
            return False
        if (
            issuer not in chain
            and _issued(issuer, certificate, between, at)
            and _leads_to_root(issuer, others, roots, at, chain, tries)
        ):
            return True
    return False


def _issued(
    issuer: x509.Certificate, certificate: x509.Certificate, between: int, at: datetime
) -> bool:
    """Whether `issuer` signed the certificate and might."""
    try:
        certificate.verify_directly_issued_by(issuer)
        algorithm = certificate.signature_hash_algorithm
        _check_valid(issuer, at)
        _check_issuer(issuer, between)
    except (InvalidSignature, CertificateError, *_UNREADABLE):
        return False
    return algorithm is None or algorithm.name not in _WEAK_HASHES


def _check_issuer(issuer: x509.Certificate, between: int) -> None:
    try:
        basic = issuer.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        raise CertificateError("a certificate on the way is no authority's") from None
    if not basic.ca or (basic.path_length is not None and basic.path_length < between):
        raise CertificateError("a certificate on the way is no authority's")
    key_usage = _key_usage(issuer)
    if key_usage and not key_usage.key_cert_sign:
        raise CertificateError("a certificate on the way may not sign certificates")
    usage = next(
        (each.value for each in issuer.extensions if isinstance(each.value, x509.ExtendedKeyUsage)),
        None,
    )
    wanted = {ExtendedKeyUsageOID.TIME_STAMPING, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
    if usage is not None and not wanted & set(usage):
        raise CertificateError("a certificate on the way is not for time stamps")


def _check_valid(certificate: x509.Certificate, at: datetime) -> None:
    try:
        extensions = list(certificate.extensions)
        since, until = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    except _UNREADABLE as error:
        raise CertificateError("a certificate cannot be read") from error
    if not since <= at <= until:
        raise CertificateError("a certificate was not valid at the stamp's time")
    if any(each.critical and each.oid not in _UNDERSTOOD for each in extensions):
        raise CertificateError("a certificate has a critical extension that is not understood")


def _key_usage(certificate: x509.Certificate) -> x509.KeyUsage | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return None
