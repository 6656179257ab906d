"""Encrypting to whoever asked: CMS EnvelopedData (RFC 5652), which `openssl cms -decrypt` opens.

The key is an RSA key in a certificate of the requester's; whether anybody trusts the certificate does not matter, since
its hash is recorded and, for a bulk export, approved. AES-256-CBC is what the library's builder has: it keeps the part
secret, and that it is the part which was made is said by the SHA-256 in the log.
"""

from __future__ import annotations

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.hazmat.primitives.serialization.pkcs7 import PKCS7EnvelopeBuilder, PKCS7Options

from auditvault.core.errors import AuditvaultError

_LEAST_BITS = 2048
_MOST_BYTES = 16_384


class CertificateError(AuditvaultError):
    """What was given is no certificate with an RSA key of 2048 bits or more."""

    code = "export_certificate_invalid"


def read_certificate(pem: str) -> bytes:
    """The certificate in DER; raises CertificateError."""
    try:
        found = x509.load_pem_x509_certificate(pem.encode())
        key = found.public_key()
        body = found.public_bytes(Encoding.DER)
    except (ValueError, TypeError, UnicodeError, UnsupportedAlgorithm) as error:
        raise CertificateError("Give one X.509 certificate in PEM.") from error
    if not isinstance(key, RSAPublicKey) or key.key_size < _LEAST_BITS or len(body) > _MOST_BYTES:
        raise CertificateError("The certificate's key must be RSA, of 2048 bits or more.")
    return body


def encrypt(content: bytes, *, certificate: bytes) -> bytes:
    """A CMS message in DER."""
    return (
        PKCS7EnvelopeBuilder()
        .set_data(content)
        .set_content_encryption_algorithm(AES256)
        .add_recipient(x509.load_der_x509_certificate(certificate))
        .encrypt(Encoding.DER, [PKCS7Options.Binary])
    )
