"""A key of somebody's own, what is encrypted to it, and OpenSSL's own program that opens that."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat


@cache
def own_certificate() -> tuple[rsa.RSAPrivateKey, str]:
    """An RSA key and a certificate with it in PEM; the same one each time."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "me")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, SHA256())
    )
    return key, made.public_bytes(Encoding.PEM).decode()


def opened_by_openssl(body: bytes, key: rsa.RSAPrivateKey, folder: Path) -> bytes:
    """What `openssl cms -decrypt` makes of a message."""
    file = folder / "key.pem"
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    words = ["openssl", "cms", "-decrypt", "-binary", "-inform", "DER", "-inkey", str(file)]
    return subprocess.run(words, input=body, capture_output=True, check=True).stdout
