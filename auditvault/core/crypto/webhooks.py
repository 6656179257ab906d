"""Signatures of webhook messages, as Standard Webhooks has them: docs/spec/webhook.md.

The signature covers the message's id, the instant of sending and the body. A receiver that remembers ids and refuses
old instants cannot be shown a message twice.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import ClassVar

from auditvault.core.errors import AuditvaultError

SECRET_PREFIX = "whsec_"  # noqa: S105  # what secrets begin with, and no secret
SECRET_SIZE = 32
TOLERANCE_SECONDS = 300
ID, TIMESTAMP, SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"


class WebhookError(AuditvaultError):
    """A message is not what its sender signed, or is too old or too new."""

    code: ClassVar[str] = "webhook_invalid"


def signed_headers(
    body: bytes, *, message_id: str, timestamp: int, secrets: Sequence[bytes]
) -> dict[str, str]:
    """Headers that go with `body`: one signature for each secret; `timestamp` in Unix seconds."""
    signatures = (_signature(body, message_id, timestamp, secret) for secret in secrets)
    return {ID: message_id, TIMESTAMP: str(timestamp), SIGNATURE: " ".join(signatures)}


def check_message(body: bytes, *, headers: Mapping[str, str], secret: bytes, now: int) -> str:
    """The id of a message that is authentic and of about now; raises WebhookError. `headers` by lower-case name.

    Whoever receives keeps the id for as long as TOLERANCE_SECONDS, and ignores a second message with it.
    """
    try:
        message_id, said = headers[ID], headers[TIMESTAMP]
        signatures = headers[SIGNATURE].split(" ")
        timestamp = int(said)
    except (KeyError, ValueError) as error:
        raise WebhookError("The message is not signed.") from error
    expected = _signature(body, message_id, timestamp, secret)
    if not any(hmac.compare_digest(expected.encode(), each.encode()) for each in signatures):
        raise WebhookError("The message is not what was signed.")
    if abs(now - timestamp) > TOLERANCE_SECONDS:
        raise WebhookError("The message is of another time.")
    return message_id


def secret_text(secret: bytes) -> str:
    """The secret as people copy it."""
    return SECRET_PREFIX + base64.b64encode(secret).decode()


def secret_of(text: str) -> bytes:
    """The secret that somebody copied; raises WebhookError."""
    try:
        return base64.b64decode(text.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError) as error:
        raise WebhookError("That is no webhook secret.") from error


def _signature(body: bytes, message_id: str, timestamp: int, secret: bytes) -> str:
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(secret, signed, sha256)).decode()
