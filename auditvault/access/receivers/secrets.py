"""Webhook secrets as they are stored: sealed under the service's secret key, bound to their receiver.

A signature needs the secret itself, so a hash will not do. The key that seals is derived from `SECRET_KEY`, which is in
a file and in no database: who steals the table can sign nothing. Where that key is changed, secrets are made anew.
"""

from __future__ import annotations

import os
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

from auditvault.core.errors import AuditvaultError

_INFO = b"auditvault/webhook-secret/1"
_NONCE_SIZE = 12


class SecretLostError(AuditvaultError):
    """A webhook's secret does not open: the service's secret key was changed, or the row was."""

    code = "webhook_secret_lost"


def seal_secret(secret: bytes, *, receiver_id: UUID) -> bytes:
    """The secret as it is stored."""
    nonce = os.urandom(_NONCE_SIZE)
    return nonce + AESGCM(_key()).encrypt(nonce, secret, _bound_to(receiver_id))


def open_secret(sealed: bytes, *, receiver_id: UUID) -> bytes:
    """The secret itself; raises SecretLostError."""
    try:
        return AESGCM(_key()).decrypt(
            sealed[:_NONCE_SIZE], sealed[_NONCE_SIZE:], _bound_to(receiver_id)
        )
    except (InvalidTag, ValueError) as error:
        raise SecretLostError("The webhook's secret does not open. Make a new one.") from error


def _key() -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=_INFO).derive(
        settings.SECRET_KEY.encode()
    )


def _bound_to(receiver_id: UUID) -> bytes:
    return _INFO + receiver_id.bytes
