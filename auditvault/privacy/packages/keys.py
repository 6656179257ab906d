"""A key for whoever has none: made here, locked under a passphrase that is shown once and kept nowhere.

RSA, since that is what `openssl cms` opens without more. The passphrase has 150 bits, so the little that PKCS#8 does to
slow down whoever guesses does not matter. The certificate around the key says nothing but that it is one.
"""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

_BITS = 3072
_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
"""32 that nobody takes for another."""
_GROUPS, _GROUP = 6, 5


class MadeKey(NamedTuple):
    """A new key: certificate in DER, private key as encrypted PKCS#8 in PEM, and what unlocks it."""

    certificate: bytes
    locked: bytes
    passphrase: str


def make_key(now: datetime) -> MadeKey:
    """Make one."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=_BITS)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "auditvault package")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=366))
        .sign(key, SHA256())
    )
    groups = ("".join(secrets.choice(_LETTERS) for _ in range(_GROUP)) for _ in range(_GROUPS))
    passphrase = "-".join(groups)
    locked = key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(passphrase.encode())
    )
    return MadeKey(certificate.public_bytes(Encoding.DER), locked, passphrase)
