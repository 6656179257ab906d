"""Verifies a time stamp offline: an RFC 3161 answer over some bytes, under trusted roots.

Rules kept: docs/spec/timestamp.md section 6 (RFC 3161 section 2.4.2, RFC 5652 section 5.6, RFC 5816).
The time at which certificates are judged is the stamp's own, so that a stamp outlives its
authority's certificate. Who is asked for stamps, and the comparison of the stamp's time with a
clock, is left to the service; which certificates may sign, to `certificates`.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from auditvault.core.errors import AuditvaultError
from auditvault.core.tlog import der
from auditvault.core.tlog.certificates import check_timestamp_signer
from auditvault.core.tlog.der import DerError, Element, Reader, constructed, primitive

MAX_RESPONSE_SIZE = 64 * 1024

_GRANTED = 0
_SIGNED_DATA = "1.2.840.113549.1.7.2"
_TST_INFO = "1.2.840.113549.1.9.16.1.4"
_CONTENT_TYPE = "1.2.840.113549.1.9.3"
_MESSAGE_DIGEST = "1.2.840.113549.1.9.4"
_SIGNING_CERTIFICATE = "1.2.840.113549.1.9.16.2.12"
_SIGNING_CERTIFICATE_2 = "1.2.840.113549.1.9.16.2.47"
_SHA256 = "2.16.840.1.101.3.4.2.1"
_HASHES: dict[str, hashes.HashAlgorithm] = {
    _SHA256: hashes.SHA256(),
    "2.16.840.1.101.3.4.2.2": hashes.SHA384(),
    "2.16.840.1.101.3.4.2.3": hashes.SHA512(),
}
# Signature algorithms, and the hash that their name brings, which must be the signer's digest. The first brings none.
_RSA = {
    "1.2.840.113549.1.1.1": None,
    "1.2.840.113549.1.1.11": "sha256",
    "1.2.840.113549.1.1.12": "sha384",
    "1.2.840.113549.1.1.13": "sha512",
}
_ECDSA = {
    "1.2.840.10045.4.3.2": "sha256",
    "1.2.840.10045.4.3.3": "sha384",
    "1.2.840.10045.4.3.4": "sha512",
}
_ED25519 = "1.3.101.112"
_MAX_CERTIFICATES = 16


class TimestampMalformedError(AuditvaultError):
    """Bytes are no time stamp answer."""

    code: ClassVar[str] = "timestamp_answer_malformed"


class TimestampRefusedError(AuditvaultError):
    """The authority did not grant a stamp."""

    code: ClassVar[str] = "timestamp_refused"


class TimestampImprintError(AuditvaultError):
    """The stamp is over other bytes."""

    code: ClassVar[str] = "timestamp_of_other_data"


class TimestampSignatureError(AuditvaultError):
    """The stamp's signature, or what it covers, is not what it must be."""

    code: ClassVar[str] = "timestamp_not_verified"


class TimestampAlgorithmError(AuditvaultError):
    """The stamp is signed in a way that this version cannot check; nothing is said about it."""

    code: ClassVar[str] = "timestamp_algorithm_unknown"


