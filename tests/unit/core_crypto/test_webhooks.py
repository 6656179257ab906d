"""Signatures of webhook messages."""

from __future__ import annotations

import pytest

from auditvault.core.crypto.webhooks import (
    WebhookError,
    check_message,
    secret_of,
    secret_text,
    signed_headers,
)

# The example that the libraries of Standard Webhooks are tested with.
SECRET = secret_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
BODY, MESSAGE_ID, AT = b'{"test": 2432232314}', "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def made(**changed):
    given = {"message_id": MESSAGE_ID, "timestamp": AT, "secrets": [SECRET]} | changed
    return signed_headers(BODY, **given)


def test_the_signature_is_the_one_that_other_libraries_make():
    assert made() == {
        "webhook-id": MESSAGE_ID,
        "webhook-timestamp": str(AT),
        "webhook-signature": SIGNATURE,
    }


def test_a_message_is_taken_by_who_has_the_secret_within_five_minutes():
    for now in (AT - 300, AT, AT + 300):
        assert check_message(BODY, headers=made(), secret=SECRET, now=now) == MESSAGE_ID


@pytest.mark.parametrize(
    ("headers", "body", "secret", "now"),
    [
        (made(), BODY, SECRET, AT + 301),
        (made(), BODY, SECRET, AT - 301),
        (made(), BODY + b" ", SECRET, AT),
        (made(), BODY, bytes(32), AT),
        (made() | {"webhook-id": "another"}, BODY, SECRET, AT),
        (made() | {"webhook-timestamp": str(AT + 1)}, BODY, SECRET, AT),
        (made() | {"webhook-timestamp": "soon"}, BODY, SECRET, AT),
        (made() | {"webhook-signature": ""}, BODY, SECRET, AT),
        (made() | {"webhook-signature": SIGNATURE.replace("v1,", "v2,")}, BODY, SECRET, AT),
        ({}, BODY, SECRET, AT),
    ],
)
def test_anything_else_is_refused(headers, body, secret, now):
    with pytest.raises(WebhookError):
        check_message(body, headers=headers, secret=secret, now=now)


def test_with_two_secrets_whoever_has_one_of_them_takes_it():
    headers = made(secrets=[SECRET, bytes(32)])
    for secret in (SECRET, bytes(32)):
        assert check_message(BODY, headers=headers, secret=secret, now=AT) == MESSAGE_ID


def test_a_secret_is_copied_as_text_and_back():
    assert secret_of(secret_text(bytes(range(32)))) == bytes(range(32))
    with pytest.raises(WebhookError):
        secret_of("whsec_not base64")
