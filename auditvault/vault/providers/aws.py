"""Root keys in AWS KMS, a key for each epoch, found by the alias `alias/NAME-e<epoch>`.

Rules kept: docs/spec/keys.md section 3. A reference is the key's ARN, so an alias that is moved changes nothing; every
call names the key. Credentials are boto3's to find: environment, profile, the machine's or pod's role.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, ClassVar

import boto3
from botocore import exceptions
from botocore.config import Config

from auditvault.core.crypto.keywrap import (
    KeyProviderUnavailableError,
    KeyRefUnknownError,
    RootKeyDestroyedError,
    WrapKeyMismatchError,
    WrapNotAuthenticError,
)
from auditvault.core.errors import AuditvaultError
from auditvault.vault.providers.errors import (
    KeyProviderRefusedError,
    KeyProviderUnusableError,
    RootKeyUnfitError,
)
from auditvault.vault.providers.place import ProviderPlace
from auditvault.vault.providers.service import (
    ANSWER_SECONDS,
    CONNECT_SECONDS,
    PerProcess,
    epoch_name,
)

DELETION_DAYS = 7
"""How long a key waits to be deleted: the shortest that AWS allows."""

_CONTEXT = "auditvault-context"
_GONE = frozenset({"PendingDeletion", "PendingReplicaDeletion"})
_MEANINGS: dict[str, tuple[type[AuditvaultError], str]] = {
    "NotFoundException": (KeyRefUnknownError, "AWS KMS knows no such key."),
    "KMSInvalidStateException": (RootKeyDestroyedError, "The key waits to be deleted."),
    "InvalidCiphertextException": (WrapNotAuthenticError, "AWS KMS refuses the ciphertext"),
    "IncorrectKeyException": (WrapKeyMismatchError, "made under another key of AWS KMS"),
    "ValidationException": (KeyProviderUnusableError, "AWS KMS finds a request malformed."),
    "LimitExceededException": (KeyProviderUnusableError, "AWS KMS holds no more keys for us."),
}
_UNAVAILABLE = frozenset(
    {
        "DependencyTimeoutException",
        "InternalFailure",
        "KMSInternalException",
        "KeyUnavailableException",
        "RequestLimitExceeded",
        "ServiceUnavailable",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)


class AwsService:
    """Encrypts under customer managed keys of one AWS region and account."""

    LABEL: ClassVar[bytes] = b"auditvault/aws-kms-provider/1"

    def __init__(self, place: ProviderPlace) -> None:
        self._place = place
        self._ref = re.compile(
            rf"aws-kms:(arn:aws[a-z-]*:kms:{re.escape(place.host)}:[0-9]{{12}}:key/[A-Za-z0-9-]{{1,64}})"
        )
        self._client: PerProcess[Any] = PerProcess(lambda: _client(place.host))

    def make_key(self, epoch: int) -> str:
        """As `KeyProvider`: the alias decides which of two keys is the epoch's.

        Crash after the key is made and before its alias: a key that nobody names, with the tag `auditvault-key`, which
        costs its fee until somebody deletes it. Second of two: its key is deleted again.
        """
        name = epoch_name(self._place.name, epoch)
        found = self._described(f"alias/{name}")
        if found is None:
            found = self._made(name)
        if found["KeyState"] in _GONE:
            raise RootKeyDestroyedError(f"The key alias/{name} waits to be deleted.")
        if found["KeySpec"] != "SYMMETRIC_DEFAULT" or found["KeyUsage"] != "ENCRYPT_DECRYPT":
            raise RootKeyUnfitError(f"The key alias/{name} is no symmetric encryption key.")
        return f"aws-kms:{found['Arn']}"

    def encrypt(self, key_ref: str, inner_key: bytes, bound_to: bytes) -> bytes:
        """As `KeyService`."""
        arn = self._arn(key_ref)
        with _translated():
            answer = self._client.get().encrypt(
                KeyId=arn, Plaintext=inner_key, EncryptionContext={_CONTEXT: bound_to.hex()}
            )
        return bytes(answer["CiphertextBlob"])

    def decrypt(self, key_ref: str, outer: bytes, bound_to: bytes) -> bytes:
        """As `KeyService`. The key is named, or KMS would take whichever key the ciphertext names."""
        arn = self._arn(key_ref)
        with _translated():
            answer = self._client.get().decrypt(
                KeyId=arn, CiphertextBlob=outer, EncryptionContext={_CONTEXT: bound_to.hex()}
            )
        return bytes(answer["Plaintext"])

    def destroy(self, key_ref: str) -> datetime | None:
        """As `KeyProvider`. After the wait KMS knows the key no more, and the answer is None."""
        arn = self._arn(key_ref)
        found = self._described(arn)
        if found is None:
            return None
        if found["KeyState"] not in _GONE:
            try:
                with _translated():
                    self._client.get().schedule_key_deletion(
                        KeyId=arn, PendingWindowInDays=DELETION_DAYS
                    )
            except RootKeyDestroyedError:
                pass  # somebody else was first
            found = self._described(arn)
        at = None if found is None else found.get("DeletionDate")
        return None if at is None else at.astimezone(UTC)

    def _made(self, name: str) -> Any:
        client = self._client.get()
        with _translated():
            made = client.create_key(
                Description=f"auditvault root key {name}",
                KeyUsage="ENCRYPT_DECRYPT",
                KeySpec="SYMMETRIC_DEFAULT",
                Tags=[{"TagKey": "auditvault-key", "TagValue": name}],
            )["KeyMetadata"]
            try:
                client.create_alias(AliasName=f"alias/{name}", TargetKeyId=made["KeyId"])
            except exceptions.ClientError as error:
                client.schedule_key_deletion(KeyId=made["KeyId"], PendingWindowInDays=DELETION_DAYS)
                if _code(error) != "AlreadyExistsException":
                    raise
        found = self._described(f"alias/{name}")
        if found is None:
            raise KeyProviderUnavailableError(f"KMS does not show the new key alias/{name} yet.")
        return found

    def _described(self, key_id: str) -> Any:
        """What KMS says of a key; None where it knows none."""
        try:
            with _translated():
                return self._client.get().describe_key(KeyId=key_id)["KeyMetadata"]
        except KeyRefUnknownError:
            return None

    def _arn(self, key_ref: str) -> str:
        match = self._ref.fullmatch(key_ref)
        if match is None:
            raise KeyRefUnknownError(f"The reference names no key of KMS in {self._place.host}.")
        return match[1]


def _client(region: str) -> Any:
    config = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=ANSWER_SECONDS,
        retries={"total_max_attempts": 1, "mode": "standard"},
    )
    # A session of our own: the default one is shared by all threads and not made for it.
    with _translated():
        return boto3.session.Session().client("kms", region_name=region, config=config)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except exceptions.ClientError as error:
        raise _of_answer(error) from error
    except (exceptions.NoCredentialsError, exceptions.PartialCredentialsError) as error:
        raise KeyProviderRefusedError("There are no credentials for AWS KMS.") from error
    except (
        exceptions.ConnectionError,
        exceptions.HTTPClientError,
        exceptions.MetadataRetrievalError,
    ) as error:
        raise KeyProviderUnavailableError(
            f"AWS KMS does not answer ({type(error).__name__})."
        ) from error
    except exceptions.BotoCoreError as error:
        raise KeyProviderUnusableError(
            f"AWS KMS cannot be used as it is set up ({type(error).__name__})."
        ) from error


def _of_answer(error: exceptions.ClientError) -> Exception:
    code = _code(error)
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in _UNAVAILABLE or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return KeyProviderUnavailableError(f"AWS KMS cannot answer now ({code}).")
    if code in _MEANINGS:
        kind, message = _MEANINGS[code]
        return kind(message)
    return KeyProviderRefusedError(f"AWS KMS refuses us ({code}): look at credentials and policy.")


def _code(error: exceptions.ClientError) -> str:
    """The service's name for the error; letters only, whatever it sent."""
    code = str(error.response.get("Error", {}).get("Code", ""))
    return code if re.fullmatch(r"[A-Za-z0-9.]{1,64}", code) else "unnamed"