@dataclass(frozen=True, kw_only=True, slots=True)
class VerifiedStamp:
    """What a stamp that verified says."""

    gen_time: datetime
    """When the authority says that it stamped; UTC."""
    policy: str
    """The authority's policy, an object identifier in dots."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Token:
    """A CMS SignedData over a TSTInfo, with its one signer."""

    info: bytes
    certificates: tuple[x509.Certificate, ...]
    signer: Element


@dataclass(frozen=True, kw_only=True, slots=True)
class _Signer:
    """A SignerInfo (RFC 5652 section 5.3)."""

    certificate: x509.Certificate
    digest: hashes.HashAlgorithm
    attributes: Element
    algorithm: str
    signature: bytes


def verify_timestamp(
    response: bytes, data: bytes, roots: Sequence[x509.Certificate]
) -> VerifiedStamp:
    """Return what the stamp in `response`, a TimeStampResp in DER, says of `data`.

    Raises TimestampMalformedError, TimestampRefusedError, TimestampImprintError,
    TimestampSignatureError or CertificateError for the rule that it breaks, and
    TimestampAlgorithmError when this version cannot tell.
    """
    if len(response) > MAX_RESPONSE_SIZE:
        raise TimestampMalformedError("a time stamp is at most 64 KiB")
    try:
        return _verify_response(response, data, roots)
    except DerError as error:
        raise TimestampMalformedError(f"not a time stamp: {error.message}") from error
    except (ValueError, UnsupportedAlgorithm, x509.InvalidVersion) as error:
        # What `cryptography` raises, as late as when a part of a certificate is first asked for.
        raise TimestampMalformedError("a certificate in the stamp cannot be read") from error


def _verify_response(
    response: bytes, data: bytes, roots: Sequence[x509.Certificate]
) -> VerifiedStamp:
    token = _token(_granted(response))
    policy, imprint, gen_time = _info(token.info)
    signer = _signer(token)
    if not hmac.compare_digest(imprint, hashlib.sha256(data).digest()):
        raise TimestampImprintError("the stamp is over other bytes")
    _check_attributes(_attributes(signer.attributes), token, signer)
    _check_signature(signer)
    check_timestamp_signer(signer.certificate, token.certificates, roots, gen_time)
    return VerifiedStamp(gen_time=gen_time, policy=policy)


def _granted(response: bytes) -> Element:
    """TimeStampResp (RFC 3161 section 2.4.2): the token, where the status is granted."""
    outer = der.only(response, der.SEQUENCE).members()
    status = outer.take(der.SEQUENCE).members().take(der.INTEGER).integer()
    if status != _GRANTED:
        raise TimestampRefusedError("the authority did not grant a stamp")
    token = outer.take(der.SEQUENCE)
    outer.end()
    return token


def _token(content_info: Element) -> _Token:
    """ContentInfo and SignedData (RFC 5652 sections 3 and 5.1)."""
    outer = content_info.members()
    _expect(outer, _SIGNED_DATA)
    signed = der.only(outer.take(constructed(0)).content, der.SEQUENCE).members()
    outer.end()
    signed.take(der.INTEGER)
    signed.take(der.SET)
    encapsulated = signed.take(der.SEQUENCE).members()
    _expect(encapsulated, _TST_INFO)
    info = der.only(encapsulated.take(constructed(0)).content, der.OCTET_STRING)
    encapsulated.end()
    certificates = _certificates(signed.take_if(constructed(0)))
    signed.take_if(constructed(1))
    signers = signed.take(der.SET).members()
    signed.end()
    signer = signers.take(der.SEQUENCE)
    signers.end()
    return _Token(info=info.content, certificates=certificates, signer=signer)


def _certificates(element: Element | None) -> tuple[x509.Certificate, ...]:
    found: list[x509.Certificate] = []
    reader = Reader(b"") if element is None else element.members()
    while not reader.is_at_end:
        if len(found) == _MAX_CERTIFICATES:
            raise DerError("it has too many certificates")
        found.append(x509.load_der_x509_certificate(reader.take(der.SEQUENCE).raw))
    return tuple(found)


def _info(data: bytes) -> tuple[str, bytes, datetime]:
    """TSTInfo (RFC 3161 section 2.4.2): policy, imprint and time; what follows is not needed."""
    info = der.only(data, der.SEQUENCE).members()
    if info.take(der.INTEGER).integer() != 1:
        raise DerError("its version is not 1")
    policy = info.take(der.OBJECT_ID).object_id()
    message = info.take(der.SEQUENCE).members()
    algorithm = _algorithm(message)
    imprint = message.take(der.OCTET_STRING).content
    message.end()
    if algorithm != _SHA256:
        raise TimestampImprintError("the stamp's imprint is not a SHA-256")
    info.take(der.INTEGER)
    return policy, imprint, info.take(der.GENERALIZED_TIME).time()


def _signer(token: _Token) -> _Signer:
    reader = token.signer.members()
    reader.take(der.INTEGER)
    certificate = _find(token.certificates, reader.take_any())
    digest = _HASHES.get(_algorithm(reader))
    attributes = reader.take(constructed(0))
    algorithm = _algorithm(reader)
    signature = reader.take(der.OCTET_STRING).content
    reader.take_if(constructed(1))
    reader.end()
    if digest is None:
        raise TimestampAlgorithmError("the stamp uses a hash that this version does not know")
    return _Signer(
        certificate=certificate,
        digest=digest,
        attributes=attributes,
        algorithm=algorithm,
        signature=signature,
    )


def _find(certificates: Sequence[x509.Certificate], identifier: Element) -> x509.Certificate:
    """The certificate that a SignerIdentifier names, among those that came along."""
    if identifier.tag == der.SEQUENCE:
        reader = identifier.members()
        issuer = reader.take(der.SEQUENCE).raw
        serial = reader.take(der.INTEGER).integer()
        for certificate in certificates:
            if certificate.serial_number == serial and certificate.issuer.public_bytes() == issuer:
                return certificate
    elif identifier.tag == primitive(0):
        for certificate in certificates:
            if _key_identifier(certificate) == identifier.content:
                return certificate
    raise TimestampSignatureError("the stamp came without its signer's certificate")


def _key_identifier(certificate: x509.Certificate) -> bytes | None:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    except (x509.ExtensionNotFound, ValueError):
        return None
    return found.value.digest


def _attributes(element: Element) -> dict[str, Element]:
    """Each signed attribute's one value, by its type."""
    found: dict[str, Element] = {}
    reader = element.members()
    while not reader.is_at_end:
        attribute = reader.take(der.SEQUENCE).members()
        kind = attribute.take(der.OBJECT_ID).object_id()
        values = attribute.take(der.SET).members()
        attribute.end()
        if kind in found:
            raise DerError("a signed attribute is repeated")
        found[kind] = values.take_any()
        if kind in {_CONTENT_TYPE, _MESSAGE_DIGEST, _SIGNING_CERTIFICATE, _SIGNING_CERTIFICATE_2}:
            values.end()
    return found


def _check_attributes(attributes: dict[str, Element], token: _Token, signer: _Signer) -> None:
    """RFC 5652 section 5.4 and RFC 3161 section 2.4.1: what was signed is this, by this signer."""
    content_type, digest = attributes.get(_CONTENT_TYPE), attributes.get(_MESSAGE_DIGEST)
    if (
        content_type is None
        or content_type.tag != der.OBJECT_ID
        or content_type.object_id() != _TST_INFO
    ):
        raise TimestampSignatureError("the stamp does not sign that it is one")
    expected = hashlib.new(signer.digest.name, token.info).digest()
    if digest is None or digest.tag != der.OCTET_STRING or digest.content != expected:
        raise TimestampSignatureError("the stamp's signature is over another time")
    if not hmac.compare_digest(*_certificate_hashes(attributes, signer.certificate)):
        raise TimestampSignatureError("the stamp names another certificate than its signer's")


def _certificate_hashes(
    attributes: dict[str, Element], certificate: x509.Certificate
) -> tuple[bytes, bytes]:
    """What the signing-certificate attribute says (RFC 2634 section 5.4, RFC 5035), and what it should."""
    raw = certificate.public_bytes(Encoding.DER)
    if (second := attributes.get(_SIGNING_CERTIFICATE_2)) is not None:
        first_id = _first_identifier(second)
        algorithm = first_id.take_if(der.SEQUENCE)
        known = _HASHES.get(_SHA256 if algorithm is None else _algorithm_in(algorithm))
        if known is None:
            raise TimestampAlgorithmError("the stamp uses a hash that this version does not know")
        return first_id.take(der.OCTET_STRING).content, hashlib.new(known.name, raw).digest()
    if (first := attributes.get(_SIGNING_CERTIFICATE)) is not None:
        # Which certificate is meant; that it is trusted is decided by its chain.
        sha1 = hashlib.sha1(raw, usedforsecurity=False).digest()
        return _first_identifier(first).take(der.OCTET_STRING).content, sha1
    raise TimestampSignatureError("the stamp does not say whose certificate signed it")


def _first_identifier(attribute: Element) -> Reader:
    """The first ESSCertID of a signing-certificate attribute: the signer's own."""
    if attribute.tag != der.SEQUENCE:
        raise DerError("a signed attribute is of another kind")
    return attribute.members().take(der.SEQUENCE).members().take(der.SEQUENCE).members()


def _check_signature(signer: _Signer) -> None:
    # RFC 5652 section 5.4: what is signed is the attributes as a SET OF, not under their own tag.
    signed = bytes([der.SET]) + signer.attributes.raw[1:]
    try:
        _verify(signer, signed)
    except InvalidSignature as error:
        raise TimestampSignatureError("the stamp's signature is wrong") from error
    except (UnsupportedAlgorithm, ValueError) as error:
        raise TimestampAlgorithmError("the signer's key is of an unknown kind") from error


def _verify(signer: _Signer, signed: bytes) -> None:
    key = signer.certificate.public_key()
    digest, algorithm = signer.digest, signer.algorithm
    if isinstance(key, rsa.RSAPublicKey) and _RSA.get(algorithm, "") in {None, digest.name}:
        key.verify(signer.signature, signed, padding.PKCS1v15(), digest)
    elif isinstance(key, ec.EllipticCurvePublicKey) and _ECDSA.get(algorithm) == digest.name:
        key.verify(signer.signature, signed, ec.ECDSA(digest))
    elif isinstance(key, ed25519.Ed25519PublicKey) and algorithm == _ED25519:
        key.verify(signer.signature, signed)
    else:
        raise TimestampAlgorithmError("the stamp is signed in a way that this version cannot check")


def _algorithm(reader: Reader) -> str:
    return _algorithm_in(reader.take(der.SEQUENCE))


def _algorithm_in(element: Element) -> str:
    return element.members().take(der.OBJECT_ID).object_id()


def _expect(reader: Reader, object_id: str) -> None:
    if reader.take(der.OBJECT_ID).object_id() != object_id:
        raise DerError("it is of another type")
